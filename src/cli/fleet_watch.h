// What a gateway without a dispatcher knows of the workers: asks the store now and then, for /readyz and /metrics.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "runtime/shell.h"
#include "store/store.h"

namespace treadle::cli {

class FleetWatch final : public runtime::Shell {
 public:
  explicit FleetWatch(store::Store& store) : store_(store) {}

  bool turn(Instant now) override {
    if (now < ask_at_) return false;
    ask_at_ = now + kAskEvery;
    store_.workers([fleet = fleet_](Result<std::vector<store::WorkerReport>> workers) {
      if (workers) *fleet = std::move(*workers);
    });
    return true;
  }
  Instant next_deadline() const override { return ask_at_; }
  // As of the last answer, lost ones too.
  const std::vector<store::WorkerReport>& workers() const { return *fleet_; }

 private:
  static constexpr Duration kAskEvery = 2s;
  store::Store& store_;
  std::shared_ptr<std::vector<store::WorkerReport>> fleet_ = std::make_shared<std::vector<store::WorkerReport>>();
  Instant ask_at_;
};

}  // namespace treadle::cli

// The dispatcher's shell: feeds the core what the link and the store say, and carries out what it decides.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "core/dispatcher.h"
#include "runtime/shell.h"
#include "store/store.h"
#include "transport/link.h"

namespace treadle::runtime {

class DispatchLoop final : public Shell {
 public:
  // `store`, `link` and `clock` outlive the loop; all are used from the thread that calls turn().
  DispatchLoop(core::DispatcherConfig config, Rng rng, const Clock& clock, store::Store& store,
               transport::DispatcherLink& link);

  bool turn(Instant now) override;
  Instant next_deadline() const override {
    return std::min({core_.next_deadline(), report_at_, link_.next_deadline()});
  }
  void drain(bool workers_too) { events_.push_back(core::event::DrainAsked{workers_too}); }
  const core::Dispatcher& core() const { return core_; }

 private:
  void gather(Instant now);
  void report(Instant now);
  store::WorkerReport report_of(const core::WorkerView& view, Instant now) const;
  void carry_out(core::effect::OpenSession& e);
  void carry_out(core::effect::Renew& e);
  void carry_out(core::effect::Reap& e);
  void carry_out(core::effect::Claim& e);
  void carry_out(core::effect::Finish& e);
  void carry_out(core::effect::Requeue& e);
  void carry_out(core::effect::Adopt& e);
  void carry_out(core::effect::Reassert& e);
  void carry_out(core::effect::Started& e);
  void carry_out(core::effect::Live& e);
  void carry_out(core::effect::FetchBody& e);
  void carry_out(core::effect::Send& e);
  void carry_out(core::effect::Forget& e);
  void carry_out(core::effect::Note& e);

  const core::Mode mode_;
  const std::string name_;
  const Clock& clock_;
  store::Store& store_;
  transport::DispatcherLink& link_;
  core::Dispatcher core_;
  std::vector<core::DispatcherEvent> events_;
  Instant reported_{0};
  std::size_t reported_workers_ = 0;
  Instant report_at_ = Instant::never();  // something has changed since the last report
};

}  // namespace treadle::runtime

// The dispatcher's shell: feeds the core what the link and the store say, and carries out what it decides.
#pragma once

#include <vector>

#include "core/dispatcher.h"
#include "runtime/shell.h"
#include "store/store.h"
#include "transport/link.h"

namespace treadle::runtime {

class DispatchLoop final : public Shell {
 public:
  // `store` and `link` outlive the loop; all three are used from the thread that calls turn().
  DispatchLoop(core::DispatcherConfig config, Rng rng, Instant now, store::Store& store,
               transport::DispatcherLink& link);

  bool turn(Instant now) override;
  Instant next_deadline() const override { return core_.next_deadline(); }
  void drain() { events_.push_back(core::event::DrainAsked{}); }
  const core::Dispatcher& core() const { return core_; }

 private:
  void gather();
  void carry_out(core::effect::OpenSession& e);
  void carry_out(core::effect::Renew& e);
  void carry_out(core::effect::Reap& e);
  void carry_out(core::effect::Claim& e);
  void carry_out(core::effect::Finish& e);
  void carry_out(core::effect::Requeue& e);
  void carry_out(core::effect::Adopt& e);
  void carry_out(core::effect::Reassert& e);
  void carry_out(core::effect::Started& e);
  void carry_out(core::effect::FetchBody& e);
  void carry_out(core::effect::Send& e);
  void carry_out(core::effect::Note& e);

  store::Store& store_;
  transport::DispatcherLink& link_;
  core::Dispatcher core_;
  std::vector<core::DispatcherEvent> events_;
};

}  // namespace treadle::runtime

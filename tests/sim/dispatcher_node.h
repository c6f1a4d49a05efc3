// One simulated dispatcher: the real core, a store that answers late or loses answers, and a network end. It can die at
// any effect and come back as another session.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/dispatcher.h"
#include "scenario.h"
#include "store_law.h"
#include "world.h"

namespace treadle::sim {

class DispatcherNode {
 public:
  using Send = std::function<void(WorkerId, core::DispatcherMessage)>;
  DispatcherNode(World& world, StoreLaw& store, core::DispatcherConfig config, Send send);

  void deliver(core::WorkerMessage message) { say(core::event::WorkerSaid{std::move(message)}); }
  void hint() { say(core::event::WorkHint{}); }
  void hint(std::vector<core::Held> revokes) { say(core::event::RevokeHint{std::move(revokes)}); }
  void connection_ended(WorkerId worker) { say(core::event::WorkerUnroutable{worker}); }
  void kill();
  void start();
  void stall(Duration d);  // SIGSTOP: events pile up, time goes on
  void die_at_effect(std::uint64_t n) { die_in_ = n; }
  void set(StoreFaults faults) { faults_ = faults; }
  bool alive() const { return core_ != nullptr; }
  const core::Dispatcher& core() const { return *core_; }
  std::function<void(const std::string&)> on_note;
  std::function<void(const std::string&)> on_violation;
  std::function<void()> on_start;

  std::uint64_t deaths = 0, answers_lost = 0, answers_late = 0, claims_replayed = 0, stalls = 0;

 private:
  void say(core::DispatcherEvent event);
  void wake(Instant at);
  void turn();
  void carry_out(core::DispatcherEffect& effect);
  void check_settled(const core::DispatcherMessage& message) const;
  // Wraps an answer of the store: late, perhaps lost, and nothing to a dispatcher that died meanwhile.
  template <class Answer, class Event>
  Callback<void(Result<Answer>)> answer(Event event);
  bool refuses();

  World& world_;
  StoreLaw& store_;
  core::DispatcherConfig config_;
  Send send_;
  StoreFaults faults_;
  std::unique_ptr<core::Dispatcher> core_;
  std::vector<core::DispatcherEvent> events_;
  std::uint64_t life_ = 0;    // of the core: answers to an earlier one are dropped
  std::uint64_t die_in_ = 0;  // effects from now; 0 = not planned
  std::uint64_t last_call_ = 0;
  Instant stalled_until_;
  Instant wake_at_ = Instant::never();
};

}  // namespace treadle::sim

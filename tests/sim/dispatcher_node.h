// One simulated dispatcher: the real core, a line to the store that is slow, is cut or loses answers, and a network
// end. It can die or stand still at any effect; it comes back as another session.
#pragma once

#include <deque>
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

  // `heard` runs when the message is read, which one that stands still does not do.
  void deliver(core::WorkerMessage message, std::function<void()> heard);
  void hint() { say(core::event::WorkHint{}); }
  void hint(std::vector<core::Held> revokes) { say(core::event::RevokeHint{std::move(revokes)}); }
  void connection_ended(WorkerId worker) { say(core::event::WorkerUnroutable{worker}); }
  void kill();
  void start();
  void stall(Duration d);  // SIGSTOP: events pile up, time goes on
  void die_at_effect(std::uint64_t n) { die_in_ = n; }
  // SIGSTOP between two effects: what it had decided is carried out when the world has gone on.
  void stall_at_effect(std::uint64_t n, Duration d) { stall_in_ = n, stall_for_ = d; }
  void store_is_away_until(Instant then) { store_away_until_ = then; }
  void set(StoreFaults faults) { faults_ = faults; }
  void reaps_are_late(bool late) { reaps_are_late_ = late; }
  bool alive() const { return core_ != nullptr; }
  std::uint64_t life() const { return life_; }
  SessionId session() const { return core_ ? core_->session() : SessionId{}; }
  Instant stalled_until() const { return stalled_until_; }
  std::function<void(const std::string&)> on_note;  // empty: nobody wants to know
  std::function<void(const std::string&)> on_violation;
  std::function<void()> on_start;

  std::uint64_t deaths = 0, answers_lost = 0, answers_late = 0, calls_cut = 0, calls_late = 0, calls_refused = 0,
                transitions = 0, reaps_late = 0, claims_replayed = 0, stalls = 0, stalls_midway = 0;

 private:
  void say(core::DispatcherEvent event);
  void wake(Instant at);
  void turn();
  bool carry_on();
  void carry_out(core::DispatcherEffect& effect);
  template <class Items>
  void tell(const char* call, const Items& items) const;
  void check_settled(const core::DispatcherMessage& message) const;
  // Sends a call to the store. `event` says that the store is away, and gets the answer if there is one.
  template <class Answer, class Event, class Call>
  void ask(Event event, Call call);
  // Wraps an answer of the store: late, perhaps lost, and nothing to a dispatcher that died meanwhile.
  template <class Answer, class Event>
  Callback<void(Result<Answer>)> answer(Event event);
  template <class Event>
  void hear_later(Event event, Duration delay);
  void down_the_line(Callback<void()> call);

  World& world_;
  StoreLaw& store_;
  core::DispatcherConfig config_;
  Send send_;
  StoreFaults faults_;
  bool reaps_are_late_ = false;  // the other one may have woken meanwhile
  std::unique_ptr<core::Dispatcher> core_;
  std::vector<core::DispatcherEvent> events_;
  std::vector<std::function<void()>> heard_;    // of the messages among them
  std::deque<core::DispatcherEffect> effects_;  // decided, and not carried out yet
  std::uint64_t life_ = 0;                      // of the core: answers to an earlier one are dropped
  std::uint64_t die_in_ = 0, stall_in_ = 0;     // effects from now; 0 = not planned
  Duration stall_for_{0};
  Instant line_free_at_;  // calls keep their order: one that is late delays those behind it
  Instant store_away_until_;
  std::uint64_t last_call_ = 0;
  Instant stalled_until_;
  Instant wake_at_ = Instant::never();
};

}  // namespace treadle::sim

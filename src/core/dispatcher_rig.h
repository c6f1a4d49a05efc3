// For the dispatcher's tests: the test is store, link and clock.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/dispatcher.h"

namespace treadle::core::testing_rig {

inline TaskId task(std::uint64_t n) { return TaskId(Uuid{7, n}); }
inline WorkerId worker_id(std::uint64_t n) { return WorkerId(Uuid{9, n}); }

// Drives one dispatcher by hand: the test is store, link and clock.
class Bench {
 public:
  explicit Bench(Mode mode = Mode::Push, Duration time_limit = Duration{0})
      : dispatcher_({.mode = mode, .session = SessionId(Uuid{1, 1}), .name = "d", .time_limit = time_limit}, Rng(5),
                    now_) {
    tick();
    EXPECT_EQ(take<effect::OpenSession>().size(), 1u);
    say(event::SessionOpened{Result<void>{}});
  }

  void say(DispatcherEvent event) {
    dispatcher_.step(now_, std::move(event));
    tick();
  }
  void tick() { dispatcher_.tick(now_, effects_); }
  // Time passes in steps that never look like a stall.
  void pass(Duration d) {
    for (const Instant end = now_ + d; now_ < end;) {
      now_ = std::min(end, now_ + 50ms);
      tick();
    }
  }

  template <class E>
  std::vector<E> take() {
    std::vector<E> found;
    std::erase_if(effects_, [&](DispatcherEffect& e) {
      if (auto* one = std::get_if<E>(&e)) {
        found.push_back(std::move(*one));
        return true;
      }
      return false;
    });
    return found;
  }

  WorkerMessage message(WorkerId id, std::uint32_t free, std::uint32_t prefetch = 0) {
    WorkerMessage m;
    m.worker = id;
    m.boot = boots_[id];
    m.session = dispatcher_.session();
    m.seq = ++seqs_[id];
    m.ack = acks_[id];
    m.free_slots = free;
    m.prefetch = prefetch;
    return m;
  }
  void register_worker(WorkerId id, std::uint32_t slots, std::vector<Held> held = {}, std::uint64_t boot = 1) {
    boots_[id] = boot;
    WorkerMessage m = message(id, slots);
    m.registers = true;
    m.info.slots = slots;
    m.held = std::move(held);
    say(event::WorkerSaid{m});
  }
  // Answers the claim under way with these tasks, and returns the tokens that they got.
  std::vector<Attempt> answer_claim(std::vector<std::uint64_t> tasks, Delivery delivery = Delivery::AtLeastOnce) {
    auto claims = take<effect::Claim>();
    EXPECT_EQ(claims.size(), 1u);
    if (claims.empty()) return {};
    ClaimAnswer answer;
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      EXPECT_LT(i, claims[0].request.tokens.size());
      Attempt attempt;
      attempt.task = task(tasks[i]);
      attempt.token = claims[0].request.tokens[i];
      attempt.number = 1;
      attempt.delivery = delivery;
      answer.attempts.push_back(attempt);
    }
    auto attempts = answer.attempts;
    say(event::Claimed{claims[0].request.call, std::move(answer)});
    return attempts;
  }
  std::vector<DispatcherMessage> sent_to(WorkerId id) {
    std::vector<DispatcherMessage> messages;
    for (auto& send : take<effect::Send>()) {
      if (send.worker != id) continue;
      acks_next_[id] = std::max(acks_next_[id], send.message.seq);
      messages.push_back(std::move(send.message));
    }
    return messages;
  }
  void receive_all(WorkerId id) { acks_[id] = std::max(acks_[id], acks_next_[id]); }

  Instant now_{1'000'000'000};
  Dispatcher dispatcher_;
  DispatcherEffects effects_;
  std::unordered_map<WorkerId, std::uint64_t> boots_, seqs_, acks_, acks_next_;
};

inline Held held(const Attempt& a) { return {a.task, a.token}; }

inline OutcomeReport completed(const Attempt& a) { return {held(a), Outcome{}}; }

}  // namespace treadle::core::testing_rig

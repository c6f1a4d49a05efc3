#include "core/dispatcher.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace treadle::core {
namespace {

TaskId task(std::uint64_t n) { return TaskId(Uuid{7, n}); }
WorkerId worker_id(std::uint64_t n) { return WorkerId(Uuid{9, n}); }

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

Held held(const Attempt& a) { return {a.task, a.token}; }

OutcomeReport completed(const Attempt& a) { return {held(a), Outcome{}}; }

TEST(Dispatcher, ClaimsOnlyForFreeSlots) {
  Bench b;
  EXPECT_TRUE(b.take<effect::Claim>().empty());
  b.register_worker(worker_id(1), 3);
  const auto claims = b.take<effect::Claim>();
  ASSERT_EQ(claims.size(), 1u);
  EXPECT_EQ(claims[0].request.tokens.size(), 3u);
  EXPECT_EQ(claims[0].request.call, 1u);
}

TEST(Dispatcher, SpreadsAttemptsOverTheLeastLoaded) {
  Bench b;
  b.register_worker(worker_id(1), 2);
  b.answer_claim({});  // nothing yet
  b.register_worker(worker_id(2), 2);
  b.say(event::WorkHint{});
  b.answer_claim({1, 2, 3, 4});
  std::unordered_map<WorkerId, std::size_t> got;
  for (const auto& send : b.take<effect::Send>()) got[send.worker] += send.message.attempts.size();
  EXPECT_EQ(got[worker_id(1)], 2u);
  EXPECT_EQ(got[worker_id(2)], 2u);
}

TEST(Dispatcher, OutcomeIsSettledOnlyWhenItIsDurable) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  const auto attempts = b.answer_claim({1});
  b.sent_to(w);
  b.receive_all(w);
  WorkerMessage m = b.message(w, 1);
  m.outcomes = {completed(attempts[0])};
  b.say(event::WorkerSaid{m});
  const auto finishes = b.take<effect::Finish>();
  ASSERT_EQ(finishes.size(), 1u);
  EXPECT_EQ(finishes[0].items[0].token, attempts[0].token);
  for (const auto& message : b.sent_to(w)) EXPECT_TRUE(message.settled.empty());
  b.say(event::Finished{finishes[0].batch, std::vector{FinishAnswer::Applied}});
  const auto messages = b.sent_to(w);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].settled, std::vector{held(attempts[0])});
  EXPECT_EQ(b.dispatcher_.attempts_held(), 0u);
}

TEST(Dispatcher, OutcomeIsRepeatedToAStoreThatWasAway) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  const auto attempts = b.answer_claim({1});
  WorkerMessage m = b.message(w, 1);
  m.outcomes = {completed(attempts[0])};
  b.say(event::WorkerSaid{m});
  const auto first = b.take<effect::Finish>();
  ASSERT_EQ(first.size(), 1u);
  b.say(event::Finished{first[0].batch, Result<std::vector<FinishAnswer>>(fail(Code::StoreAway, "gone"))});
  EXPECT_TRUE(b.take<effect::Finish>().empty());
  b.pass(150ms);
  const auto again = b.take<effect::Finish>();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].items[0].token, attempts[0].token);
}

TEST(Dispatcher, RepeatedOutcomeIsFinishedOnce) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 2);
  const auto attempts = b.answer_claim({1});
  WorkerMessage m = b.message(w, 2);
  m.outcomes = {completed(attempts[0])};
  b.say(event::WorkerSaid{m});
  b.say(event::WorkerSaid{m});  // the same message again
  WorkerMessage again = b.message(w, 2);
  again.outcomes = m.outcomes;
  b.say(event::WorkerSaid{again});
  std::size_t items = 0;
  for (const auto& finish : b.take<effect::Finish>()) items += finish.items.size();
  EXPECT_EQ(items, 1u);
}

TEST(Dispatcher, UnnamedAttemptIsDroppedOnlyAfterItsMessageWasAcknowledged) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  const auto attempts = b.answer_claim({1});
  b.sent_to(w);
  WorkerMessage early = b.message(w, 1);  // written before the batch arrived
  early.names_held = true;
  b.say(event::WorkerSaid{early});
  EXPECT_TRUE(b.take<effect::Requeue>().empty());
  b.receive_all(w);
  WorkerMessage late = b.message(w, 1);
  late.names_held = true;
  b.say(event::WorkerSaid{late});
  const auto requeues = b.take<effect::Requeue>();
  ASSERT_EQ(requeues.size(), 1u);
  EXPECT_EQ(requeues[0].items[0].token, attempts[0].token);
  EXPECT_EQ(requeues[0].items[0].why, GiveBack::Unstarted);
}

TEST(Dispatcher, SilentWorkerIsRemovedAndItsStartedAttemptBurnt) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 2);
  const auto attempts = b.answer_claim({1, 2});
  b.sent_to(w);
  b.receive_all(w);
  WorkerMessage m = b.message(w, 0);
  m.started = {held(attempts[0])};
  b.say(event::WorkerSaid{m});
  ASSERT_EQ(b.take<effect::Started>().size(), 1u);
  b.pass(limits::kWorkerLease - 100ms);
  EXPECT_EQ(b.dispatcher_.workers().size(), 1u);
  b.pass(1s);
  EXPECT_TRUE(b.dispatcher_.workers().empty());
  std::unordered_map<Token, GiveBack> why;
  for (const auto& requeue : b.take<effect::Requeue>()) {
    for (const auto& item : requeue.items) why[item.token] = item.why;
  }
  EXPECT_EQ(why[attempts[0].token], GiveBack::WorkerLost);
  EXPECT_EQ(why[attempts[1].token], GiveBack::Unstarted);
}

TEST(Dispatcher, OwnStallIsNotTheWorkersSilence) {
  Bench b;
  b.register_worker(worker_id(1), 1);
  b.now_ = b.now_ + 60s;  // no turn in between: SIGSTOP
  b.tick();
  EXPECT_EQ(b.dispatcher_.workers().size(), 1u);
}

TEST(Dispatcher, UnroutableWorkerIsRemovedAfterTheGrace) {
  Bench b;
  b.register_worker(worker_id(1), 1);
  b.say(event::WorkerUnroutable{worker_id(1)});
  b.pass(900ms);
  EXPECT_EQ(b.dispatcher_.workers().size(), 1u);
  b.pass(600ms);
  EXPECT_TRUE(b.dispatcher_.workers().empty());
}

TEST(Dispatcher, UnknownPeerIsAskedToRegister) {
  Bench b;
  b.boots_[worker_id(3)] = 1;
  b.say(event::WorkerSaid{b.message(worker_id(3), 1)});
  const auto messages = b.sent_to(worker_id(3));
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_TRUE(messages[0].reregister);
}

TEST(Dispatcher, AnnouncedAttemptIsAdoptedOrRevoked) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 2, {{task(1), Token{11}}, {task(2), Token{22}}});
  const auto adopts = b.take<effect::Adopt>();
  ASSERT_EQ(adopts.size(), 1u);
  ASSERT_EQ(adopts[0].items.size(), 2u);
  b.sent_to(w);
  b.say(event::Adopted{adopts[0].batch, std::vector{AdoptAnswer::Adopted, AdoptAnswer::Refused}});
  EXPECT_EQ(b.dispatcher_.attempts_held(), 1u);
  const auto messages = b.sent_to(w);
  ASSERT_EQ(messages.size(), 1u);
  ASSERT_EQ(messages[0].revokes.size(), 1u);
  EXPECT_EQ(messages[0].revokes[0].attempt.token, Token{22});
  EXPECT_TRUE(messages[0].revokes[0].kill);
}

TEST(Dispatcher, RestartedWorkerLosesWhatItHeld) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  const auto attempts = b.answer_claim({1});
  b.seqs_[w] = 0;
  b.register_worker(w, 1, {}, 2);
  const auto requeues = b.take<effect::Requeue>();
  ASSERT_EQ(requeues.size(), 1u);
  EXPECT_EQ(requeues[0].items[0].token, attempts[0].token);
}

TEST(Dispatcher, LostClaimAnswerIsAskedForAgainWithTheSameCallAndTokens) {
  Bench b;
  b.register_worker(worker_id(1), 2);
  auto first = b.take<effect::Claim>();
  ASSERT_EQ(first.size(), 1u);
  b.say(event::Claimed{first[0].request.call, Result<ClaimAnswer>(fail(Code::StoreAway, "gone"))});
  b.pass(300ms);
  const auto again = b.take<effect::Claim>();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].request.call, first[0].request.call);
  EXPECT_EQ(again[0].request.tokens, first[0].request.tokens);
}

TEST(Dispatcher, ReapedSessionForgetsItsAttemptsAndAsksEverybodyToRegister) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  b.answer_claim({1});
  b.sent_to(w);
  const SessionId before = b.dispatcher_.session();
  b.pass(limits::kSessionRenew + 100ms);
  ASSERT_GE(b.take<effect::Renew>().size(), 1u);
  b.say(event::Renewed{RenewAnswer{}});
  b.tick();
  EXPECT_NE(b.dispatcher_.session(), before);
  EXPECT_EQ(b.dispatcher_.attempts_held(), 0u);
  EXPECT_EQ(b.take<effect::OpenSession>().size(), 1u);
  const auto messages = b.sent_to(w);
  ASSERT_FALSE(messages.empty());
  EXPECT_TRUE(std::ranges::any_of(messages, [](const auto& m) { return m.reregister; }));
}

TEST(Dispatcher, MissingSessionIsOpenedAgainAndWhatIsHeldReasserted) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  const auto attempts = b.answer_claim({1});
  b.pass(limits::kSessionRenew + 100ms);
  b.say(event::Renewed{RenewAnswer{.live = false, .missing = true, .others = {}, .revokes = {}}});
  ASSERT_EQ(b.take<effect::OpenSession>().size(), 1u);
  b.say(event::SessionOpened{Result<void>{}});
  const auto asserts = b.take<effect::Reassert>();
  ASSERT_EQ(asserts.size(), 1u);
  EXPECT_EQ(asserts[0].items[0].token, attempts[0].token);
  b.say(event::Adopted{asserts[0].batch, std::vector{AdoptAnswer::Adopted}});
  EXPECT_EQ(b.dispatcher_.attempts_held(), 1u);
}

TEST(Dispatcher, SessionWhoseBeatStandsStillIsReapedNotBefore) {
  Bench b;
  const SessionBeat other{SessionId(Uuid{5, 5}), 42};
  const auto renew = [&] {
    b.pass(limits::kSessionRenew);
    b.say(event::Renewed{RenewAnswer{.live = true, .missing = false, .others = {other}, .revokes = {}}});
  };
  for (int i = 0; i < 5; ++i) {
    renew();
    EXPECT_TRUE(b.take<effect::Reap>().empty()) << i;
  }
  renew();
  b.tick();
  const auto reaps = b.take<effect::Reap>();
  ASSERT_EQ(reaps.size(), 1u);
  EXPECT_EQ(reaps[0].beat_seen, 42u);
}

TEST(Dispatcher, LongStallRenewsBeforeItClaims) {
  Bench b;
  b.register_worker(worker_id(1), 1);
  b.answer_claim({});
  b.effects_.clear();
  b.now_ = b.now_ + 30s;
  b.say(event::WorkHint{});
  EXPECT_TRUE(b.take<effect::Claim>().empty());
  EXPECT_EQ(b.take<effect::Renew>().size(), 1u);
  b.say(event::Renewed{RenewAnswer{.live = true, .missing = false, .others = {}, .revokes = {}}});
  EXPECT_EQ(b.take<effect::Claim>().size(), 1u);
}

TEST(Dispatcher, AtMostOnceNeverWaitsInAWorker) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  b.answer_claim({});
  WorkerMessage m = b.message(w, 0, 4);  // no free slot, room for four to wait
  b.say(event::WorkerSaid{m});
  b.say(event::WorkHint{});
  b.answer_claim({1}, Delivery::AtMostOnce);
  for (const auto& message : b.sent_to(w)) EXPECT_TRUE(message.attempts.empty());
  b.pass(limits::kWaitForSlot + 50ms);
  const auto requeues = b.take<effect::Requeue>();
  ASSERT_GE(requeues.size(), 1u);
  EXPECT_EQ(requeues[0].items[0].why, GiveBack::Unstarted);
}

TEST(Dispatcher, AtMostOnceThatWasSentIsLostForGoodWithItsWorker) {
  Bench b;
  b.register_worker(worker_id(1), 1);
  b.answer_claim({1}, Delivery::AtMostOnce);
  b.say(event::WorkerUnroutable{worker_id(1)});
  b.pass(2s);
  const auto requeues = b.take<effect::Requeue>();
  ASSERT_EQ(requeues.size(), 1u);
  EXPECT_EQ(requeues[0].items[0].why, GiveBack::WorkerLost);
  EXPECT_EQ(requeues[0].items[0].failure.kind, ErrorKind::WorkerLost);
}

TEST(Dispatcher, TimeLimitOfTheDispatcherBoundsEveryAttemptAndHasABackstop) {
  Bench b(Mode::Push, 3s);
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  const auto attempts = b.answer_claim({1});
  const auto messages = b.sent_to(w);
  const auto with_attempt = std::ranges::find_if(messages, [](const auto& m) { return !m.attempts.empty(); });
  ASSERT_NE(with_attempt, messages.end());
  EXPECT_EQ(with_attempt->attempts[0].time_limit, 3s);
  b.receive_all(w);
  for (int i = 0; i < 29; ++i) {  // it goes on saying that it runs
    WorkerMessage m = b.message(w, 0);
    m.names_held = true;
    m.held = {held(attempts[0])};
    if (i == 0) m.started = m.held;
    b.say(event::WorkerSaid{m});
    b.pass(500ms);
  }
  EXPECT_TRUE(b.take<effect::Finish>().empty());
  b.pass(1s);
  const auto finishes = b.take<effect::Finish>();
  ASSERT_EQ(finishes.size(), 1u);
  EXPECT_EQ(finishes[0].items[0].outcome.kind, ErrorKind::Timeout);
}

TEST(Dispatcher, PullAnswersOnlyRequestsAndRepeatsAReplyThatWasNotSeen) {
  Bench b(Mode::Pull);
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  b.sent_to(w);  // ACK of the registration
  b.receive_all(w);
  b.say(event::WorkerSaid{b.message(w, 1)});
  b.answer_claim({1});
  const auto first = b.sent_to(w);
  ASSERT_EQ(first.size(), 1u);
  ASSERT_EQ(first[0].attempts.size(), 1u);
  b.say(event::WorkHint{});
  EXPECT_TRUE(b.sent_to(w).empty());      // no request, no message
  WorkerMessage again = b.message(w, 1);  // its ack says that the reply was not seen
  b.say(event::WorkerSaid{again});
  const auto second = b.sent_to(w);
  ASSERT_EQ(second.size(), 1u);
  ASSERT_EQ(second[0].attempts.size(), 1u);
  EXPECT_EQ(second[0].attempts[0].token, first[0].attempts[0].token);
}

TEST(Dispatcher, FunctionBodyIsFetchedOnceForAllThatWantIt) {
  Bench b;
  const Digest digest{{1, 2, 3, 4}};
  for (const std::uint64_t n : {1, 2}) {
    b.register_worker(worker_id(n), 1);
    WorkerMessage m = b.message(worker_id(n), 1);
    m.wants = {digest};
    b.say(event::WorkerSaid{m});
  }
  ASSERT_EQ(b.take<effect::FetchBody>().size(), 1u);
  b.effects_.clear();
  b.say(event::BodyFetched{digest, Payload{Buffer::of("body"), {}}});
  std::size_t bodies = 0;
  for (const auto& send : b.take<effect::Send>()) {
    for (const auto& body : send.message.functions) bodies += body.body.bytes.view() == "body" ? 1 : 0;
  }
  EXPECT_EQ(bodies, 2u);
}

TEST(Dispatcher, TaskClaimedAgainBeforeItsGiveBackWasAnsweredBelongsToItsNewWorkerAlone) {
  Bench b;
  const WorkerId first = worker_id(1), second = worker_id(2);
  b.register_worker(first, 1);
  const auto old = b.answer_claim({1});
  WorkerMessage m = b.message(first, 0);
  m.draining = true;
  m.given_back = {{held(old[0]), GiveBack::Unstarted, {}, {}}};
  b.say(event::WorkerSaid{m});
  const auto requeues = b.take<effect::Requeue>();
  ASSERT_EQ(requeues.size(), 1u);
  b.register_worker(second, 1);
  b.say(event::WorkHint{});
  const auto again = b.answer_claim({1});
  ASSERT_EQ(again.size(), 1u);
  b.say(event::Requeued{requeues[0].batch, std::vector{RequeueAnswer::Queued}});
  b.say(event::WorkerUnroutable{first});
  b.pass(2s);  // the first worker goes; what the second holds is not its to lose
  EXPECT_TRUE(b.take<effect::Requeue>().empty());
  EXPECT_EQ(b.dispatcher_.attempts_held(), 1u);
}

TEST(Dispatcher, RetryOfARaisedExceptionIsOneRequeue) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  auto claims = b.take<effect::Claim>();
  ASSERT_EQ(claims.size(), 1u);
  Attempt attempt;
  attempt.task = task(1);
  attempt.token = claims[0].request.tokens[0];
  attempt.retries_left = 1;
  attempt.retry_delay = 250ms;
  b.say(event::Claimed{claims[0].request.call, ClaimAnswer{.attempts = {attempt}, .no_session = false, .more = false}});
  WorkerMessage m = b.message(w, 1);
  OutcomeReport report = completed(attempt);
  report.outcome.kind = ErrorKind::FunctionFailed;
  m.outcomes = {report};
  b.say(event::WorkerSaid{m});
  EXPECT_TRUE(b.take<effect::Finish>().empty());
  const auto requeues = b.take<effect::Requeue>();
  ASSERT_EQ(requeues.size(), 1u);
  EXPECT_EQ(requeues[0].items[0].why, GiveBack::Retry);
  EXPECT_EQ(requeues[0].items[0].delay, 250ms);
}

}  // namespace
}  // namespace treadle::core

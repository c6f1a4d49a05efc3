#include "core/dispatcher_rig.h"

namespace treadle::core {
namespace {

using namespace testing_rig;

TEST(DispatcherSession, LostClaimAnswerIsAskedForAgainWithTheSameCallAndTokens) {
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

TEST(DispatcherSession, ReapedSessionForgetsItsAttemptsAndAsksEverybodyToRegister) {
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

TEST(DispatcherSession, MissingSessionIsOpenedAgainAndWhatIsHeldReasserted) {
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

// The answer to its opening was lost, or came while we stood still, and another dispatcher has reaped it meanwhile.
TEST(DispatcherSession, ASessionThatIsRefusedIsGivenUpForAnother) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  const auto attempts = b.answer_claim({1});
  b.pass(limits::kSessionRenew + 100ms);
  b.say(event::Renewed{RenewAnswer{.live = false, .missing = true, .others = {}, .revokes = {}}});
  const auto opened = b.take<effect::OpenSession>();
  ASSERT_EQ(opened.size(), 1u);
  b.say(event::SessionOpened{Result<void>(fail(Code::StoreAway, "the answer was lost"))});
  b.pass(300ms);
  const auto again = b.take<effect::OpenSession>();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].session, opened[0].session);
  b.say(event::SessionOpened{Result<void>(fail(Code::Conflict, "it is reaped"))});
  const auto other = b.take<effect::OpenSession>();
  ASSERT_EQ(other.size(), 1u);
  EXPECT_NE(other[0].session, opened[0].session);
  b.say(event::SessionOpened{Result<void>{}});
  const auto asserts = b.take<effect::Reassert>();
  ASSERT_EQ(asserts.size(), 1u);
  EXPECT_EQ(asserts[0].session, other[0].session);
  EXPECT_EQ(asserts[0].items[0].token, attempts[0].token);
}

// Its outcome may be on its way to the store when the session turns out to be missing.
TEST(DispatcherSession, WhatEndsBeforeTheNewSessionIsOpenIsNotReasserted) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 2);
  const auto attempts = b.answer_claim({1, 2});
  b.pass(limits::kSessionRenew + 100ms);
  b.say(event::Renewed{RenewAnswer{.live = false, .missing = true, .others = {}, .revokes = {}}});
  ASSERT_EQ(b.take<effect::OpenSession>().size(), 1u);
  b.register_worker(w, 2, {held(attempts[0]), held(attempts[1])});
  WorkerMessage m = b.message(w, 1);
  m.outcomes = {completed(attempts[0])};
  b.say(event::WorkerSaid{m});
  const auto finishes = b.take<effect::Finish>();
  ASSERT_EQ(finishes.size(), 1u);
  b.say(event::Finished{finishes[0].batch, std::vector{FinishAnswer::Applied}});
  b.say(event::SessionOpened{Result<void>{}});
  const auto asserts = b.take<effect::Reassert>();
  ASSERT_EQ(asserts.size(), 1u);
  ASSERT_EQ(asserts[0].items.size(), 1u);
  EXPECT_EQ(asserts[0].items[0].token, attempts[1].token);
}

// While it stood still its session may have been reaped, and what it holds given away or ended.
TEST(DispatcherSession, DispatcherThatStoodStillSendsNoAttemptBeforeItHasRenewed) {
  Bench b(Mode::Pull);
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  b.sent_to(w);
  b.receive_all(w);
  b.say(event::WorkerSaid{b.message(w, 1)});
  const auto attempts = b.answer_claim({1}, Delivery::AtMostOnce);
  ASSERT_EQ(b.sent_to(w).size(), 1u);  // and it never arrives
  b.pass(100ms);
  b.take<effect::Renew>();
  b.now_ = b.now_ + limits::kSessionTtl * 2;
  b.say(event::WorkerSaid{b.message(w, 1)});
  EXPECT_TRUE(b.sent_to(w).empty());
  ASSERT_EQ(b.take<effect::Renew>().size(), 1u);
  b.say(event::Renewed{RenewAnswer{.live = true, .missing = false, .others = {}, .revokes = {}}});
  const auto messages = b.sent_to(w);
  ASSERT_EQ(messages.size(), 1u);
  ASSERT_EQ(messages[0].attempts.size(), 1u);
  EXPECT_EQ(messages[0].attempts[0].token, attempts[0].token);
}

TEST(DispatcherSession, SessionWhoseBeatStandsStillIsReapedNotBefore) {
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

TEST(DispatcherSession, LongStallRenewsBeforeItClaims) {
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

TEST(DispatcherSession, AtMostOnceNeverWaitsInAWorker) {
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

TEST(DispatcherSession, AtMostOnceThatWasSentIsLostForGoodWithItsWorker) {
  Bench b;
  b.register_worker(worker_id(1), 1);
  b.answer_claim({1}, Delivery::AtMostOnce);
  b.say(event::WorkerUnroutable{worker_id(1)});
  b.pass(limits::kStartFreshness + 2s);
  const auto requeues = b.take<effect::Requeue>();
  ASSERT_EQ(requeues.size(), 1u);
  EXPECT_EQ(requeues[0].items[0].why, GiveBack::WorkerLost);
  EXPECT_EQ(requeues[0].items[0].failure.kind, ErrorKind::WorkerLost);
}

TEST(DispatcherSession, StopLeavesTheWorkersAloneAndEndsWhenAllIsWithTheStore) {
  Bench b(Mode::Push);
  const WorkerId w = worker_id(1);
  b.register_worker(w, 2);
  const auto attempts = b.answer_claim({1, 2});
  b.sent_to(w);
  b.receive_all(w);
  WorkerMessage m = b.message(w, 1);
  m.outcomes = {completed(attempts[0])};
  b.say(event::WorkerSaid{m});
  const auto finishes = b.take<effect::Finish>();
  ASSERT_EQ(finishes.size(), 1u);
  b.say(event::DrainAsked{.workers_too = false});
  for (const auto& message : b.sent_to(w)) EXPECT_FALSE(message.drain);
  EXPECT_FALSE(b.dispatcher_.quiet());
  b.say(event::Finished{finishes[0].batch, std::vector{FinishAnswer::Applied}});
  EXPECT_TRUE(b.dispatcher_.quiet());
  EXPECT_EQ(b.dispatcher_.attempts_held(), 1u);  // the other one goes on in its worker
  EXPECT_TRUE(b.take<effect::Requeue>().empty());
}

// The hint of a cancel may overtake the answer to the claim.
TEST(DispatcherSession, ACancelOfAnAttemptThatIsBeingClaimedIsNotForgotten) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  const auto claims = b.take<effect::Claim>();
  ASSERT_EQ(claims.size(), 1u);
  Attempt attempt;
  attempt.task = task(1);
  attempt.token = claims[0].request.tokens.at(0);
  b.say(event::RevokeHint{{held(attempt)}});
  b.say(event::Claimed{claims[0].request.call, ClaimAnswer{{attempt}, false, false}});
  b.pass(limits::kSessionRenew + 100ms);
  const auto renewals = b.take<effect::Renew>();
  ASSERT_EQ(renewals.size(), 1u);
  EXPECT_TRUE(renewals[0].revokes_done.empty());
  b.sent_to(w);
  b.say(event::Renewed{RenewAnswer{.live = true, .missing = false, .others = {}, .revokes = {held(attempt)}}});
  const auto messages = b.sent_to(w);
  ASSERT_EQ(messages.size(), 1u);
  ASSERT_EQ(messages[0].revokes.size(), 1u);
  EXPECT_EQ(messages[0].revokes[0].attempt, held(attempt));
}

// Any word of it would vouch for the attempts that its worker has, and they may be somebody else's.
TEST(DispatcherSession, ADispatcherThatStoodStillSaysNothingBeforeItHasRenewed) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  b.sent_to(w);
  b.now_ = b.now_ + limits::kSessionTtl;  // in one step: a stall
  WorkerMessage m = b.message(w, 1);
  m.wants = {Digest{}};
  b.say(event::WorkerSaid{m});
  b.pass(limits::kHeartbeatInterval * 2);
  EXPECT_TRUE(b.sent_to(w).empty());
  b.say(event::Renewed{RenewAnswer{.live = true, .missing = false, .others = {}, .revokes = {}}});
  EXPECT_EQ(b.sent_to(w).size(), 1u);
}

// Of a store in parts, one may be away: what the others have is over, whoever came in one batch with it.
TEST(DispatcherSession, OutcomesOfAPartThatIsAwayDoNotHoldUpTheOthers) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 8);
  const auto attempts = b.answer_claim({1, 2, 3, 4, 5});
  b.receive_all(w);
  WorkerMessage m = b.message(w, 8);
  for (const Attempt& attempt : attempts) m.outcomes.push_back(completed(attempt));
  b.say(event::WorkerSaid{m});
  const TaskId away = attempts[2].task;
  for (int round = 0; round < 5; ++round) {
    for (const auto& finish : b.take<effect::Finish>()) {
      std::vector<FinishAnswer> answers;
      bool all_there = true;
      for (const FinishItem& item : finish.items) {
        all_there &= item.task != away;
        answers.push_back(FinishAnswer::Duplicate);
      }
      if (all_there)
        b.say(event::Finished{finish.batch, answers});
      else
        b.say(event::Finished{finish.batch, Result<std::vector<FinishAnswer>>(fail(Code::StoreAway, "gone"))});
    }
    b.pass(1s);
  }
  b.pass(2100ms);
  EXPECT_EQ(b.dispatcher_.attempts_held(), 1u);
  EXPECT_EQ(b.dispatcher_.figures().ending, 1u);
  const auto last = b.take<effect::Finish>();
  ASSERT_EQ(last.size(), 1u);
  ASSERT_EQ(last[0].items.size(), 1u);
  EXPECT_EQ(last[0].items[0].task, away);
  b.say(event::Finished{last[0].batch, std::vector{FinishAnswer::Applied}});
  EXPECT_EQ(b.dispatcher_.attempts_held(), 0u);
}

// Else the attempt would belong to a session that does not know it.
TEST(DispatcherSession, AnAdoptionWithoutAnAnswerIsRepeatedEvenIfTheWorkerIsGone) {
  Bench b;
  const WorkerId w = worker_id(1);
  const Held attempt{task(1), Token{11}};
  b.register_worker(w, 1, {attempt});
  const auto first = b.take<effect::Adopt>();
  ASSERT_EQ(first.size(), 1u);
  b.register_worker(w, 1, {}, 2);  // killed, and there again without it
  b.say(event::Adopted{first[0].batch, Result<std::vector<AdoptAnswer>>(fail(Code::StoreAway, "lost"))});
  EXPECT_TRUE(b.take<effect::Adopt>().empty());
  b.pass(limits::kHintPoll + 50ms);
  const auto again = b.take<effect::Adopt>();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].items, std::vector<Held>{attempt});
  b.say(event::Adopted{again[0].batch, std::vector{AdoptAnswer::Adopted}});
  EXPECT_EQ(b.dispatcher_.attempts_held(), 1u);
}

TEST(DispatcherSession, AReassertionWithoutAnAnswerIsRepeated) {
  Bench b;
  b.register_worker(worker_id(1), 1);
  const auto attempts = b.answer_claim({1});
  b.pass(limits::kSessionRenew + 100ms);
  b.say(event::Renewed{RenewAnswer{.live = false, .missing = true, .others = {}, .revokes = {}}});
  b.say(event::SessionOpened{Result<void>{}});
  const auto first = b.take<effect::Reassert>();
  ASSERT_EQ(first.size(), 1u);
  b.say(event::Adopted{first[0].batch, Result<std::vector<AdoptAnswer>>(fail(Code::StoreAway, "lost"))});
  b.pass(limits::kHintPoll + 50ms);
  const auto again = b.take<effect::Reassert>();
  ASSERT_EQ(again.size(), 1u);
  ASSERT_EQ(again[0].items.size(), 1u);
  EXPECT_EQ(again[0].items[0].token, attempts[0].token);
}

// A token that is refused may count again when its old owner has re-asserted it: only the store knows of cancels.
TEST(DispatcherSession, WhatWasStoppedSinceItsAdoptionWasRefusedDoesNotEndAsCancelled) {
  Bench b;
  const WorkerId w = worker_id(1);
  const Held attempt{task(1), Token{11}};
  b.register_worker(w, 1, {attempt});
  const auto adopts = b.take<effect::Adopt>();
  ASSERT_EQ(adopts.size(), 1u);
  b.say(event::Adopted{adopts[0].batch, std::vector{AdoptAnswer::Refused}});
  WorkerMessage m = b.message(w, 1);
  OutcomeReport report{attempt, {}};
  report.outcome.kind = ErrorKind::Cancelled;
  m.outcomes = {report};
  b.say(event::WorkerSaid{m});
  EXPECT_TRUE(b.take<effect::Finish>().empty());
  const auto requeues = b.take<effect::Requeue>();
  ASSERT_EQ(requeues.size(), 1u);
  EXPECT_EQ(requeues[0].items.at(0).token, attempt.token);
  EXPECT_EQ(requeues[0].items.at(0).why, GiveBack::WorkerLost);
}

// The same, and its adoption succeeded after all before the worker had stopped it.
TEST(DispatcherSession, WhatWasStoppedBeforeItsAdoptionSucceededEndsAsCancelledOnlyIfSomebodyAsked) {
  for (const bool asked : {false, true}) {
    Bench b;
    const WorkerId w = worker_id(1);
    const Held attempt{task(1), Token{11}};
    b.register_worker(w, 1, {attempt});
    b.say(event::Adopted{b.take<effect::Adopt>().at(0).batch, std::vector{AdoptAnswer::Refused}});
    WorkerMessage beat = b.message(w, 0);
    beat.names_held = true;
    beat.held = {attempt};
    b.say(event::WorkerSaid{beat});
    b.say(event::Adopted{b.take<effect::Adopt>().at(0).batch, std::vector{AdoptAnswer::Adopted}});
    if (asked) b.say(event::RevokeHint{{attempt}});
    WorkerMessage m = b.message(w, 1);
    OutcomeReport report{attempt, {}};
    report.outcome.kind = ErrorKind::Cancelled;
    m.outcomes = {report};
    b.say(event::WorkerSaid{m});
    EXPECT_EQ(b.take<effect::Finish>().size(), asked ? 1u : 0u);
    EXPECT_EQ(b.take<effect::Requeue>().size(), asked ? 0u : 1u);
  }
}

TEST(DispatcherSession, ALateAnswerToAClaimOfTheLostSessionIsNotTakenForOneOfTheNext) {
  Bench b;
  b.register_worker(worker_id(1), 1);
  const auto before = b.take<effect::Claim>();
  ASSERT_EQ(before.size(), 1u);
  b.pass(limits::kSessionRenew + 100ms);
  b.say(event::Renewed{RenewAnswer{.live = false, .missing = true, .others = {}, .revokes = {}}});
  b.say(event::SessionOpened{Result<void>{}});
  const auto after = b.take<effect::Claim>();
  ASSERT_EQ(after.size(), 1u);
  EXPECT_NE(after[0].request.session, before[0].request.session);
  b.say(event::Claimed{before[0].request.call, ClaimAnswer{}});
  Attempt attempt;
  attempt.task = task(1);
  attempt.token = after[0].request.tokens.at(0);
  b.say(event::Claimed{after[0].request.call, ClaimAnswer{{attempt}, false, false}});
  EXPECT_EQ(b.dispatcher_.attempts_held(), 1u);
}

// The store refused the give-back since the attempt was another's then; by the time we hear of it, it is ours.
TEST(DispatcherSession, WhatIsGivenBackWhileItIsAdoptedIsGivenBackAgain) {
  Bench b;
  const WorkerId w = worker_id(1);
  const Held attempt{task(1), Token{11}};
  b.register_worker(w, 1, {attempt});
  const auto adopts = b.take<effect::Adopt>();
  ASSERT_EQ(adopts.size(), 1u);
  b.sent_to(w);
  WorkerMessage m = b.message(w, 1);
  GivenBack given;
  given.attempt = attempt;
  m.given_back = {given};
  b.say(event::WorkerSaid{m});
  const auto first = b.take<effect::Requeue>();
  ASSERT_EQ(first.size(), 1u);
  b.say(event::Adopted{adopts[0].batch, std::vector{AdoptAnswer::Adopted}});
  b.say(event::Requeued{first[0].batch, std::vector{RequeueAnswer::Stale}});
  const auto again = b.take<effect::Requeue>();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].items.at(0).token, attempt.token);
  for (const auto& message : b.sent_to(w)) EXPECT_TRUE(message.settled.empty());
  b.say(event::Requeued{again[0].batch, std::vector{RequeueAnswer::Queued}});
  const auto messages = b.sent_to(w);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].settled, std::vector<Held>{attempt});
  EXPECT_EQ(b.dispatcher_.attempts_held(), 0u);
}

// It lay in the queue while we stood still: since then the session may have been reaped.
TEST(DispatcherSession, AnAnswerToARenewalFromBeforeTheStallDoesNotCount) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  b.sent_to(w);
  b.pass(limits::kSessionRenew + 100ms);
  ASSERT_EQ(b.take<effect::Renew>().size(), 1u);
  b.sent_to(w);
  b.now_ = b.now_ + limits::kSessionTtl;  // in one step: a stall
  const RenewAnswer live{.live = true, .missing = false, .others = {}, .revokes = {}};
  b.say(event::Renewed{live});
  WorkerMessage m = b.message(w, 1);
  m.wants = {Digest{}};
  b.say(event::WorkerSaid{m});
  b.pass(limits::kHeartbeatInterval);
  EXPECT_TRUE(b.sent_to(w).empty());
  ASSERT_EQ(b.take<effect::Renew>().size(), 1u);  // another one was asked for at once
  b.say(event::Renewed{live});
  EXPECT_EQ(b.sent_to(w).size(), 1u);
}

}  // namespace
}  // namespace treadle::core

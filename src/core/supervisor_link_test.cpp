// Sessions, numbers, heartbeats, credit, and outcomes that are repeated until settled.
#include <gtest/gtest.h>

#include "core/supervisor_rig.h"

namespace treadle::core {
namespace {

using namespace testing_rig;

SupervisorConfig remote_config(std::uint32_t slots) {
  SupervisorConfig config = local_config(slots);
  config.info.in_process = false;
  config.heartbeat_when_idle = true;
  return config;
}

TEST(SupervisorLink, RegistersAgainUntilItIsAnsweredAndSlowsDown) {
  Rig rig(remote_config(1));
  rig.turn();
  rig.advance(900ms);
  EXPECT_EQ(rig.said.size(), 1u);
  rig.advance(300ms);
  ASSERT_EQ(rig.said.size(), 2u);
  EXPECT_TRUE(rig.said[1].registers);
  EXPECT_GT(rig.said[1].seq, rig.said[0].seq);
  rig.advance(1900ms);
  EXPECT_EQ(rig.said.size(), 2u);
  rig.advance(300ms);
  EXPECT_EQ(rig.said.size(), 3u);
  rig.registered();
  rig.said.clear();
  rig.advance(500ms);
  EXPECT_TRUE(rig.said.empty());
}

TEST(SupervisorLink, HeartbeatsNameWhatIsHeld) {
  Rig rig = Rig::started(remote_config(1));
  rig.give({attempt(1), attempt(2)});
  rig.give_body(1);
  rig.finish(1, 1ms);
  rig.said.clear();
  rig.advance(1s);
  ASSERT_FALSE(rig.said.empty());
  const WorkerMessage& heartbeat = rig.said.back();
  EXPECT_TRUE(heartbeat.names_held);
  EXPECT_EQ(heartbeat.held.size(), 2u);  // one waits or runs, one has an outcome that is not settled
  EXPECT_EQ(heartbeat.ack, rig.seq);
  EXPECT_EQ(heartbeat.session, kSession);
}

TEST(SupervisorLink, AnIdleLocalWorkerSaysNothing) {
  Rig rig = Rig::started(local_config(1));
  rig.said.clear();
  rig.advance(40s);  // past the look at executors that might not have started
  EXPECT_EQ(rig.supervisor.next_deadline(), Instant::never());
  EXPECT_TRUE(rig.said.empty());
}

TEST(SupervisorLink, AMessageWithANumberAlreadySeenIsNotActedOn) {
  Rig rig = Rig::started(remote_config(2));
  DispatcherMessage m = rig.message();
  m.attempts.push_back(attempt(1));
  rig.say(m);
  rig.give_body(1);
  m.attempts.push_back(attempt(2));
  rig.say(m);
  EXPECT_EQ(rig.supervisor.view().held, 1u);
  EXPECT_EQ(rig.supervisor.counters().duplicates, 1u);
}

TEST(SupervisorLink, ATokenSeenBeforeIsNeverBegunAgain) {
  Rig rig = Rig::started(remote_config(2));
  rig.give({attempt(1)});
  rig.give_body(1);
  rig.finish(rig.runner(1), 1ms);
  rig.settle_all();
  rig.give({attempt(1)});
  EXPECT_EQ(rig.runner(1), 0u);
  EXPECT_EQ(rig.supervisor.view().held, 0u);
}

TEST(SupervisorLink, PingIsAnswered) {
  Rig rig = Rig::started(remote_config(1));
  rig.said.clear();
  DispatcherMessage m = rig.message();
  m.ping = true;
  rig.say(std::move(m));
  ASSERT_EQ(rig.said.size(), 1u);
  EXPECT_EQ(rig.said[0].ack, rig.seq);
}

TEST(SupervisorLink, AnotherSessionGetsARegistrationWithAllThatIsHeld) {
  Rig rig = Rig::started(remote_config(1));
  rig.give({attempt(1), attempt(2)});
  rig.give_body(1);
  rig.finish(1, 1ms);
  rig.advance(5ms);  // 2 runs, and was reported
  rig.said.clear();
  rig.session = SessionId{Uuid{9, 2}};
  rig.seq = 0;
  DispatcherMessage stray;
  stray.session = rig.session;
  stray.reregister = true;
  rig.say(stray);
  ASSERT_EQ(rig.said.size(), 1u);
  EXPECT_TRUE(rig.said[0].registers);
  EXPECT_TRUE(rig.said[0].session.is_nil());
  EXPECT_EQ(rig.said[0].ack, 0u);
  EXPECT_EQ(rig.said[0].held.size(), 2u);
  rig.registered();
  ASSERT_EQ(rig.said.size(), 2u);
  EXPECT_EQ(rig.said[1].session, rig.session);
  EXPECT_EQ(rig.said[1].ack, 1u);
  ASSERT_EQ(rig.said[1].outcomes.size(), 1u);  // said again
  ASSERT_EQ(rig.said[1].started.size(), 1u);
  EXPECT_EQ(rig.said[1].started[0].token, Token{2});
}

TEST(SupervisorLink, AttemptsOfAnotherSessionAreNotTaken) {
  Rig rig = Rig::started(remote_config(1));
  rig.session = SessionId{Uuid{9, 2}};
  rig.give({attempt(1)});
  EXPECT_EQ(rig.supervisor.view().held, 0u);
  EXPECT_TRUE(rig.said.back().registers);
}

TEST(SupervisorLink, NothingIsSaidWhileTheLinkIsDown) {
  Rig rig = Rig::started(remote_config(1));
  rig.give({attempt(1)});
  rig.give_body(1);
  rig.step(event::LinkDown{});
  rig.said.clear();
  rig.finish(1, 1ms);
  rig.advance(5s);
  EXPECT_TRUE(rig.said.empty());
  rig.step(event::LinkUp{});
  rig.turn();
  ASSERT_EQ(rig.said.size(), 1u);
  EXPECT_TRUE(rig.said[0].registers);
  rig.registered();
  EXPECT_EQ(rig.outcomes().size(), 1u);
}

TEST(SupervisorLink, AnOutcomeIsRepeatedUntilItIsSettled) {
  Rig rig = Rig::started(remote_config(1));
  rig.give({attempt(1)});
  rig.give_body(1);
  rig.finish(1, 1ms);
  EXPECT_EQ(rig.outcomes().size(), 1u);
  for (int i = 0; i < 7; ++i) rig.advance(1s);
  EXPECT_EQ(rig.outcomes().size(), 3u);
  rig.settle_all();
  for (int i = 0; i < 7; ++i) rig.advance(1s);
  EXPECT_EQ(rig.outcomes().size(), 3u);
}

TEST(SupervisorLink, TooManyUnsettledOutcomesCloseTheCredit) {
  Rig rig = Rig::started(local_config(1));
  rig.give({attempt(1)});
  rig.give_body(1);
  rig.finish(1, 10us);
  std::uint64_t n = 2;
  for (; rig.said.back().free_slots > 0 && n < 3000; ++n) {
    rig.give({attempt(n)});
    rig.finish(1, 10us);
  }
  EXPECT_EQ(n, limits::kOutcomeBufferItems + 2);
  EXPECT_EQ(rig.said.back().prefetch, 0u);
  rig.settle_all();
  EXPECT_EQ(rig.said.back().free_slots, 1u);
}

TEST(SupervisorLink, AWorkerWithoutADispatcherAndWithoutWorkNeedsNoGoodbye) {
  Rig rig = Rig::started(remote_config(1));
  rig.step(event::LinkDown{});
  rig.step(event::WorkerDrainAsked{});
  rig.turn();
  EXPECT_TRUE(rig.supervisor.drained());
}

TEST(SupervisorLink, ABigOutcomeBufferIsSaidInSeveralMessages) {
  Rig rig = Rig::started(remote_config(1));
  rig.teach(1, 1us);
  rig.step(event::LinkDown{});
  std::vector<Attempt> many;
  for (std::uint64_t n = 10; n < 310; ++n) many.push_back(attempt(n));
  rig.give(std::move(many));
  for (int i = 0; i < 300; ++i) rig.finish(1, 1us);
  rig.step(event::LinkUp{});
  rig.turn();
  rig.said.clear();
  rig.registered();
  EXPECT_EQ(rig.outcomes().size(), 256u);
  EXPECT_LE(rig.supervisor.next_deadline(), rig.now);
  rig.turn();
  EXPECT_EQ(rig.outcomes().size(), 300u);
}

TEST(SupervisorLink, AtMostOnceBeginsOnlyWithFreshProofOfTheDispatcher) {
  Rig rig = Rig::started(remote_config(1));
  Attempt a = attempt(1);
  a.delivery = Delivery::AtMostOnce;
  DispatcherMessage late = rig.message();  // written before the worker stood still for 30 s
  late.attempts.push_back(a);
  late.functions.push_back(body(1));
  rig.now = rig.now + 30s;
  rig.say(late);
  EXPECT_EQ(rig.runner(1), 0u);
  rig.advance(50ms);
  ASSERT_EQ(rig.given_back().size(), 1u);
  EXPECT_EQ(rig.given_back()[0].why, GiveBack::Unstarted);
  a = attempt(2);
  a.delivery = Delivery::AtMostOnce;
  rig.give({a});  // acknowledges what was said just now
  EXPECT_EQ(rig.runner(2), 1u);
}

// It may have been given up while this worker was not known; the revoke comes after the answer to the registration.
TEST(SupervisorLink, AtMostOnceFromBeforeARegistrationIsGivenBackUnstarted) {
  Rig rig = Rig::started(remote_config(1));
  Attempt a = attempt(1);
  a.delivery = Delivery::AtMostOnce;
  rig.give({a, attempt(2)});  // they wait for the body of their function
  DispatcherMessage again = rig.message();
  again.reregister = true;
  rig.say(again);
  rig.registered();
  rig.give_body(1);
  EXPECT_EQ(rig.runner(1), 0u);
  EXPECT_EQ(rig.runner(2), 1u);
  ASSERT_EQ(rig.given_back().size(), 1u);
  EXPECT_EQ(rig.given_back()[0].attempt.task, a.task);
  EXPECT_EQ(rig.given_back()[0].why, GiveBack::Unstarted);
}

TEST(SupervisorLink, AtMostOnceIsAloneInItsExecutor) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 1us);
  Attempt a = attempt(10);
  a.delivery = Delivery::AtMostOnce;
  rig.give({a, attempt(11)});
  EXPECT_EQ(rig.executors.at(1).tasks.size(), 1u);
  a = attempt(12);
  a.delivery = Delivery::AtMostOnce;
  rig.finish(1, 1us);
  rig.give({a});
  EXPECT_EQ(rig.executors.at(1).tasks.size(), 1u);
  EXPECT_EQ(rig.runner(11), 1u);
}

TEST(SupervisorLink, ADrainingDispatcherGetsBackWhatHasNotBegun) {
  Rig rig = Rig::started(remote_config(1));
  rig.give({attempt(1), attempt(2)});
  rig.give_body(1);
  DispatcherMessage m = rig.message();
  m.drain = true;
  rig.say(std::move(m));
  ASSERT_EQ(rig.given_back().size(), 1u);
  EXPECT_EQ(rig.given_back()[0].attempt.token, Token{2});
  EXPECT_FALSE(rig.said.back().draining);  // the worker stays, for the next dispatcher
  EXPECT_EQ(rig.said.back().free_slots, 0u);
}

}  // namespace
}  // namespace treadle::core

// Time limits, cancel, drain and blame.
#include <gtest/gtest.h>

#include "core/supervisor_rig.h"

namespace treadle::core {
namespace {

using namespace testing_rig;

constexpr int kSegv = 11;

Attempt limited(std::uint64_t n, Duration limit) {
  Attempt a = attempt(n);
  a.time_limit = limit;
  return a;
}

Attempt once(std::uint64_t n) {
  Attempt a = attempt(n);
  a.delivery = Delivery::AtMostOnce;
  return a;
}

TEST(SupervisorKill, AtTheTimeLimitComeRecallStackSigtermGraceAndKill) {
  Rig rig = Rig::started(local_config(1));
  rig.give({limited(1, 1s)});
  rig.give_body(1);
  rig.advance(999ms);
  EXPECT_EQ(rig.executors.at(1).signals, 0);
  rig.advance(1ms);
  EXPECT_EQ(rig.executors.at(1).signals, 1);
  EXPECT_TRUE(rig.executors.at(1).dumped);
  EXPECT_FALSE(rig.executors.at(1).killed);
  EXPECT_EQ(rig.supervisor.view().slots_used, 1u);  // user code still runs
  rig.advance(2s);
  EXPECT_TRUE(rig.executors.at(1).killed);
  event::ExecutorDied died;
  died.stack = "File x";
  rig.die(1, 9, died);
  ASSERT_EQ(rig.outcomes().size(), 1u);
  const Outcome outcome = rig.outcomes()[0].outcome;
  EXPECT_EQ(outcome.kind, ErrorKind::Timeout);
  EXPECT_EQ(outcome.error_message, "the time limit of 1 s passed; the function was ended");
  EXPECT_EQ(outcome.traceback, "File x");
  EXPECT_EQ(outcome.measures.signal, 9);
  EXPECT_EQ(rig.supervisor.view().slots_used, 0u);
  rig.ready_all();
  rig.give({attempt(2)});
  EXPECT_NE(rig.runner(2), 0u);  // the slot works again
}

TEST(SupervisorKill, AResultThatComesDuringGraceIsTooLate) {
  Rig rig = Rig::started(local_config(1));
  rig.give({limited(1, 1s)});
  rig.give_body(1);
  rig.advance(1s);
  event::TaskDone done;
  done.stack = "the stack";
  rig.finish(1, 10ms, done);
  EXPECT_TRUE(rig.outcomes().empty());
  EXPECT_TRUE(rig.executors.at(1).killed);
  rig.die(1, 9);
  ASSERT_EQ(rig.outcomes().size(), 1u);
  EXPECT_EQ(rig.outcomes()[0].outcome.kind, ErrorKind::Timeout);
  EXPECT_EQ(rig.outcomes()[0].outcome.traceback, "the stack");
}

TEST(SupervisorKill, TheLimitRunsFromTheMomentThatTheExecutorIsReady) {
  Rig rig(local_config(1));
  rig.turn();
  rig.registered();
  rig.give({limited(1, 100ms)});
  rig.give_body(1);
  rig.advance(5s);
  rig.ready_all();
  rig.advance(99ms);
  EXPECT_EQ(rig.executors.at(1).signals, 0);
  rig.advance(1ms);
  EXPECT_EQ(rig.executors.at(1).signals, 1);
}

TEST(SupervisorKill, ASecondTaskIsTimedFromTheEndOfTheFirst) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 1us);
  rig.give({limited(10, 4ms), limited(11, 4ms)});
  ASSERT_EQ(rig.executors.at(1).tasks.size(), 2u);
  rig.finish(1, 3ms);
  rig.advance(3900us);
  EXPECT_EQ(rig.executors.at(1).signals, 0);
  rig.advance(100us);
  EXPECT_EQ(rig.executors.at(1).signals, 1);
}

TEST(SupervisorKill, CancelOfAWaitingTaskIsAtOnce) {
  Rig rig = Rig::started(local_config(1));
  rig.give({attempt(1), attempt(2)});
  rig.give_body(1);
  rig.revoke(2, true);
  ASSERT_EQ(rig.outcomes().size(), 1u);
  EXPECT_EQ(rig.outcomes()[0].attempt.token, Token{2});
  EXPECT_EQ(rig.outcomes()[0].outcome.kind, ErrorKind::Cancelled);
  rig.finish(1, 1ms);
  EXPECT_EQ(rig.runner(2), 0u);
}

TEST(SupervisorKill, CancelOfATaskThatWaitsForItsBodyIsAtOnce) {
  Rig rig = Rig::started(local_config(1));
  rig.give({attempt(1, 5)});
  rig.revoke(1, true);
  ASSERT_EQ(rig.outcomes().size(), 1u);
  rig.give_body(5);
  EXPECT_EQ(rig.runner(1), 0u);
}

TEST(SupervisorKill, CancelOfARunningTaskHitsOnlyIt) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 10us);
  rig.give({attempt(10), attempt(11)});
  ASSERT_EQ(rig.executors.at(1).tasks.size(), 2u);
  rig.revoke(10, true);
  EXPECT_EQ(rig.executors.at(1).tasks.size(), 1u);  // 11 was recalled first
  EXPECT_EQ(rig.executors.at(1).signals, 1);
  rig.die(1, 15);
  rig.ready_all();
  ASSERT_EQ(rig.outcomes().size(), 1u);
  EXPECT_EQ(rig.outcomes()[0].attempt.token, Token{10});
  EXPECT_EQ(rig.outcomes()[0].outcome.kind, ErrorKind::Cancelled);
  EXPECT_NE(rig.runner(11), 0u);
  EXPECT_TRUE(rig.given_back().empty());
}

TEST(SupervisorKill, CancelOfATaskBehindAnotherRecallsItWithoutASignal) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 10us);
  rig.give({attempt(10), attempt(11)});
  rig.revoke(11, true);
  EXPECT_EQ(rig.executors.at(1).signals, 0);
  ASSERT_EQ(rig.outcomes().size(), 1u);
  EXPECT_EQ(rig.outcomes()[0].outcome.kind, ErrorKind::Cancelled);
  rig.finish(1, 10us);
  EXPECT_EQ(rig.outcomes().back().attempt.token, Token{10});
  EXPECT_TRUE(rig.outcomes().back().outcome.completed());
}

// Its predecessor's result is in the socket already, so the signal has to wait for it.
TEST(SupervisorKill, CancelWaitsForAResultThatIsOnItsWay) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 10us);
  rig.give({attempt(10), attempt(11)});
  FakeExecutor& executor = rig.executors.at(1);
  const FakeExecutor::Task first = executor.tasks.front();
  executor.tasks.pop_front();  // 11 has begun
  rig.revoke(11, true);
  EXPECT_EQ(executor.signals, 0);
  event::TaskDone done;
  done.no = ExecutorNo{1};
  done.seq = first.seq;
  rig.step(ExecutorEvent{done});
  EXPECT_EQ(executor.signals, 1);
  rig.turn();
  ASSERT_EQ(rig.outcomes().size(), 1u);
  EXPECT_EQ(rig.outcomes()[0].attempt.token, Token{10});
  rig.die(1, 15);
  EXPECT_EQ(rig.outcomes().back().attempt.token, Token{11});
  EXPECT_EQ(rig.outcomes().back().outcome.kind, ErrorKind::Cancelled);
}

TEST(SupervisorKill, TheTrueOutcomeWinsIfItComesBeforeTheSignal) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 10us);
  rig.give({attempt(10), attempt(11)});
  FakeExecutor& executor = rig.executors.at(1);
  const auto tasks = std::exchange(executor.tasks, {});  // both are over, their results on the way
  executor.begun = false;
  rig.revoke(11, true);
  for (const auto& task : tasks) {
    event::TaskDone done;
    done.no = ExecutorNo{1};
    done.seq = task.seq;
    if (task.task.lo == 11) {
      EXPECT_EQ(executor.signals, 1);  // sent to a process that is outside user code by now: it does nothing there
    }
    rig.step(ExecutorEvent{done});
  }
  rig.turn();
  EXPECT_EQ(rig.outcomes().size(), 1u);
  rig.die(1, 9);
  EXPECT_EQ(rig.outcomes().back().outcome.kind, ErrorKind::Cancelled);
}

TEST(SupervisorKill, RevokeWithoutKillGivesBackOnlyWhatHasNotBegun) {
  Rig rig = Rig::started(local_config(1));
  rig.give({attempt(1), attempt(2)});
  rig.give_body(1);
  rig.revoke(1, false);
  rig.revoke(2, false);
  ASSERT_EQ(rig.given_back().size(), 1u);
  EXPECT_EQ(rig.given_back()[0].attempt.token, Token{2});
  EXPECT_EQ(rig.given_back()[0].why, GiveBack::Unstarted);
  EXPECT_EQ(rig.executors.at(1).signals, 0);
  rig.finish(1, 1ms);
  EXPECT_TRUE(rig.outcomes().at(0).outcome.completed());
}

TEST(SupervisorKill, FirstAndAloneInItsExecutorIsBlamed) {
  Rig rig = Rig::started(local_config(1));
  rig.give({attempt(1)});
  rig.give_body(1);
  event::ExecutorDied died;
  died.stack = "Fatal Python error";
  rig.die(1, kSegv, died);
  ASSERT_EQ(rig.given_back().size(), 1u);
  const GivenBack given = rig.given_back()[0];
  EXPECT_EQ(given.why, GiveBack::Killed);
  EXPECT_EQ(given.last_error, "the executor was ended by SIGSEGV while the function ran");
  EXPECT_EQ(given.failure.kind, ErrorKind::Crashed);
  EXPECT_EQ(given.failure.traceback, "Fatal Python error");
  EXPECT_EQ(given.failure.measures.signal, kSegv);
  EXPECT_FALSE(given.failure.result.bytes.empty());
}

TEST(SupervisorKill, InAnExecutorThatRanOthersItIsASuspect) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 10us);
  rig.give({attempt(10), attempt(11)});
  rig.die(1, 3 << 8);
  ASSERT_EQ(rig.given_back().size(), 1u);  // 11 has not begun: it goes on elsewhere, unburnt
  EXPECT_EQ(rig.given_back()[0].attempt.token, Token{10});
  EXPECT_EQ(rig.given_back()[0].why, GiveBack::Suspect);
  EXPECT_EQ(rig.given_back()[0].last_error, "the executor exited with code 3 while the function ran");
  rig.ready_all();
  EXPECT_NE(rig.runner(11), 0u);
}

TEST(SupervisorKill, ASuspectRunsAloneInAnExecutorThatRanNothing) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 10us);
  Attempt suspect = attempt(10);
  suspect.suspect = true;
  rig.give({suspect, attempt(11)});
  ASSERT_NE(rig.runner(10), 0u);
  EXPECT_NE(rig.runner(10), 1u);
  EXPECT_EQ(rig.runner(11), 0u);  // never behind a suspect
  rig.ready_all();
  rig.die(rig.runner(10), kSegv);
  EXPECT_EQ(rig.given_back().at(0).why, GiveBack::Killed);
}

TEST(SupervisorKill, AtMostOnceEndsCrashed) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 10us);
  rig.give({once(10)});
  rig.die(1, kSegv);
  ASSERT_EQ(rig.outcomes().size(), 1u);
  EXPECT_EQ(rig.outcomes()[0].outcome.kind, ErrorKind::Crashed);
  EXPECT_TRUE(rig.given_back().empty());
}

TEST(SupervisorKill, ABrokenProtocolIsBlamedOnTheRunningTask) {
  Rig rig = Rig::started(local_config(1));
  rig.give({attempt(1)});
  rig.give_body(1);
  event::ExecutorDied died;
  died.protocol_error = "a frame of 4 GiB";
  rig.die(1, 9, died);
  EXPECT_EQ(rig.given_back().at(0).why, GiveBack::Killed);
  EXPECT_NE(rig.given_back().at(0).last_error.find("a frame of 4 GiB"), std::string::npos);
}

TEST(SupervisorKill, NobodyIsBlamedForALostGuard) {
  Rig rig = Rig::started(local_config(2));
  rig.give({attempt(1), once(2)});
  rig.give_body(1);
  event::ExecutorDied died;
  died.guard_lost = true;
  rig.die(rig.runner(1), 9, died);
  rig.die(rig.runner(2), 9, died);
  EXPECT_EQ(rig.given_back().at(0).why, GiveBack::Unstarted);
  EXPECT_EQ(rig.outcomes().at(0).outcome.kind, ErrorKind::WorkerLost);
}

TEST(SupervisorKill, MoreMemoryThanAllowedIsTheEnd) {
  Rig rig = Rig::started(local_config(1));
  Attempt a = attempt(1);
  a.memory_limit = 1 << 20;
  rig.give({a});
  rig.give_body(1);
  rig.ready_all();
  const std::uint32_t no = rig.runner(1);
  rig.measured.own_bytes = 1 << 20;
  rig.advance(50ms);
  EXPECT_EQ(rig.executors.at(no).signals, 0);
  rig.measured.own_bytes = 2 << 20;
  rig.advance(200ms);
  EXPECT_EQ(rig.executors.at(no).signals, 1);
  rig.die(no, 15);
  EXPECT_EQ(rig.outcomes().at(0).outcome.kind, ErrorKind::OutOfMemory);
}

TEST(SupervisorKill, DrainGivesBackWhatWaitsAndLetsFinishWhatRuns) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 10us);
  rig.give({attempt(10), attempt(11), attempt(12, 5)});
  rig.step(event::WorkerDrainAsked{});
  rig.turn();
  EXPECT_TRUE(rig.said.back().draining);
  EXPECT_EQ(rig.said.back().free_slots + rig.said.back().prefetch, 0u);
  EXPECT_EQ(rig.given_back().size(), 2u);
  rig.give({attempt(13)});
  EXPECT_EQ(rig.given_back().back().attempt.token, Token{13});
  rig.finish(1, 1s);
  EXPECT_TRUE(rig.outcomes().at(0).outcome.completed());
  EXPECT_FALSE(rig.supervisor.drained());
  rig.settle_all();
  EXPECT_TRUE(rig.said.back().goodbye);
  EXPECT_TRUE(rig.supervisor.drained());
}

TEST(SupervisorKill, WhatStillRunsAtTheEndOfTheDrainIsKilledAndNotBurnt) {
  Rig rig = Rig::started(local_config(2));
  rig.give({attempt(1), once(2)});
  rig.give_body(1);
  rig.step(event::WorkerDrainAsked{});
  rig.advance(25s);
  const std::uint32_t first = rig.runner(1), second = rig.runner(2);
  EXPECT_EQ(rig.executors.at(first).signals, 1);
  rig.die(first, 15);
  rig.die(second, 15);
  ASSERT_EQ(rig.given_back().size(), 1u);
  EXPECT_EQ(rig.given_back()[0].why, GiveBack::Unstarted);
  ASSERT_EQ(rig.outcomes().size(), 1u);
  EXPECT_EQ(rig.outcomes()[0].outcome.kind, ErrorKind::WorkerLost);
}

TEST(SupervisorKill, AnExecutorThatDoesNotSayIdleIsKilled) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 10us);
  rig.give({attempt(10), attempt(11)});
  rig.advance(5ms);
  rig.finish(1, 1ms);
  rig.advance(10s);
  EXPECT_TRUE(rig.executors.at(1).killed);
}

}  // namespace
}  // namespace treadle::core

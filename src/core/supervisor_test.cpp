#include "core/supervisor.h"

#include <gtest/gtest.h>

#include "core/supervisor_rig.h"

namespace treadle::core {
namespace {

using namespace testing_rig;

template <class Command>
std::vector<Command> all(const Rig& rig) {
  std::vector<Command> found;
  for (const auto& command : rig.log) {
    if (const auto* one = std::get_if<Command>(&command)) found.push_back(*one);
  }
  return found;
}

TEST(Supervisor, RegistersAndWarmsAnExecutorForEachSlot) {
  Rig rig(local_config(3));
  rig.turn();
  ASSERT_EQ(rig.said.size(), 1u);
  EXPECT_TRUE(rig.said[0].registers);
  EXPECT_TRUE(rig.said[0].session.is_nil());
  EXPECT_EQ(rig.said[0].boot, 42u);
  EXPECT_EQ(rig.said[0].seq, 1u);
  EXPECT_EQ(rig.said[0].free_slots, 3u);
  EXPECT_EQ(rig.said[0].prefetch, 0u);
  EXPECT_EQ(rig.executors.size(), 3u);
}

TEST(Supervisor, RunsATaskAndForgetsItWhenItsOutcomeIsSettled) {
  Rig rig = Rig::started(local_config(1));
  rig.give({attempt(1)});
  ASSERT_EQ(rig.said.back().wants.size(), 1u);
  EXPECT_EQ(rig.supervisor.view().slots_used, 0u);  // what waits for its body holds no slot
  rig.give_body(1);
  ASSERT_EQ(rig.runner(1), 1u);
  event::TaskDone done;
  done.outcome.result.bytes = Buffer::of("42");
  rig.finish(1, 100us, done);
  const auto outcomes = rig.outcomes();
  ASSERT_EQ(outcomes.size(), 1u);
  EXPECT_EQ(outcomes[0].attempt, (Held{TaskId{Uuid{1, 1}}, Token{1}}));
  EXPECT_EQ(outcomes[0].outcome.result.bytes.view(), "42");
  EXPECT_TRUE(outcomes[0].outcome.completed());
  EXPECT_EQ(rig.said.back().free_slots, 1u);
  EXPECT_EQ(rig.supervisor.view().held, 1u);
  rig.settle_all();
  EXPECT_EQ(rig.supervisor.view().held, 0u);
  EXPECT_EQ(rig.supervisor.view().unsettled, 0u);
}

TEST(Supervisor, PrefersAnExecutorThatKnowsTheFunction) {
  Rig rig = Rig::started(local_config(2));
  rig.give({attempt(1, 1), attempt(2, 2)});
  rig.give_body(1);
  rig.give_body(2);
  const std::uint32_t first = rig.runner(1), second = rig.runner(2);
  ASSERT_NE(first, second);
  rig.finish(first, 1ms);
  rig.finish(second, 1ms);  // most recently used
  rig.give({attempt(3, 1)});
  EXPECT_EQ(rig.runner(3), first);
  EXPECT_EQ(all<command::SendFunction>(rig).size(), 2u);  // no body was sent twice
}

TEST(Supervisor, SendsABodyAgainWhenTheExecutorHasDroppedIt) {
  Rig rig = Rig::started(local_config(1));
  rig.give({attempt(1)});
  rig.give_body(1);
  rig.step(ExecutorEvent{event::NeedFunction{ExecutorNo{1}, 1, rig.executors.at(1).functions.at(0)}});
  EXPECT_EQ(rig.executors.at(1).functions, (std::vector<std::uint32_t>{1, 1}));
}

TEST(Supervisor, SlotsAreNeverOversold) {
  Rig rig = Rig::started(local_config(2));
  rig.give({attempt(1), attempt(2), attempt(3)});
  rig.give_body(1);
  EXPECT_EQ(rig.supervisor.view().slots_used, 2u);
  EXPECT_EQ(rig.supervisor.view().waiting, 1u);
  EXPECT_EQ(rig.runner(3), 0u);  // how long function 1 takes is unknown: nothing goes behind another
  rig.finish(1, 1ms);
  EXPECT_EQ(rig.runner(3), 1u);
}

TEST(Supervisor, AnExecutorHoldsAtMostAMillisecondOfWork) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 197us);  // 200 with the executor's own work
  std::vector<Attempt> many;
  for (std::uint64_t n = 10; n < 20; ++n) many.push_back(attempt(n));
  rig.give(std::move(many));
  EXPECT_EQ(rig.executors.at(1).tasks.size(), 5u);
  EXPECT_EQ(rig.supervisor.view().waiting, 5u);
}

TEST(Supervisor, BatchesOfShortTasksAreSpreadOverTheSlots) {
  Rig rig = Rig::started(local_config(2));
  rig.teach(1, 2us);
  std::vector<Attempt> many;
  for (std::uint64_t n = 10; n < 74; ++n) many.push_back(attempt(n));
  rig.give(std::move(many));
  EXPECT_EQ(rig.executors.at(1).tasks.size(), 32u);
  EXPECT_EQ(rig.executors.at(2).tasks.size(), 32u);
}

TEST(Supervisor, PrefetchFollowsTheMeanRunTime) {
  Rig rig = Rig::started(local_config(2));
  EXPECT_EQ(rig.said.back().prefetch, 0u);
  rig.give({attempt(1)});
  rig.give_body(1);
  rig.finish(rig.runner(1), 10ms);
  EXPECT_EQ(rig.said.back().prefetch, 4u);  // 20 ms / 10 ms for each of two slots
}

TEST(Supervisor, NoPrefetchForLongTasksAndAtMost64ASlot) {
  RunMean mean;
  EXPECT_EQ(prefetch_for(mean, 0ms), 0u);
  mean.add(1us);
  EXPECT_EQ(prefetch_for(mean, 0ms), 64u);
  EXPECT_EQ(prefetch_for(mean, 7ms), 3u);  // the age of the running task counts
  EXPECT_EQ(prefetch_for(mean, 101ms), 0u);
  RunMean slow;
  slow.add(101ms);
  EXPECT_EQ(prefetch_for(slow, 0ms), 0u);
}

TEST(Supervisor, OneLongTaskStopsThePrefetchForItsSlot) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 1ms);
  rig.give({attempt(10)});
  rig.advance(5ms);
  EXPECT_EQ(rig.said.back().prefetch, 4u);
  rig.advance(96ms);
  EXPECT_EQ(rig.said.back().prefetch, 0u);
  EXPECT_EQ(rig.supervisor.next_deadline() > rig.now, true);
}

TEST(Supervisor, ATaskThatRunsFiveMillisecondsIsReportedOnce) {
  Rig rig = Rig::started(local_config(2));
  rig.give({attempt(1), attempt(2)});
  rig.give_body(1);
  rig.finish(rig.runner(2), 4900us);
  EXPECT_TRUE(rig.reported_started().empty());
  EXPECT_EQ(rig.supervisor.next_deadline(), Instant{1'000'000'000} + 5ms);
  rig.advance(100us);
  ASSERT_EQ(rig.reported_started().size(), 1u);
  EXPECT_EQ(rig.reported_started()[0].token, Token{1});
  rig.advance(500ms);
  EXPECT_EQ(rig.reported_started().size(), 1u);
}

TEST(Supervisor, WhatIsBehindATaskThatTurnsOutLongGoesToAnotherSlot) {
  Rig rig = Rig::started(local_config(2));
  rig.teach(1, 100us);
  rig.give({attempt(10), attempt(11), attempt(12), attempt(13), attempt(14)});
  const std::uint32_t slow = rig.runner(10), other = rig.runner(11);
  ASSERT_GE(rig.executors.at(slow).tasks.size(), 2u);
  while (!rig.executors.at(other).tasks.empty()) rig.finish(other, 100us);
  rig.advance(5ms);
  EXPECT_EQ(rig.executors.at(slow).tasks.size(), 1u);
  EXPECT_EQ(rig.executors.at(other).tasks.front().task.lo, 12u);  // the oldest first
  EXPECT_EQ(rig.supervisor.counters().recalled, 2u);
  ASSERT_FALSE(rig.trail.empty());
  EXPECT_EQ(rig.trail.back().event, "task.recalled");
}

TEST(Supervisor, NothingIsSentBetweenARecallAndIdle) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 100us);
  rig.give({attempt(10), attempt(11)});
  rig.advance(5ms);
  const std::uint32_t executor = rig.runner(10);
  EXPECT_EQ(rig.runner(11), 0u);
  rig.finish(executor, 1ms);
  EXPECT_TRUE(rig.executors.at(executor).tasks.empty());
  EXPECT_EQ(rig.runner(11), 0u);
  rig.idle(executor);
  EXPECT_EQ(rig.runner(11), executor);
  EXPECT_EQ(rig.supervisor.counters().spawned, 1u) << "IDLE comes at once: no reason for a new process";
}

TEST(Supervisor, AnotherExecutorTakesWhatOneThatOwesIdleDoesNotTakeInTime) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 100us);
  rig.give({attempt(10), attempt(11)});
  rig.advance(5ms);
  const std::uint32_t executor = rig.runner(10);
  rig.finish(executor, 1ms);
  EXPECT_EQ(rig.supervisor.next_deadline(), rig.now + 20ms);
  rig.advance(20ms);
  EXPECT_NE(rig.runner(11), 0u);
  EXPECT_NE(rig.runner(11), executor);
  rig.idle(executor);
  EXPECT_EQ(rig.supervisor.view().idle, rig.supervisor.view().executors - 1);
}

// The time for its IDLE does not begin while user code runs.
TEST(Supervisor, AnExecutorWhoseTaskRanLongAfterARecallIsNotTakenForStuck) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 100us);
  rig.give({attempt(10), attempt(11)});
  rig.advance(5ms);
  const std::uint32_t executor = rig.runner(10);
  rig.finish(executor, 30s);
  EXPECT_FALSE(rig.executors.at(executor).killed);
  rig.idle(executor);
  EXPECT_EQ(rig.supervisor.view().idle, rig.supervisor.view().executors);
}

TEST(Supervisor, WhatWaitedFiftyMillisecondsGoesBack) {
  Rig rig = Rig::started(local_config(1));
  rig.give({attempt(1), attempt(2)});
  rig.give_body(1);
  rig.advance(49ms);
  EXPECT_TRUE(rig.given_back().empty());
  rig.advance(1ms);
  ASSERT_EQ(rig.given_back().size(), 1u);
  EXPECT_EQ(rig.given_back()[0].attempt.token, Token{2});
  EXPECT_EQ(rig.given_back()[0].why, GiveBack::Unstarted);
}

TEST(Supervisor, TasksOfADeletedFunctionFail) {
  Rig rig = Rig::started(local_config(1));
  rig.give({attempt(1, 5), attempt(2, 5)});
  rig.give_body(5, false);
  ASSERT_EQ(rig.outcomes().size(), 2u);
  EXPECT_EQ(rig.outcomes()[0].outcome.kind, ErrorKind::DeserializeFailed);
  rig.settle_all();
  rig.give({attempt(3, 5)});
  EXPECT_EQ(rig.said.back().wants.size(), 1u);  // asked anew: it may have been registered meanwhile
}

TEST(Supervisor, AskedForBodiesAreAskedForAgain) {
  Rig rig = Rig::started(local_config(1));
  rig.give({attempt(1, 5)});
  rig.said.clear();
  rig.advance(900ms);
  EXPECT_TRUE(rig.said.empty());
  rig.advance(100ms);
  ASSERT_EQ(rig.said.size(), 1u);
  EXPECT_EQ(rig.said[0].wants.size(), 1u);
}

TEST(Supervisor, FreshTasksGetAnExecutorOfTheirOwnAndASpareIsKept) {
  Rig rig = Rig::started(local_config(1));
  Attempt fresh = attempt(1);
  fresh.isolation = Isolation::Fresh;
  rig.give({fresh});
  rig.give_body(1);
  const std::uint32_t no = rig.runner(1);
  ASSERT_NE(no, 0u);
  EXPECT_EQ(rig.executors.at(no).key.isolation, Isolation::Fresh);
  rig.ready_all();
  rig.finish(no, 1ms);
  EXPECT_TRUE(rig.executors.at(no).exiting);
  rig.die(no, 0);
  Attempt again = attempt(2);
  again.isolation = Isolation::Fresh;
  const std::size_t spawned = rig.supervisor.counters().spawned;
  rig.give({again});
  EXPECT_NE(rig.runner(2), 0u);
  EXPECT_NE(rig.runner(2), no);
  EXPECT_EQ(rig.supervisor.counters().spawned, spawned + 1);  // the next spare; the task took the last one
}

TEST(Supervisor, IdleExecutorsBeyondTwiceTheSlotsLeaveLeastRecentlyUsedFirst) {
  SupervisorConfig config = local_config(1);
  Rig rig = Rig::started(config);
  for (std::uint64_t n = 1; n <= 3; ++n) {
    Attempt a = attempt(n);
    a.memory_limit = n << 30;  // a key of its own
    rig.give({a});
    if (n == 1) rig.give_body(1);
    rig.ready_all();
    rig.finish(rig.runner(n), 1ms);
  }
  EXPECT_EQ(rig.supervisor.view().idle, 2u);
  EXPECT_TRUE(rig.executors.at(1).exiting);
}

TEST(Supervisor, AnExecutorThatAsksForItIsReplaced) {
  Rig rig = Rig::started(local_config(1));
  rig.give({attempt(1)});
  rig.give_body(1);
  event::TaskDone done;
  done.recycle = true;
  rig.finish(1, 1ms, done);
  EXPECT_TRUE(rig.executors.at(1).exiting);
  EXPECT_EQ(rig.executors.size(), 2u);
  rig.give({attempt(2)});
  EXPECT_EQ(rig.runner(2), 2u);
  rig.advance(2s);
  EXPECT_TRUE(rig.executors.at(1).killed);  // it did not leave by itself
}

TEST(Supervisor, TasksOfAFunctionThatWritesPastStdoutGoOneAtATimeAndMarked) {
  Rig rig = Rig::started(local_config(1));
  rig.give({attempt(1)});
  rig.give_body(1);
  event::TaskDone done;
  done.output_unmarked = true;
  rig.finish(1, 2us, done);
  rig.give({attempt(2), attempt(3)});
  EXPECT_EQ(rig.executors.at(1).tasks.size(), 1u);
  EXPECT_TRUE(all<command::SendTask>(rig).back().mark_output);
}

TEST(Supervisor, FailedStartsSlowDownAndCloseTheCredit) {
  Rig rig(local_config(1));
  rig.turn();
  rig.registered();
  rig.give({attempt(1)});
  rig.give_body(1);
  for (int i = 0; i < 5; ++i) {
    ASSERT_FALSE(rig.executors.empty()) << i;
    const std::uint32_t no = rig.executors.begin()->first;
    rig.executors.erase(no);
    rig.step(ExecutorEvent{event::SpawnFailed{ExecutorNo{no}, "no such file"}});
    rig.turn();
  }
  EXPECT_TRUE(rig.executors.empty());
  EXPECT_EQ(rig.trail.back().event, "executor.start_failing");
  EXPECT_NE(rig.trail.back().fields.find("no such file"), std::string::npos);
  EXPECT_EQ(rig.supervisor.next_deadline(), rig.now + 50ms);  // the attempt's wait
  rig.advance(50ms);
  ASSERT_EQ(rig.given_back().size(), 1u);  // not failed: another worker may do better
  EXPECT_EQ(rig.said.back().free_slots, 0u);
  rig.advance(50ms);
  EXPECT_EQ(rig.executors.size(), 1u);  // one tries again
  rig.ready_all();
  EXPECT_EQ(rig.said.back().free_slots, 1u);
}

TEST(Supervisor, AnExecutorThatIsNotReadyInTimeIsKilledAndItsTaskRunsElsewhere) {
  SupervisorConfig config = local_config(1);
  config.executor_start = 10ms;
  Rig rig(config);
  rig.turn();
  rig.registered();
  rig.give({attempt(1)});
  rig.give_body(1);
  ASSERT_EQ(rig.runner(1), 1u);
  rig.advance(10ms);
  EXPECT_TRUE(rig.executors.at(1).killed);
  rig.die(1, 9);
  EXPECT_NE(rig.runner(1), 0u);
  EXPECT_NE(rig.runner(1), 1u);
  EXPECT_EQ(rig.supervisor.counters().start_failures, 1u);
  EXPECT_TRUE(rig.given_back().empty());
}

TEST(Supervisor, BodiesOfAnotherPythonGoToItsInterpreter) {
  SupervisorConfig config = local_config(1);
  config.info.pythons = {{3, 11, 2}, {3, 8, 0}};
  Rig rig = Rig::started(config);
  rig.give({attempt(1)});
  DispatcherMessage m = rig.message();
  m.functions.push_back(body(1));
  m.functions[0].body.facts.pythons = 1 << (8 - kFirstPython);
  rig.say(std::move(m));
  ASSERT_NE(rig.runner(1), 0u);
  EXPECT_EQ(rig.executors.at(rig.runner(1)).key.interpreter, 1u);
}

TEST(Supervisor, ArgumentsOfAnotherPythonCountWhereTheBodyTellsNone) {
  SupervisorConfig config = local_config(2);
  config.info.pythons = {{3, 11, 2}, {3, 8, 0}};
  Rig rig = Rig::started(config);
  Attempt eight = attempt(1), nine = attempt(2);
  eight.args.facts.pythons = 1 << (8 - kFirstPython);
  nine.args.facts.pythons = 1 << (9 - kFirstPython);
  rig.give({eight, nine});
  rig.give_body(1);
  ASSERT_NE(rig.runner(1), 0u);
  ASSERT_NE(rig.runner(2), 0u);
  EXPECT_EQ(rig.executors.at(rig.runner(1)).key.interpreter, 1u);
  EXPECT_EQ(rig.executors.at(rig.runner(2)).key.interpreter, 0u) << "which refuses it, and says why";
}

}  // namespace
}  // namespace treadle::core

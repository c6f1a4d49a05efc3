// Coroutine functions: who joins whom, credit, time limits and cancel of one among many, and who pays for a death.
#include <gtest/gtest.h>

#include <algorithm>

#include "core/supervisor_rig.h"

namespace treadle::core {
namespace {

using namespace testing_rig;

constexpr int kSegv = 11, kKilled = 9;

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

SupervisorConfig config_with(std::uint32_t slots, std::size_t async_slots) {
  SupervisorConfig config = local_config(slots);
  config.async_slots = async_slots;
  return config;
}

// Attempt 1 of function 1 runs, and has proved to be async.
Rig async_rig(std::uint32_t slots, std::size_t async_slots, Attempt first = attempt(1)) {
  Rig rig = Rig::started(config_with(slots, async_slots));
  rig.give({std::move(first)});
  rig.give_body(1);
  rig.started_async(rig.runner(1));
  return rig;
}

std::uint32_t credit(const Rig& rig) { return rig.said.back().free_slots + rig.said.back().prefetch; }

const Outcome* outcome_of(const std::vector<OutcomeReport>& all, std::uint64_t n) {
  const auto it = std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.attempt.token.value == n; });
  return it == all.end() ? nullptr : &it->outcome;
}

const GivenBack* given_back(const std::vector<GivenBack>& all, std::uint64_t n) {
  const auto it = std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.attempt.token.value == n; });
  return it == all.end() ? nullptr : &*it;
}

TEST(SupervisorAsync, OthersJoinTheFirstInItsSlotUntilItIsFull) {
  Rig rig = async_rig(2, 3);
  rig.give({attempt(2), attempt(3), attempt(4)});
  EXPECT_EQ(rig.runner(2), rig.runner(1));
  EXPECT_EQ(rig.runner(3), rig.runner(1));
  EXPECT_NE(rig.runner(4), rig.runner(1));  // it holds three: the next slot
  EXPECT_NE(rig.runner(4), 0u);
  EXPECT_EQ(rig.supervisor.view().slots_used, 2u);
  EXPECT_FALSE(rig.task(1).concurrent);  // nobody knew it then
  EXPECT_TRUE(rig.task(2).concurrent);
  EXPECT_TRUE(rig.task(4).concurrent);
}

TEST(SupervisorAsync, TheyEndInAnyOrderAndTheSlotIsFreeAfterTheLast) {
  Rig rig = async_rig(1, 10);
  rig.give({attempt(2), attempt(3)});
  const std::uint32_t no = rig.runner(1);
  for (const std::uint64_t n : {2u, 3u, 1u}) {
    EXPECT_EQ(rig.supervisor.view().slots_used, 1u);
    rig.finish_task(no, n);
  }
  EXPECT_EQ(rig.supervisor.view().slots_used, 0u);
  const auto all = rig.outcomes();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].attempt.token.value, 2u);
  EXPECT_EQ(all[2].attempt.token.value, 1u);
  EXPECT_EQ(rig.supervisor.view().piped, 0u);
}

TEST(SupervisorAsync, ANewExecutorIsFilledAtOnceOnceTheFunctionIsKnown) {
  Rig rig = async_rig(1, 10);
  rig.finish_task(rig.runner(1), 1);
  rig.settle_all();
  rig.give({attempt(2), attempt(3)});
  EXPECT_NE(rig.runner(2), 0u);
  EXPECT_EQ(rig.runner(2), rig.runner(3));
}

TEST(SupervisorAsync, CreditGrowsWithWhatRunsThere) {
  Rig rig = async_rig(1, 20);
  rig.turn();
  EXPECT_EQ(credit(rig), 8u);
  std::uint64_t next = 2;
  const auto give = [&](std::uint32_t count) {
    std::vector<Attempt> attempts;
    for (; count > 0; --count) attempts.push_back(attempt(next++));
    rig.give(std::move(attempts));
  };
  give(8);
  EXPECT_EQ(credit(rig), 9u);  // as many as run
  give(9);
  EXPECT_EQ(credit(rig), 2u);  // what is left of twenty
  give(2);
  EXPECT_EQ(rig.supervisor.view().piped, 20u);
  EXPECT_EQ(rig.supervisor.view().waiting, 0u);
}

TEST(SupervisorAsync, AttemptsOfOtherFunctionsThatCameOnThatCreditAreCountedAgainstIt) {
  Rig rig = async_rig(1, 20);
  rig.give({attempt(2, 7), attempt(3, 7), attempt(4, 7), attempt(5, 7), attempt(6, 7)});
  rig.give_body(7);
  EXPECT_EQ(rig.runner(2), 0u);  // no slot for it
  rig.advance(1ms);
  EXPECT_LE(credit(rig), 3u);
  rig.advance(limits::kWaitForSlot);
  EXPECT_EQ(rig.given_back().size(), 5u);  // and they do not wait here for long
  for (const GivenBack& given : rig.given_back()) EXPECT_EQ(given.why, GiveBack::Unstarted);
}

TEST(SupervisorAsync, NothingOfAnotherFunctionIsSentToIt) {
  Rig rig = async_rig(1, 10);
  rig.give({attempt(2, 7)});
  rig.give_body(7);
  EXPECT_EQ(rig.runner(2), 0u);
  rig.finish_task(rig.runner(1), 1);
  EXPECT_NE(rig.runner(2), 0u);
  EXPECT_FALSE(rig.task(2).concurrent);
}

TEST(SupervisorAsync, ASuspectAndAFunctionWithLimitsToWatchRunAlone) {
  Rig rig = async_rig(2, 10);
  Attempt suspect = attempt(2);
  suspect.suspect = true;
  rig.give({suspect});
  EXPECT_NE(rig.runner(2), rig.runner(1));
  rig.finish_task(rig.runner(2), 2);
  rig.finish_task(rig.runner(1), 1);
  rig.settle_all();
  for (std::uint64_t n = 3; n < 5; ++n) {
    Attempt watched = attempt(n);
    watched.memory_limit = 1 << 20;
    rig.give({watched});
  }
  rig.ready_all();
  EXPECT_NE(rig.runner(3), 0u);
  EXPECT_NE(rig.runner(4), 0u);
  EXPECT_NE(rig.runner(3), rig.runner(4));
}

TEST(SupervisorAsync, AtTheTimeLimitOneIsCancelledAndItsAnswerIsTooLate) {
  Rig rig = async_rig(1, 10);
  rig.give({limited(2, 1s), limited(3, 5s)});
  const std::uint32_t no = rig.runner(1);
  rig.advance(999ms);
  EXPECT_TRUE(rig.executors.at(no).cancelled.empty());
  rig.advance(1ms);
  EXPECT_EQ(rig.executors.at(no).cancelled, std::vector<std::uint64_t>{rig.task(2).seq});
  EXPECT_EQ(rig.executors.at(no).signals, 0);
  event::TaskDone done;
  done.outcome.traceback = "where it stood";
  rig.finish_task(no, 2, std::move(done));
  ASSERT_EQ(rig.outcomes().size(), 1u);
  EXPECT_EQ(rig.outcomes()[0].outcome.kind, ErrorKind::Timeout);
  EXPECT_EQ(rig.outcomes()[0].outcome.error_message, "the time limit of 1 s passed; the function was ended");
  EXPECT_EQ(rig.outcomes()[0].outcome.traceback, "where it stood");
  EXPECT_FALSE(rig.executors.at(no).killed);
  rig.finish_task(no, 3);
  rig.finish_task(no, 1);
  EXPECT_EQ(rig.supervisor.counters().timeouts, 1u);
  EXPECT_EQ(rig.supervisor.view().slots_used, 0u);
}

TEST(SupervisorAsync, OneThatDoesNotEndInTheGraceTakesItsExecutorAlongAndNobodyElseIsBlamed) {
  Rig rig = async_rig(1, 10);
  rig.give({limited(2, 1s), attempt(3)});
  rig.revoke(3, true);
  const std::uint32_t no = rig.runner(1);
  rig.advance(1s);
  EXPECT_EQ(rig.executors.at(no).cancelled.size(), 2u);
  rig.finish_task(no, 3);
  rig.advance(1999ms);
  EXPECT_FALSE(rig.executors.at(no).killed);
  rig.advance(1ms);
  EXPECT_TRUE(rig.executors.at(no).killed);
  rig.die(no, kKilled);
  const auto outcomes = rig.outcomes();
  ASSERT_EQ(outcomes.size(), 2u);
  EXPECT_EQ(outcome_of(outcomes, 3)->kind, ErrorKind::Cancelled);
  EXPECT_EQ(outcome_of(outcomes, 2)->kind, ErrorKind::Timeout);
  const auto back = rig.given_back();
  ASSERT_EQ(back.size(), 1u);
  EXPECT_EQ(back[0].attempt.token.value, 1u);
  EXPECT_EQ(back[0].why, GiveBack::Unstarted);  // unburnt
  EXPECT_EQ(rig.supervisor.counters().blamed + rig.supervisor.counters().suspects, 0u);
}

TEST(SupervisorAsync, WhenItDiesAllThatHadBegunAreSuspectsAndTheRestRunsElsewhere) {
  Rig rig = async_rig(1, 10);
  rig.give({attempt(2), attempt(3), attempt(4)});
  const std::uint32_t no = rig.runner(1);
  rig.finish_task(no, 2);
  event::ExecutorDied died;
  died.unbegun = 1;
  rig.die(no, kSegv, died);
  const auto back = rig.given_back();
  ASSERT_EQ(back.size(), 2u);
  for (const std::uint64_t n : {1u, 3u}) {
    ASSERT_NE(given_back(back, n), nullptr);
    EXPECT_EQ(given_back(back, n)->why, GiveBack::Suspect);
  }
  rig.ready_all();
  EXPECT_NE(rig.runner(4), 0u);
}

TEST(SupervisorAsync, TheOnlyOneThatEverRanThereIsBlamed) {
  Rig rig = async_rig(1, 10);
  rig.die(rig.runner(1), kSegv);
  ASSERT_EQ(rig.given_back().size(), 1u);
  EXPECT_EQ(rig.given_back()[0].why, GiveBack::Killed);
}

TEST(SupervisorAsync, WhenItDiesByItselfThoseThatWereToEndHaveTheirVerdictAndTheOthersAreSuspects) {
  Rig rig = async_rig(1, 10);
  rig.give({limited(2, 1s), attempt(3)});
  rig.advance(1s);
  rig.die(rig.runner(1), kSegv);
  ASSERT_EQ(rig.outcomes().size(), 1u);
  EXPECT_EQ(rig.outcomes()[0].attempt.token.value, 2u);
  EXPECT_EQ(rig.outcomes()[0].outcome.kind, ErrorKind::Timeout);
  const auto back = rig.given_back();
  ASSERT_EQ(back.size(), 2u);
  EXPECT_EQ(back[0].why, GiveBack::Suspect);
  EXPECT_EQ(back[1].why, GiveBack::Suspect);
}

TEST(SupervisorAsync, AnAtMostOnceSuspectHasFailed) {
  Rig rig = async_rig(2, 10, once(1));
  rig.give({once(2)});
  ASSERT_EQ(rig.runner(2), rig.runner(1));
  rig.die(rig.runner(1), kSegv);
  EXPECT_TRUE(rig.given_back().empty());
  const auto outcomes = rig.outcomes();
  ASSERT_EQ(outcomes.size(), 2u);
  EXPECT_EQ(outcomes[0].outcome.kind, ErrorKind::Crashed);
  EXPECT_EQ(outcomes[1].outcome.kind, ErrorKind::Crashed);
}

TEST(SupervisorAsync, EachIsReportedStartedAndNamedAgainToANewSession) {
  Rig rig = async_rig(1, 10);
  rig.give({attempt(2), attempt(3)});
  rig.advance(limits::kStartReportDelay);
  EXPECT_EQ(rig.reported_started().size(), 3u);
  rig.said.clear();
  rig.step(event::LinkDown{});
  rig.step(event::LinkUp{});
  rig.turn();
  rig.session = SessionId{Uuid{9, 2}};
  rig.registered();
  EXPECT_EQ(rig.reported_started().size(), 3u);
}

TEST(SupervisorAsync, ADrainLetsThemEndAndThenEndsThem) {
  Rig rig = async_rig(1, 10);
  rig.give({attempt(2), attempt(3)});
  const std::uint32_t no = rig.runner(1);
  rig.step(event::WorkerDrainAsked{});
  rig.turn();
  EXPECT_EQ(rig.supervisor.view().piped, 3u);  // nothing is taken back: all have begun
  rig.finish_task(no, 2);
  rig.advance(limits::kDrain);
  EXPECT_EQ(rig.executors.at(no).cancelled.size(), 2u);
  event::TaskDone cut;
  cut.outcome.kind = ErrorKind::FunctionFailed;
  rig.finish_task(no, 1, std::move(cut));
  rig.finish_task(no, 3);  // made it in time
  ASSERT_EQ(rig.outcomes().size(), 2u);
  EXPECT_TRUE(outcome_of(rig.outcomes(), 3)->completed());
  ASSERT_EQ(rig.given_back().size(), 1u);
  EXPECT_EQ(rig.given_back()[0].attempt.token.value, 1u);
}

TEST(SupervisorAsync, AnExecutorThatAsksToBeReplacedIsJoinedByNobodyAndEndsItsTasks) {
  Rig rig = async_rig(1, 10);
  rig.give({attempt(2)});
  const std::uint32_t no = rig.runner(1);
  event::TaskDone done;
  done.recycle = true;
  rig.finish_task(no, 2, std::move(done));
  EXPECT_TRUE(rig.executors.at(no).exiting);
  rig.give({attempt(3)});
  EXPECT_EQ(rig.runner(3), 0u);
  rig.finish_task(no, 1);
  rig.ready_all();
  EXPECT_NE(rig.runner(3), 0u);
  EXPECT_NE(rig.runner(3), no);
}

}  // namespace
}  // namespace treadle::core

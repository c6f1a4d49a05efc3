// Requirements: who waits for an environment, and who does not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/supervisor_rig.h"

namespace treadle::core {
namespace {

using namespace testing_rig;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kNumpy = R"(["numpy==1.26"])";

Attempt needs(std::uint64_t n, const std::string& requirements) {
  Attempt a = attempt(n);
  a.surroundings = R"({"env":{"A":"\"requirements\":[1]"},"requirements":)" + requirements + "}";
  return a;
}

void built(Rig& rig, std::string why = {}, std::string log = "log") {
  rig.step(ExecutorEvent{event::EnvironmentBuilt{std::move(why), std::move(log)}});
  rig.turn();
}

// Of the executor that was to run attempt 1. `gone`: because its environment is not there any more.
void spawn_fails(Rig& rig, std::string why, bool gone) {
  const std::uint32_t no = rig.runner(1);
  rig.executors.erase(no);
  rig.step(ExecutorEvent{event::SpawnFailed{ExecutorNo{no}, std::move(why), gone}});
  rig.turn();
}

Rig waiting(std::uint64_t attempts) {
  Rig rig = Rig::started(local_config(2));
  rig.teach(100, 1ms);
  std::vector<Attempt> all;
  for (std::uint64_t n = 1; n <= attempts; ++n) all.push_back(needs(n, kNumpy));
  rig.give(std::move(all));
  return rig;
}

TEST(SupervisorEnvironment, IsBuiltOnceAndItsTasksHoldNoSlot) {
  Rig rig = waiting(3);
  EXPECT_THAT(rig.builds, ElementsAre(kNumpy));
  EXPECT_EQ(rig.supervisor.view().slots_used, 0u);
  rig.give({attempt(10), attempt(11)});
  EXPECT_NE(rig.runner(10), 0u) << "others run meanwhile";
  EXPECT_NE(rig.runner(11), 0u);
  rig.finish(rig.runner(10), 1ms);
  rig.finish(rig.runner(11), 1ms);
  rig.advance(10s);
  EXPECT_TRUE(rig.given_back().empty()) << "it waits for what is ours to do";
  built(rig);
  rig.ready_all();
  const std::uint32_t no = rig.runner(1);
  ASSERT_NE(no, 0u);
  EXPECT_EQ(rig.executors.at(no).key.environment, kNumpy);
  rig.give({needs(4, kNumpy)});
  EXPECT_EQ(rig.builds.size(), 1u) << "it is there";
}

TEST(SupervisorEnvironment, ThatCannotBeBuiltFailsWhatWaitsForItWithTheLog) {
  Rig rig = waiting(2);
  built(rig, "pip ended with code 1", "no matching distribution");
  auto reports = rig.outcomes();
  ASSERT_GE(reports.size(), 2u);
  for (const OutcomeReport& report : {reports[reports.size() - 2], reports.back()}) {
    EXPECT_EQ(report.outcome.kind, ErrorKind::EnvironmentFailed);
    EXPECT_EQ(report.outcome.error_message, "pip ended with code 1");
    EXPECT_EQ(report.outcome.output, "no matching distribution");
  }
  rig.give({needs(3, kNumpy)});
  EXPECT_EQ(rig.builds.size(), 1u) << "not tried again at once";
  EXPECT_EQ(rig.outcomes().back().attempt.token, Token{3});
  rig.advance(11s);
  rig.give({needs(4, kNumpy)});
  EXPECT_EQ(rig.builds.size(), 2u);
}

TEST(SupervisorEnvironment, OneIsBuiltAtATime) {
  Rig rig = waiting(1);
  rig.give({needs(2, R"(["b"])"), needs(3, R"(["c]\"["])")});
  EXPECT_THAT(rig.builds, ElementsAre(kNumpy));
  rig.step(ExecutorEvent{event::EnvironmentBuilt{{}, {}, true}});  // its builder was lost with the guard
  EXPECT_THAT(rig.builds, ElementsAre(kNumpy, R"(["b"])"));
  built(rig);
  EXPECT_THAT(rig.builds, ElementsAre(kNumpy, R"(["b"])", R"(["c]\"["])"));
  built(rig, "no");
  EXPECT_THAT(rig.builds, ElementsAre(kNumpy, R"(["b"])", R"(["c]\"["])", kNumpy));
}

TEST(SupervisorEnvironment, ACancelledTaskLeavesIt) {
  Rig rig = waiting(2);
  rig.revoke(1, true);
  EXPECT_EQ(rig.outcomes().back().outcome.kind, ErrorKind::Cancelled);
  built(rig);
  rig.ready_all();
  EXPECT_EQ(rig.runner(1), 0u);
  EXPECT_NE(rig.runner(2), 0u);
}

TEST(SupervisorEnvironment, IsMadeAgainWhenItWasEvicted) {
  Rig rig = waiting(1);
  built(rig);
  spawn_fails(rig, "it is gone", true);
  EXPECT_EQ(rig.builds.size(), 2u);
  EXPECT_TRUE(rig.outcomes().empty() || rig.outcomes().back().outcome.completed());
  built(rig);
  EXPECT_NE(rig.runner(1), 0u);
}

TEST(SupervisorEnvironment, InWhichNoProcessComesUpFailsItsTasksAlone) {
  Rig rig = waiting(1);
  built(rig);
  spawn_fails(rig, "dill is broken", false);
  ASSERT_FALSE(rig.outcomes().empty());
  EXPECT_EQ(rig.outcomes().back().outcome.kind, ErrorKind::EnvironmentFailed);
  EXPECT_THAT(rig.outcomes().back().outcome.error_message, HasSubstr("dill is broken"));
  rig.give({attempt(20)});
  EXPECT_NE(rig.runner(20), 0u) << "other executors start as ever";
}

TEST(SupervisorEnvironment, ItsTasksDoNotBlockTheCreditOfOthers) {
  Rig rig = waiting(5);
  EXPECT_EQ(rig.said.back().free_slots, 2u);
  std::vector<Attempt> many;
  for (std::uint64_t n = 1000; n < 1000 + limits::kAwaitEnvironment; ++n) many.push_back(needs(n, kNumpy));
  rig.give(std::move(many));
  rig.advance(2s);
  EXPECT_EQ(rig.said.back().free_slots, 0u) << "there is a limit";
}

TEST(SupervisorEnvironment, OnlySoManyAreRemembered) {
  Rig rig = waiting(1);
  for (std::size_t n = 0; n <= limits::kEnvironmentsKnown; ++n) {
    built(rig, "no");
    rig.give({needs(100 + n, "[\"" + std::to_string(n) + "\"]")});
  }
  const std::size_t built_so_far = rig.builds.size();
  rig.give({needs(5000, kNumpy)});
  built(rig, "no");
  EXPECT_EQ(rig.builds.size(), built_so_far + 1) << "its failure of just now is forgotten";
}

TEST(SupervisorEnvironment, ADrainingWorkerGivesTheirTasksBack) {
  Rig rig = waiting(2);
  rig.step(event::WorkerDrainAsked{});
  rig.turn();
  EXPECT_EQ(rig.given_back().size(), 2u);
}

TEST(Requirements, AreFoundInTheSurroundings) {
  EXPECT_EQ(requirements_of(""), "");
  EXPECT_EQ(requirements_of(R"({"env":{"requirements":"x"}})"), "");
  EXPECT_EQ(
      requirements_of(R"({"env":{"A":"\"requirements\":[\"no\"]"},"requirements":["a]","b\\","c"],"secrets":[]})"),
      R"(["a]","b\\","c"])");
}

}  // namespace
}  // namespace treadle::core

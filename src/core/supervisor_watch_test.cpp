// What a task may take, and what an executor may keep: watched while it runs, checked at its end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/supervisor_rig.h"

namespace treadle::core {
namespace {

using namespace testing_rig;
using ::testing::HasSubstr;

Attempt limited(std::uint64_t n, Allowance allowance) {
  Attempt a = attempt(n);
  a.allowance = allowance;
  return a;
}

// Runs attempt 1 on an executor of its own and returns that one's number.
std::uint32_t begin(Rig& rig, Allowance allowance) {
  rig.give({limited(1, allowance)});
  rig.give_body(1);
  rig.ready_all();
  return rig.runner(1);
}

const Outcome& only_outcome(const std::vector<OutcomeReport>& reports) {
  EXPECT_EQ(reports.size(), 1u);
  return reports.at(0).outcome;
}

struct Over {
  const char* name;
  Allowance allowance;
  event::Measured within, over;
  const char* words;
};
void PrintTo(const Over& over, std::ostream* out) { *out << over.name; }

class SupervisorWatch : public testing::TestWithParam<Over> {};

TEST_P(SupervisorWatch, EndsWhatTakesMoreThanItMay) {
  const Over& over = GetParam();
  Rig rig = Rig::started(local_config(1));
  rig.measured.cpu_us = 5'000'000;  // of tasks before it
  const std::uint32_t no = begin(rig, over.allowance);
  rig.measured = over.within;
  rig.advance(50ms);
  rig.advance(200ms);
  EXPECT_EQ(rig.executors.at(no).signals, 0);
  rig.measured = over.over;
  rig.advance(200ms);
  EXPECT_EQ(rig.executors.at(no).signals, 1);
  EXPECT_TRUE(rig.executors.at(no).dumped);
  rig.advance(50ms);
  EXPECT_EQ(rig.executors.at(no).killed, over.allowance.processes > 0) << "only a fork bomb gets no grace";
  rig.die(no, 15);
  const auto outcomes = rig.outcomes();
  EXPECT_EQ(only_outcome(outcomes).kind, ErrorKind::LimitExceeded);
  EXPECT_THAT(only_outcome(outcomes).error_message, HasSubstr(over.words));
  EXPECT_EQ(rig.supervisor.counters().over_limits, 1u);
}

INSTANTIATE_TEST_SUITE_P(
    Limits, SupervisorWatch,
    testing::Values(Over{"Cpu",
                         {.cpu_ms = 1000},
                         {.cpu_us = 6'000'000},
                         {.cpu_us = 6'010'000},
                         "it took 1.0 s of CPU time, and its cpu_limit is 1.0 s; the function was ended"},
                    Over{"Processes",
                         {.processes = 3},
                         {.processes = 3},
                         {.processes = 4},
                         "it had 4 processes at once, and its process_limit is 3"},
                    Over{"Output",
                         {.output_bytes = 100},
                         {.output_bytes = 100},
                         {.output_bytes = 101},
                         "it wrote 101 bytes to stdout and stderr, and its output_limit is 100"}),
    [](const auto& info) { return info.param.name; });

TEST(SupervisorAllowance, OfAShortTaskIsCheckedAtItsEnd) {
  Rig rig = Rig::started(local_config(1));
  const std::uint32_t no = begin(rig, {.output_bytes = 100});
  event::TaskDone done;
  done.output_bytes = 101;
  done.outcome.output = "the end of it";
  rig.finish(no, 1ms, done);
  const auto outcomes = rig.outcomes();
  EXPECT_EQ(only_outcome(outcomes).kind, ErrorKind::LimitExceeded);
  EXPECT_EQ(only_outcome(outcomes).output, "the end of it");
  EXPECT_GT(only_outcome(outcomes).measures.finished_ns, 0);
  EXPECT_EQ(rig.executors.at(no).signals, 0);
}

TEST(SupervisorAllowance, DoesNotHideWhatTheFunctionItselfRaised) {
  Rig rig = Rig::started(local_config(1));
  const std::uint32_t no = begin(rig, {.cpu_ms = 1});
  event::TaskDone done;
  done.outcome.kind = ErrorKind::FunctionFailed;
  done.outcome.measures.cpu_us = 5000;
  rig.finish(no, 1ms, done);
  EXPECT_EQ(only_outcome(rig.outcomes()).kind, ErrorKind::FunctionFailed);
}

TEST(SupervisorAllowance, KeepsExecutorsOfOtherLimitsApart) {
  Rig rig = Rig::started(local_config(1));
  const std::uint32_t first = begin(rig, {.open_files = 64});
  rig.finish(first, 1ms);
  rig.give({limited(2, {.open_files = 128})});
  rig.ready_all();
  EXPECT_NE(rig.runner(2), first);
  EXPECT_EQ(rig.executors.at(rig.runner(2)).key.allowance.open_files, 128u);
}

TEST(SupervisorWear, AnExecutorLeavesForItsAge) {
  SupervisorConfig config = local_config(1);
  config.executor_age = 10s;
  Rig rig = Rig::started(config);
  rig.teach(1, 1ms);
  EXPECT_FALSE(rig.executors.at(1).exiting);
  rig.advance(10s);
  rig.teach(2, 1ms);
  EXPECT_TRUE(rig.executors.at(1).exiting);
}

TEST(SupervisorWear, AnExecutorLeavesForTheMemoryThatTasksLeftInIt) {
  SupervisorConfig config = local_config(1);
  config.executor_memory = 64 << 20;
  Rig rig = Rig::started(config);
  rig.measured.own_bytes = 64 << 20;
  rig.teach(1, 200ms);
  EXPECT_FALSE(rig.executors.at(1).exiting);
  rig.measured.own_bytes = 65 << 20;
  rig.teach(2, 100ms);
  EXPECT_FALSE(rig.executors.at(1).exiting) << "it is not measured after every task";
  rig.teach(3, 100ms);
  EXPECT_TRUE(rig.executors.at(1).exiting);
  rig.ready_all();
  rig.give({attempt(4)});
  EXPECT_EQ(rig.runner(4), 2u);
}

TEST(SupervisorWear, ZeroMeansNever) {
  SupervisorConfig config = local_config(1);
  config.executor_tasks = 0;
  config.executor_age = Duration{0};
  config.executor_memory = 0;
  Rig rig = Rig::started(config);
  rig.measured.own_bytes = 1ull << 40;
  rig.advance(1000h);
  rig.teach(1, 300ms, 3);
  EXPECT_FALSE(rig.executors.at(1).exiting);
}

TEST(SupervisorWear, CpuTimeOfADeadExecutorIsThatOfTheTaskThatDied) {
  Rig rig = Rig::started(local_config(1));
  rig.give({attempt(1)});
  rig.give_body(1);
  event::TaskDone done;
  done.outcome.measures.cpu_us = 700;
  rig.finish(1, 1ms, done);
  Attempt a = attempt(2);
  a.delivery = Delivery::AtMostOnce;  // ends at its first death
  rig.give({a});
  event::ExecutorDied died;
  died.cpu_us = 1000;
  died.peak_rss = 4096;
  rig.die(1, 11, died);
  const auto outcomes = rig.outcomes();
  EXPECT_EQ(outcomes.at(1).outcome.measures.cpu_us, 300u);
  EXPECT_EQ(outcomes.at(1).outcome.measures.peak_rss, 4096u);
  EXPECT_EQ(outcomes.at(1).outcome.measures.signal, 11);
}

}  // namespace
}  // namespace treadle::core

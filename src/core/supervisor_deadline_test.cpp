// What must begin by some instant, or not at all.
#include <gtest/gtest.h>

#include "core/supervisor_rig.h"

namespace treadle::core {
namespace {

using namespace testing_rig;

Attempt within(std::uint64_t n, Duration limit) {
  Attempt a = attempt(n);
  a.start_within = limit;
  return a;
}

TEST(SupervisorDeadline, OneThatMayBeginNoMoreIsGivenBackUnstarted) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 30ms);
  rig.give({attempt(10), within(11, 20ms), within(12, 40ms)});
  ASSERT_EQ(rig.runner(10), 1u);
  rig.finish(1, 30ms);
  EXPECT_EQ(rig.runner(11), 0u);
  EXPECT_EQ(rig.runner(12), 1u) << "it has ten milliseconds left";
  ASSERT_EQ(rig.given_back().size(), 1u);
  EXPECT_EQ(rig.given_back()[0].attempt.token, Token{11});
  EXPECT_EQ(rig.given_back()[0].why, GiveBack::Unstarted);
  rig.advance(1s);
  EXPECT_EQ(rig.runner(12), 1u) << "what has begun goes on";
}

TEST(SupervisorDeadline, ItIsNeverSentBehindAnother) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 2us);
  rig.give({attempt(10), within(11, 1h), attempt(12)});
  EXPECT_EQ(rig.runner(10), 1u);
  EXPECT_EQ(rig.executors.at(1).tasks.size(), 1u) << "nor does what came later pass it";
  rig.finish(1, 2us);
  EXPECT_EQ(rig.runner(11), 1u);
  EXPECT_EQ(rig.executors.at(1).tasks.front().task.lo, 11u) << "it begins at once";
}

TEST(SupervisorDeadline, AnExecutorThatStartsIsNotSentIt) {
  Rig rig(local_config(1));
  rig.turn();
  rig.registered();
  rig.give({within(1, 20ms)});
  rig.give_body(1);
  EXPECT_EQ(rig.runner(1), 0u) << "it would begin whenever the executor is ready";
  rig.advance(25ms);
  rig.ready_all();
  EXPECT_EQ(rig.runner(1), 0u);
  EXPECT_EQ(rig.given_back().size(), 1u);
  rig.give({within(2, 20ms)});
  EXPECT_EQ(rig.runner(2), 1u);
  EXPECT_EQ(rig.executors.size(), 1u) << "and none was started in its place";
}

TEST(SupervisorDeadline, TheWaitForItsFunctionCounts) {
  Rig rig = Rig::started(local_config(1));
  rig.give({within(1, 10ms)});
  rig.now = rig.now + 10ms;
  rig.give_body(1);
  EXPECT_EQ(rig.runner(1), 0u);
  ASSERT_EQ(rig.given_back().size(), 1u);
  EXPECT_EQ(rig.given_back()[0].why, GiveBack::Unstarted);
}

}  // namespace
}  // namespace treadle::core

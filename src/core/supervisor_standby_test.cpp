// One task stands by behind another that is expected to end soon, and never waits there for long.
#include <gtest/gtest.h>

#include "core/supervisor_rig.h"

namespace treadle::core {
namespace {

using namespace testing_rig;

std::vector<Attempt> attempts(std::uint64_t first, std::uint64_t last) {
  std::vector<Attempt> all;
  for (std::uint64_t n = first; n <= last; ++n) all.push_back(attempt(n));
  return all;
}

TEST(SupervisorStandby, OneStandsByBehindATaskOfTenMilliseconds) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 10ms);
  rig.give(attempts(10, 12));
  EXPECT_EQ(rig.executors.at(1).tasks.size(), 2u);
  EXPECT_EQ(rig.supervisor.view().waiting, 1u);
  rig.finish(1, 10ms);  // the next one stands by as soon as there is room
  EXPECT_EQ(rig.executors.at(1).tasks.size(), 2u);
  EXPECT_EQ(rig.supervisor.view().waiting, 0u);
}

TEST(SupervisorStandby, NoneBehindATaskThatIsLongOrOfUnknownLength) {
  Rig rig = Rig::started(local_config(1));
  rig.give(attempts(1, 2));
  rig.give_body(1);
  EXPECT_EQ(rig.executors.at(1).tasks.size(), 1u);
  rig.finish(1, 21ms);
  rig.give(attempts(3, 3));
  EXPECT_EQ(rig.executors.at(1).tasks.size(), 1u);
}

TEST(SupervisorStandby, AnAtMostOnceTaskNeverStandsBy) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 10ms);
  Attempt once = attempt(11);
  once.delivery = Delivery::AtMostOnce;
  rig.give({attempt(10), once});
  EXPECT_EQ(rig.executors.at(1).tasks.size(), 1u);
}

TEST(SupervisorStandby, ItIsTakenBackWhenTheOneInFrontTakesTwiceItsTime) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 10ms);  // 10.003 with the executor's own work
  rig.give(attempts(10, 11));
  EXPECT_EQ(rig.runner(11), 1u);
  rig.advance(20ms);
  EXPECT_EQ(rig.runner(11), 1u);
  rig.advance(6us);
  EXPECT_EQ(rig.runner(11), 0u);
  EXPECT_EQ(rig.supervisor.counters().recalled, 1u);
  EXPECT_EQ(rig.supervisor.view().waiting, 1u);
}

// It came when the one in front had been reported already: the next look must not be the one for long tasks.
TEST(SupervisorStandby, ALateOneIsTakenBackInTimeToo) {
  Rig rig = Rig::started(local_config(1));
  rig.teach(1, 10ms);
  rig.give(attempts(10, 10));
  rig.advance(6ms);
  rig.give(attempts(11, 11));
  EXPECT_EQ(rig.runner(11), 1u);
  EXPECT_EQ(rig.supervisor.next_deadline(), rig.now + 14ms + 6us);
}

TEST(SupervisorStandby, AFreeSlotTakesWhatStandsBy) {
  Rig rig = Rig::started(local_config(2));
  rig.teach(1, 10ms);
  rig.give(attempts(10, 12));
  const std::uint32_t first = rig.runner(10), second = rig.runner(11);
  ASSERT_EQ(rig.runner(12), first);
  rig.finish(second, 2ms);
  EXPECT_EQ(rig.runner(12), second);
  EXPECT_EQ(rig.supervisor.counters().recalled, 1u);
  EXPECT_EQ(rig.supervisor.view().slots_used, 2u);
}

TEST(SupervisorStandby, ATaskThatIsWaitingGoesBeforeOneThatStandsBy) {
  Rig rig = Rig::started(local_config(2));
  rig.teach(1, 10ms);
  rig.give(attempts(10, 14));  // two run, two stand by, 14 waits
  const std::uint32_t second = rig.runner(11);
  EXPECT_EQ(rig.supervisor.view().waiting, 1u);
  rig.finish(second, 2ms);
  EXPECT_EQ(rig.runner(14), second);
  EXPECT_EQ(rig.supervisor.counters().recalled, 0u);
}

}  // namespace
}  // namespace treadle::core

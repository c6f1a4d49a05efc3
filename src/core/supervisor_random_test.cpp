// Random histories. What is checked, and how: supervisor_world.*
#include <gtest/gtest.h>

#include "core/supervisor_world.h"

namespace treadle::core {
namespace {

TEST(SupervisorRandom, EachAttemptEndsOnceAndSlotsAreNeverOversold) {
  constexpr std::uint64_t kSeeds = 2000;
  constexpr int kTasks = 200;
  testing_world::Tally tally;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const std::string broken = testing_world::World(seed, kTasks, tally).run();
    ASSERT_EQ(broken, "") << "seed " << seed;
  }
  EXPECT_EQ(tally.tasks, kSeeds * kTasks);
  // The troubles have struck.
  EXPECT_GT(tally.runs, tally.tasks / 2);
  EXPECT_GT(tally.crashes, kSeeds);
  EXPECT_GT(tally.hangs, kSeeds);
  EXPECT_GT(tally.start_failures, kSeeds);
  EXPECT_GT(tally.lost, kSeeds);
  EXPECT_GT(tally.doubled, kSeeds);
  EXPECT_GT(tally.sessions, kSeeds / 10);
  EXPECT_GT(tally.recalled, kSeeds);
  EXPECT_GT(tally.timeouts, kSeeds);
  EXPECT_GT(tally.cancelled, kSeeds);
  EXPECT_GT(tally.cut_by_sigterm, kSeeds);
  EXPECT_GT(tally.beside, kSeeds * 5);
  EXPECT_GT(tally.cut_by_cancel, kSeeds / 10);
  EXPECT_GT(tally.victims, kSeeds / 10);
  EXPECT_GT(tally.suspects, kSeeds);
  EXPECT_GT(tally.blamed, kSeeds / 10);
  EXPECT_GT(tally.unstarted, kSeeds);
}

}  // namespace
}  // namespace treadle::core

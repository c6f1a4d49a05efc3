#include "store/limiters.h"

#include <gtest/gtest.h>

namespace treadle::store {
namespace {

using Slots = std::vector<std::uint32_t>;

TEST(Limiters, TheFirstOfEachGroupIsWokenWhenOneIsLetGo) {
  Limiters limiters;
  const std::uint32_t key = limiters.acquire("k");
  EXPECT_EQ(limiters.acquire("k"), key);
  limiters.hold(key);
  limiters.hold(key);
  EXPECT_TRUE(limiters.is_full(key, 2));
  EXPECT_FALSE(limiters.is_full(key, 3));
  limiters.park(key, {0, 2}, {0, 11, 1});
  limiters.park(key, {0, 2}, {0, 10, 2});
  limiters.park(key, {0, 2}, {-5, 12, 3});  // priority 5
  limiters.park(key, {7, 2}, {0, 13, 4});   // another line
  limiters.park(key, {0, 1}, {0, 14, 5});   // a lower limit
  EXPECT_EQ(limiters.wake(key), Slots{}) << "none has room";
  limiters.let_go(key);
  EXPECT_EQ(limiters.wake(key), (Slots{3, 4}));
  limiters.let_go(key);
  EXPECT_EQ(limiters.wake(key), (Slots{5, 2}));
  limiters.unpark(key, {0, 2}, {0, 11, 1});
  EXPECT_EQ(limiters.wake(key), Slots{});
  limiters.release(key);
  limiters.release(key);
  EXPECT_EQ(limiters.acquire("other"), key) << "its number is used again";
}

}  // namespace
}  // namespace treadle::store

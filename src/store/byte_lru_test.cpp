#include "store/byte_lru.h"

#include <gtest/gtest.h>

#include "store/store.h"

namespace treadle::store {
namespace {

TEST(ByteLru, ForgetsWhatWasNotUsedForLongestWhenItIsFull) {
  ByteLru<TaskId, int> lru(100);
  const auto id = [](std::uint64_t n) { return TaskId(Uuid{0, n}); };
  for (std::uint64_t n = 1; n <= 4; ++n) lru.put(id(n), static_cast<int>(n), 25);
  ASSERT_TRUE(lru.find(id(1)));
  lru.put(id(5), 5, 25);
  EXPECT_FALSE(lru.find(id(2)));
  ASSERT_TRUE(lru.find(id(1)));
  lru.put(id(1), 11, 50);
  EXPECT_EQ(lru.bytes(), 100u);
  EXPECT_EQ(*lru.find(id(1)), 11);
  EXPECT_FALSE(lru.find(id(3)));
  lru.put(id(6), 6, 1000);
  EXPECT_EQ(lru.bytes(), 0u) << "what is larger than all has no place";
}

}  // namespace
}  // namespace treadle::store

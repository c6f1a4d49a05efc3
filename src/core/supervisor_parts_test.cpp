#include <gtest/gtest.h>

#include "core/death_words.h"
#include "core/function_cache.h"
#include "core/supervisor_rig.h"
#include "core/token_memory.h"

namespace treadle::core {
namespace {

using testing_rig::body;

Digest digest(std::uint64_t n) {
  Digest d;
  d.words[0] = n;
  return d;
}

TEST(TokenMemory, KnowsAtLeastTheLastOnesAndForgetsInTheEnd) {
  TokenMemory memory(100);
  for (std::uint64_t n = 1; n <= 1000; ++n) {
    EXPECT_FALSE(memory.contains(Token{n}));
    memory.insert(Token{n});
    for (std::uint64_t old = n > 100 ? n - 99 : 1; old <= n; ++old)
      ASSERT_TRUE(memory.contains(Token{old})) << n << " " << old;
  }
  EXPECT_FALSE(memory.contains(Token{1}));
}

TEST(FunctionCache, KeepsWhatIsPinnedAndDropsTheLeastRecentlyUsed) {
  FunctionCache cache(10);  // two bodies of four bytes
  for (std::uint64_t n = 1; n <= 3; ++n) {
    cache.pin(digest(n));
    ASSERT_NE(cache.arrived(body(n)), nullptr);
  }
  EXPECT_EQ(cache.bytes(), 12u);
  CachedFunction& first = cache.pin(digest(1));
  cache.unpin(first);
  CachedFunction& second = cache.pin(digest(2));
  cache.unpin(second);
  cache.unpin(second);  // no longer used: the only one that may go
  EXPECT_EQ(cache.bytes(), 8u);
  EXPECT_EQ(cache.size(), 2u);
  cache.unpin(first);
  EXPECT_EQ(cache.size(), 2u);
  EXPECT_FALSE(cache.pin(digest(2)).present);
}

TEST(FunctionCache, NobodyNeedsABodyThatWasNotAskedFor) {
  FunctionCache cache(100);
  EXPECT_EQ(cache.arrived(body(1)), nullptr);
  EXPECT_EQ(cache.size(), 0u);
}

TEST(DeathWords, NameTheSignal) {
  event::ExecutorDied died;
  died.exited = true;
  died.wait_status = 6;
  EXPECT_EQ(death_words(died), "the executor was ended by SIGABRT while the function ran");
  died.wait_status = 40;
  EXPECT_EQ(death_words(died), "the executor was ended by signal 40 while the function ran");
  died.wait_status = 1 << 8;
  died.gave_up = "fd 3 is gone";
  EXPECT_EQ(death_words(died), "the executor exited with code 1 while the function ran; its last words: fd 3 is gone");
  Measures measures;
  fill_measures(died, measures);
  EXPECT_EQ(measures.exit_code, 1);
  EXPECT_EQ(measures.signal, 0);
}

}  // namespace
}  // namespace treadle::core

#include "base/time.h"

#include <gtest/gtest.h>

namespace treadle {
namespace {

TEST(Time, AnInstantPlusWhatItCannotHoldIsNever) {
  EXPECT_EQ(Instant{5} + Duration(7), Instant{12});
  EXPECT_EQ(Instant::never() + Duration(1), Instant::never());
  EXPECT_EQ(Instant{Instant::never().ns - 1} + Duration(2), Instant::never());
}

// A stored time that lies before the start of this process is one.
TEST(Time, AnInstantPlusLessThanNothingIsEarlier) {
  EXPECT_EQ(Instant{12} + Duration(-7), Instant{5});
  EXPECT_EQ(Instant{5} + Duration(-7), Instant{-2});
  EXPECT_EQ(Instant::never() + Duration(-7), Instant::never());
}

}  // namespace
}  // namespace treadle

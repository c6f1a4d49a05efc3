#include <gtest/gtest.h>

#include "base/did_you_mean.h"

namespace treadle {
namespace {

TEST(DidYouMean, FindsTheNearWordAndNothingForAFarOne) {
  EXPECT_EQ(did_you_mean("sevre", {"serve", "worker", "why"}), "serve");
  EXPECT_EQ(did_you_mean("workr", {"serve", "worker", "why"}), "worker");
  EXPECT_EQ(did_you_mean("elephant", {"serve", "worker", "why"}), "");
}

}  // namespace
}  // namespace treadle

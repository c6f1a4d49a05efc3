#include "core/allowance.h"

#include <gtest/gtest.h>

namespace treadle::core {
namespace {

TEST(Allowance, IsKeptAsATextThatNamesOnlyWhatIsLimited) {
  EXPECT_EQ(to_text({}), "");
  EXPECT_EQ(to_text({.cpu_ms = 1500}), R"({"cpu_ms":1500})");
  EXPECT_EQ(to_text({.cpu_ms = 1, .output_bytes = 2, .result_bytes = 3, .open_files = 4, .processes = 5}),
            R"({"cpu_ms":1,"output_bytes":2,"result_bytes":3,"open_files":4,"processes":5})");
}

TEST(Allowance, ComesBackFromItsText) {
  const Allowance some{.cpu_ms = 7, .result_bytes = 1ull << 40, .processes = 9};
  EXPECT_EQ(allowance_of(to_text(some)), some);
  EXPECT_TRUE(allowance_of("").empty());
  EXPECT_FALSE(some.empty());
}

TEST(Allowance, OfATextFromElsewhereIsWhatItNames) {
  EXPECT_EQ(allowance_of(R"({"later": 1, "processes": 3})"), Allowance{.processes = 3});
  EXPECT_TRUE(allowance_of(R"({"processes": "3", "open_files": 99999999999})").empty());
  EXPECT_TRUE(allowance_of("processes").empty());
}

TEST(Allowance, SurroundingsStandBesideItAndAreNotTakenForLimits) {
  const std::string around = R"({"env":{"cpu_ms":"5","\"cpu_ms\":":"7"},"secrets":["A"]})";
  EXPECT_EQ(to_text({}, around), R"({"surroundings":)" + around + "}");
  const std::string both = to_text({.processes = 3}, around);
  EXPECT_EQ(both, R"({"processes":3,"surroundings":)" + around + "}");
  EXPECT_EQ(surroundings_of(both), around);
  EXPECT_EQ(allowance_of(both), Allowance{.processes = 3});
  EXPECT_EQ(surroundings_of(""), "");
  EXPECT_EQ(surroundings_of(to_text({.processes = 3})), "");
}

}  // namespace
}  // namespace treadle::core

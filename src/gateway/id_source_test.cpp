#include "gateway/id_source.h"

#include <set>

#include <gtest/gtest.h>

namespace treadle::gateway {
namespace {

class FixedClock final : public Clock {
 public:
  WallMs time{1'763'000'000'000};
  Instant now() const override { return {}; }
  WallMs wall() const override { return time; }
};

TEST(IdSource, MakesRandomFunctionIds) {
  FixedClock clock;
  IdSource ids(clock);
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = to_string(ids.function_id());
    EXPECT_EQ(id[14], '4') << id;
    EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos) << id;
    EXPECT_TRUE(seen.insert(id).second);
  }
}

TEST(IdSource, MakesTaskIdsInOrderThatEndInADigit) {
  FixedClock clock;
  IdSource ids(clock);
  std::string last;
  std::set<char> ends;
  for (int i = 0; i < 20'000; ++i) {
    if (i == 10'000) clock.time.ms -= 5000;  // somebody set the clock back
    const std::string id = to_string(ids.task_id());
    EXPECT_EQ(id[14], '7') << id;
    EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos) << id;
    EXPECT_TRUE(id.back() >= '0' && id.back() <= '9') << id;
    EXPECT_LT(last, id);
    ends.insert(id.back());
    last = id;
  }
  EXPECT_EQ(ends.size(), 10u);
}

TEST(IdSource, TaskIdsBeginWithTheMilliseconds) {
  FixedClock clock;
  IdSource ids(clock);
  EXPECT_EQ(ids.task_id().hi >> 16, static_cast<std::uint64_t>(clock.time.ms));
}

}  // namespace
}  // namespace treadle::gateway

#include "base/ids.h"

#include <gtest/gtest.h>

namespace treadle {
namespace {

TEST(Ids, TextAndBackIsTheSameId) {
  const auto id = TaskId::parse("01932f3c-8a1b-7cde-9f01-23456789abc7");
  ASSERT_TRUE(id);
  EXPECT_EQ(id->hi, 0x01932f3c8a1b7cdeu);
  EXPECT_EQ(id->lo, 0x9f0123456789abc7u);
  EXPECT_EQ(to_string(*id), "01932f3c-8a1b-7cde-9f01-23456789abc7");
}

TEST(Ids, UpperCaseIsRead) { EXPECT_EQ(parse_uuid("01932F3C-8A1B-7CDE-9F01-23456789ABC7")->hi, 0x01932f3c8a1b7cdeu); }

TEST(Ids, MalformedTextIsRefused) {
  for (const char* text : {"", "x", "01932f3c8a1b7cde9f0123456789abc7", "01932f3c-8a1b-7cde-9f01-23456789abcg",
                           "01932f3c-8a1b-7cde-9f01_23456789abc7", "01932f3c-8a1b-7cde-9f01-23456789abc70"}) {
    EXPECT_FALSE(parse_uuid(text)) << text;
  }
}

TEST(Ids, DigestShowsAllItsWords) {
  const Digest digest{{0x0123456789abcdefu, 0, 0xffffffffffffffffu, 1}};
  EXPECT_EQ(to_string(digest), "0123456789abcdef0000000000000000ffffffffffffffff0000000000000001");
}

}  // namespace
}  // namespace treadle

#include "base/ids.h"

#include <string>

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

TEST(Ids, EveryByteOfAnIdIsWrittenAndReadInItsPlace) {
  for (std::uint64_t byte = 0; byte < 256; ++byte) {
    for (int shift = 0; shift < 64; shift += 8) {
      const Uuid id{byte << shift, ~(byte << shift)};
      ASSERT_EQ(parse_uuid(to_string(id)), id);
    }
  }
}

TEST(Ids, DigestsAreReadInEitherCaseAndNothingElseIs) {
  const Digest digest{{0x0123456789abcdefu, 0, 0xffffffffffffffffu, 1}};
  EXPECT_EQ(parse_digest("0123456789ABCDEF0000000000000000ffffffffFFFFFFFF0000000000000001"), digest);
  EXPECT_EQ(parse_digest(to_string(digest)), digest);
  EXPECT_FALSE(parse_digest("0123456789abcdef"));
  EXPECT_FALSE(parse_digest(std::string(63, '0') + "g"));
  EXPECT_FALSE(parse_hex("0123456789abcde"));
  EXPECT_FALSE(parse_hex("+123456789abcdef"));
}

}  // namespace
}  // namespace treadle

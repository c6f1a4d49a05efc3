#include "base/sha256.h"

#include <string>

#include <gtest/gtest.h>

namespace treadle {
namespace {

TEST(Sha256, GivesTheDigestsOfFips180) {
  EXPECT_EQ(to_string(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_string(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, TakesPiecesAndStartsOver) {
  Sha256 hash;
  hash.update("a");
  hash.update("");
  hash.update("bc");
  EXPECT_EQ(hash.finish(), sha256("abc"));
  hash.restart();
  hash.update(std::string(100'000, 'x'));
  EXPECT_EQ(hash.finish(), sha256(std::string(100'000, 'x')));
}

}  // namespace
}  // namespace treadle

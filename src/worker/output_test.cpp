#include "worker/output.h"

#include <gtest/gtest.h>

#include <cstring>

#include "core/limits.h"

namespace treadle::worker {
namespace {

const Mark kMark = {'\x41', '\x02', '\x03', '\x41', '\x05', '\x06', '\x07', '\x08',
                    '\x09', '\x0a', '\x0b', '\x0c', '\x0d', '\x0e', '\x0f', '\x10'};

std::string mark(std::uint64_t seq, bool start = false) {
  std::string text(kMark.begin(), kMark.end());
  if (start) text[0] = static_cast<char>(text[0] ^ 0x80);
  return text.append(reinterpret_cast<const char*>(&seq), sizeof seq);
}

TEST(OutputCutter, CutsAtMarksWhereverTheReadsFell) {
  const std::string stream = "one\n" + mark(1) + mark(2) + "three\x41\n" + mark(3) + "four";
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    for (std::size_t second = cut; second <= stream.size(); second += 7) {
      OutputCutter cutter(kMark);
      cutter.add(0, std::string_view(stream).substr(0, cut), false);
      cutter.add(0, std::string_view(stream).substr(cut, second - cut), false);
      cutter.add(0, std::string_view(stream).substr(second), false);
      EXPECT_EQ(cutter.take(1, false).text, "one\n");
      EXPECT_EQ(cutter.take(2, false).text, "");
      const auto three = cutter.take(3, false);
      EXPECT_EQ(three.text, "three\x41\n");
      EXPECT_FALSE(three.unmarked || three.mixed);
      const auto four = cutter.take(4, true);
      EXPECT_EQ(four.text, "four");
      EXPECT_TRUE(four.unmarked);
      EXPECT_TRUE(cutter.empty());
    }
  }
}

TEST(OutputCutter, KeepsBothPipesInTheOrderOfArrival) {
  OutputCutter cutter(kMark);
  cutter.add(0, "a", false);
  cutter.add(1, "b", false);
  cutter.add(0, "c" + mark(1) + "next", false);
  cutter.add(1, "d" + mark(1), false);
  EXPECT_EQ(cutter.take(1, false).text, "abcd");
  EXPECT_EQ(cutter.take_rest().text, "next");
}

TEST(OutputCutter, WhatLooksLikeAMarkAndIsNoneIsOutput) {
  OutputCutter cutter(kMark);
  const std::string almost = mark(1).substr(0, 15) + "x";
  cutter.add(0, almost, false);
  cutter.add(0, mark(1).substr(0, 15), false);
  EXPECT_EQ(cutter.take(1, true).text, almost + mark(1).substr(0, 15));
  cutter.add(0, std::string("\x40") + mark(2).substr(1), false);  // another first byte
  EXPECT_EQ(cutter.take(2, true).text.size(), 24u);
}

TEST(OutputCutter, LeftoversBeforeAStartMarkMakeTheTaskMixed) {
  OutputCutter cutter(kMark);
  cutter.add(0, mark(1, true) + "mine" + mark(1), false);
  const auto clean = cutter.take(1, true);
  EXPECT_EQ(clean.text, "mine");
  EXPECT_FALSE(clean.mixed || clean.unmarked);
  cutter.add(0, "late", true);
  cutter.add(0, mark(2, true) + "mine" + mark(2), false);
  const auto mixed = cutter.take(2, true);
  EXPECT_EQ(mixed.text, "latemine");
  EXPECT_TRUE(mixed.mixed);
  EXPECT_FALSE(mixed.unmarked);
  cutter.add(0, "between", false);
  cutter.add(0, mark(3, true) + mark(3), false);
  EXPECT_TRUE(cutter.take(3, true).mixed);
}

TEST(OutputCutter, KeepsTheEndOfALongOutputInBoundedMemory) {
  OutputCutter cutter(kMark);
  for (int i = 0; i < 1000; ++i) cutter.add(i % 2, std::string(10'000, static_cast<char>('a' + i % 26)), false);
  cutter.add(0, "the end", false);
  const std::string text = cutter.take_rest().text;
  EXPECT_EQ(text.size(), core::limits::kOutputKept);
  EXPECT_EQ(text.substr(text.size() - 7), "the end");
}

TEST(OutputCutter, AHostileFloodOfMarksIsBoundedToo) {
  OutputCutter cutter(kMark);
  for (std::uint64_t i = 0; i < 5000; ++i) cutter.add(0, std::string(1000, 'x') + mark(1'000'000 + i), false);
  EXPECT_EQ(cutter.take(1, true).text, "");
  EXPECT_LE(cutter.take_rest().text.size(), core::limits::kOutputKept);
}

TEST(PrintableTail, IsAlwaysUtf8) {
  EXPECT_EQ(printable_tail("plain", 100), "plain");
  EXPECT_EQ(printable_tail("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", 100),
            "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
  EXPECT_EQ(printable_tail("a\xff"
                           "b",
                           100),
            "a\xef\xbf\xbd"
            "b");
  EXPECT_EQ(printable_tail("\xc0\xaf", 100), "\xef\xbf\xbd\xef\xbf\xbd");                  // overlong
  EXPECT_EQ(printable_tail("\xed\xa0\x80", 100), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");  // surrogate
  EXPECT_EQ(printable_tail("x\xe2\x82\xac"
                           "ab",
                           4),
            "ab");                                                               // the cut character goes
  EXPECT_EQ(printable_tail("\xff\xff\xff\xff", 7), "\xef\xbf\xbd\xef\xbf\xbd");  // replacements count, whole
}

TEST(OutputCutter, CountsAllThatWasWrittenThoughOnlyTheEndIsKept) {
  OutputCutter cutter(kMark);
  cutter.add(0, "before" + mark(1), false);
  const std::string much(1 << 20, 'x');
  for (int i = 0; i < 40; ++i) cutter.add(i % 2, much, false);
  EXPECT_EQ(cutter.pending_bytes(), 6 + (40u << 20));
  EXPECT_EQ(cutter.take(1, false).bytes, 0u) << "it was dropped, and counts for the one that pushed it out";
  const auto taken = cutter.take(2, true);
  EXPECT_EQ(taken.bytes, 6 + (40u << 20));
  EXPECT_EQ(taken.text.size(), core::limits::kOutputKept);
  EXPECT_EQ(cutter.pending_bytes(), 0u);
  cutter.add(0, "ab" + mark(3), false);
  EXPECT_EQ(cutter.take(3, true).bytes, 2u);
}

TEST(OutputCutter, OfTasksSideBySideEachHasWhatItMarked) {
  OutputCutter cutter(kMark);
  cutter.add(0, "a" + mark(1) + "b" + mark(2) + "A" + mark(1), false);
  cutter.add(1, "e" + mark(1) + "f" + mark(3), false);
  const auto two = cutter.take(2, false, true);
  EXPECT_EQ(two.text, "b");
  EXPECT_FALSE(two.mixed || two.unmarked);
  cutter.add(0, "!" + mark(1), false);
  EXPECT_EQ(cutter.take(1, false, true).text, "aAe!");
  cutter.add(0, "late" + mark(1) + "from C", false);
  const auto last = cutter.take(3, true, true);
  EXPECT_EQ(last.text, "flatefrom C");
  EXPECT_TRUE(last.mixed);
  EXPECT_TRUE(cutter.empty());
}

TEST(OutputCutter, ManySmallTextsOfManyTasksAreKeptWithinLimits) {
  OutputCutter cutter(kMark);
  std::string stream;
  constexpr std::uint64_t kTexts = 40'000;
  for (std::uint64_t i = 0; i < kTexts; ++i) stream += "x" + mark(1 + i % 2);
  cutter.add(0, stream, false);
  const auto one = cutter.take(1, false, true);
  const auto two = cutter.take(2, true, true);
  EXPECT_EQ(one.text.size() + two.text.size(), 16384u);  // the latest of them
  EXPECT_EQ(one.bytes + two.bytes, kTexts);
  for (std::uint64_t i = 0; i < kTexts; ++i) cutter.add(0, "y" + mark(3), false);
  EXPECT_EQ(cutter.take(3, true, true).text.size(), kTexts);  // of one task: one text
}

TEST(OutputCutter, IsReadWhileTheTaskRuns) {
  OutputCutter cutter(kMark);
  cutter.add(0, "before" + mark(1) + "one ", false);
  cutter.add(1, "two ", false);
  core::OutputPart part = cutter.read(2, 0, false);
  EXPECT_EQ(part.text, "beforeone two ") << "what a former task left is its, until that is taken";
  EXPECT_EQ(cutter.take(1, false).text, "before");
  part = cutter.read(2, 0, false);
  EXPECT_EQ(part.text, "one two ");
  EXPECT_EQ(part.end, 8u);
  cutter.add(0, "three", false);
  part = cutter.read(2, part.end, false);
  EXPECT_EQ(part.from, 8u);
  EXPECT_EQ(part.text, "three");
  EXPECT_EQ(cutter.read(2, part.end, false).text, "");
  cutter.add(0, " four" + mark(2) + "next", false);
  cutter.add(1, mark(2), false);
  const OutputCutter::Taken taken = cutter.take(2, false, false, &part.end);
  EXPECT_EQ(taken.text, "one two three four");
  EXPECT_EQ(taken.unread.from, 13u);
  EXPECT_EQ(taken.unread.text, " four");
  EXPECT_EQ(cutter.read(3, 0, false).text, "next");
}

TEST(OutputCutter, SideBySideEachReadsItsOwn) {
  OutputCutter cutter(kMark);
  cutter.add(0, "a1" + mark(1) + "b1" + mark(2) + "a2" + mark(1), false);
  EXPECT_EQ(cutter.read(1, 0, true).text, "a1a2");
  EXPECT_EQ(cutter.read(2, 0, true).text, "b1");
  const std::uint64_t read = 2;
  EXPECT_EQ(cutter.take(1, false, true, &read).unread.text, "a2");
}

TEST(OutputCutter, ReadsTheNewestOfMuch) {
  OutputCutter cutter(kMark);
  const std::string block(16u << 10, 'x');
  for (int i = 0; i < 200; ++i) cutter.add(i % 2, block, false);
  cutter.add(0, "end", false);
  const core::OutputPart part = cutter.read(1, 5, false);
  EXPECT_EQ(part.end, 200 * block.size() + 3);
  EXPECT_EQ(part.text.size(), core::limits::kLiveText);
  EXPECT_EQ(part.from + part.text.size(), part.end);
  EXPECT_TRUE(part.text.ends_with("xend"));
}

TEST(OutputCutter, KeepsLengthsAndWholeCharacters) {
  OutputCutter cutter(kMark);
  cutter.add(0, "a\xE2\x82", false);
  core::OutputPart part = cutter.read(1, 0, false);
  EXPECT_EQ(part.text, "a");
  EXPECT_EQ(part.end, 1u) << "the rest of the character may still come";
  cutter.add(0, "\xAC\x80\xC3", false);
  part = cutter.read(1, part.end, false);
  EXPECT_EQ(part.text, "\xE2\x82\xAC?");
  EXPECT_EQ(part.end, 5u);
  EXPECT_EQ(cutter.take(1, true, false, &part.end).unread.text, "?");
}

}  // namespace
}  // namespace treadle::worker

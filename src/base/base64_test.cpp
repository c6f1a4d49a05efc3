#include "base/base64.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"

namespace treadle {
namespace {

using ::testing::HasSubstr;

std::string bytes_of(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 131 + i / 7);
  return bytes;
}

std::string refusal(std::string_view text) {
  const auto decoded = base64_decode(text);
  return decoded ? "accepted" : decoded.error().message;
}

TEST(Base64, VectorsOfTheRfc) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, text] : vectors) {
    EXPECT_EQ(base64_encode(plain), text);
    EXPECT_EQ(base64_decode(text).value(), plain);
  }
}

TEST(Base64, AllLengthsComeBackInBothForms) {
  for (std::size_t size = 0; size < 400; ++size) {
    const std::string bytes = bytes_of(size);
    EXPECT_EQ(base64_decode(base64_encode(bytes)).value(), bytes) << size;
    EXPECT_EQ(base64_decode(base64_encode_lines(bytes)).value(), bytes) << size;
  }
}

TEST(Base64, LinesAreThoseOfPython) {
  EXPECT_EQ(base64_encode_lines(""), "");
  EXPECT_EQ(base64_encode_lines("a"), "YQ==\n");
  const std::string line(76, 'A');
  EXPECT_EQ(base64_encode_lines(std::string(57, '\0')), line + "\n");
  EXPECT_EQ(base64_encode_lines(std::string(58, '\0')), line + "\nAA==\n");
  EXPECT_EQ(base64_encode_lines(std::string(114, '\0')), line + "\n" + line + "\n");
}

TEST(Base64, WhiteSpaceIsSkippedAnywhere) {
  for (const char* text : {"Zm9v YmFy", "Zm9v\r\nYmFy\r\n", " \tZ\nm\r9 v\tY m F y ", "Zm9vYmFy\n\n\n"}) {
    EXPECT_EQ(base64_decode(text).value(), "foobar") << text;
  }
  EXPECT_EQ(base64_decode("Zg = \n =\n").value(), "f");
}

TEST(Base64, EveryOtherCharacterIsRefusedInEveryPlace) {
  for (int c = 0; c < 256; ++c) {
    const bool good =
        std::isalnum(c) || std::string_view("+/ \t\r\n").find(static_cast<char>(c)) != std::string_view::npos;
    if (good && c < 128) continue;
    for (std::size_t place = 0; place < 38; ++place) {
      std::string text(40, 'A');  // long enough for both loops of the decoder; its end may hold padding
      text[place] = static_cast<char>(c);
      EXPECT_FALSE(base64_decode(text)) << c << " at " << place;
    }
  }
}

TEST(Base64, RefusalsSayWhatIsWrongAndWhere) {
  EXPECT_EQ(refusal("Zm9vYmFy!"), "character '!' at offset 8 is not base64");
  EXPECT_EQ(refusal("not-valid-base64!!!"), "character '-' at offset 3 is not base64");
  EXPECT_EQ(refusal(std::string("Zm\0v", 4)), "byte 0x00 at offset 2 is not base64");
  EXPECT_THAT(refusal("Zm9vY"), HasSubstr("offset 5"));
  EXPECT_THAT(refusal("payload"), HasSubstr("missing"));
  EXPECT_THAT(refusal("Zg="), HasSubstr("missing"));
  EXPECT_THAT(refusal("="), HasSubstr("too early"));
  EXPECT_THAT(refusal("Z==="), HasSubstr("too early"));
  EXPECT_THAT(refusal("Zg=a"), HasSubstr("follows base64 padding"));
  EXPECT_THAT(refusal("Zg==Zg=="), HasSubstr("offset 4 follows the padding"));
  EXPECT_THAT(refusal("Zg==="), HasSubstr("follows the padding"));
  EXPECT_THAT(refusal("Zh=="), HasSubstr("ambiguous"));
  EXPECT_THAT(refusal("Zm9="), HasSubstr("ambiguous"));
}

TEST(Base64, PiecesCutAnywhereGiveTheSame) {
  const std::string bytes = bytes_of(130);
  for (const std::string& text : {base64_encode(bytes), base64_encode_lines(bytes)}) {
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
      Base64Decoder decoder;
      std::string out;
      EXPECT_TRUE(decoder.feed(std::string_view(text).substr(0, cut), out));
      EXPECT_TRUE(decoder.feed(std::string_view(text).substr(cut), out));
      EXPECT_TRUE(decoder.finish(out));
      EXPECT_EQ(out, bytes) << cut;
    }
  }
}

TEST(Base64, OffsetsCountOverPieces) {
  Base64Decoder decoder;
  std::string out = "kept";
  EXPECT_TRUE(decoder.feed("Zm9vYm\n", out));
  EXPECT_FALSE(decoder.feed("Fy*", out));
  EXPECT_EQ(decoder.error(), "character '*' at offset 9 is not base64");
  EXPECT_EQ(out, "keptfoobar");
  EXPECT_FALSE(decoder.feed("Zm9v", out));
  EXPECT_FALSE(decoder.finish(out));
  decoder.reset();
  EXPECT_TRUE(decoder.feed("Zm9v", out) && decoder.finish(out));
  EXPECT_EQ(out, "keptfoobarfoo");
}

TEST(Base64, WhatIsAcceptedIsTheOnlyTextOfItsBytes) {
  Rng random(7);
  constexpr std::string_view kSome = "ABQgwxyz01239+/=";
  int accepted = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text(4 + random.below(2) * 4, 'A');
    for (char& c : text) c = kSome[random.below(kSome.size())];
    const auto decoded = base64_decode(text);
    if (!decoded) continue;
    ++accepted;
    EXPECT_EQ(base64_encode(*decoded), text);
  }
  EXPECT_GT(accepted, 1000);
}

}  // namespace
}  // namespace treadle

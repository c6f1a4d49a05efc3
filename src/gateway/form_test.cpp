#include "gateway/form.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "base/base64.h"
#include "gateway/testing.h"

namespace treadle::gateway {
namespace {

using namespace testing;
using ::testing::HasSubstr;

constexpr FormSpec kCall{"function_id", false, false};
constexpr FormSpec kFunction{"name", true, true};

Result<Form> read(const std::vector<std::string>& pieces, const FormSpec& spec = kCall, std::uint64_t expected = 0,
                  std::uint64_t max_payload = 1000) {
  static PayloadForm form;  // reused, as a connection does
  form.start(spec, max_payload, expected, false);
  for (const auto& piece : pieces) form.feed(piece);
  auto out = form.finish();
  form.reset();
  return out;
}

TEST(PayloadForm, ReadsABodyCutAtEveryByte) {
  const std::string body = R"({"x":[{}],"function_id":"a\u00e9b","payload":")" + kArgs + R"(","payload2":"zzz"})";
  const auto whole = read({body});
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(whole->text,
            "a\xc3\xa9"
            "b");
  EXPECT_EQ(whole->payload.bytes.size(), 22u);
  for (std::size_t cut = 0; cut <= body.size(); ++cut) {
    for (const std::uint64_t expected : {std::uint64_t{0}, std::uint64_t{body.size()}}) {
      const auto form = read({body.substr(0, cut), body.substr(cut)}, kCall, expected);
      ASSERT_TRUE(form) << cut << form.error().message;
      EXPECT_EQ(form->text, whole->text);
      EXPECT_EQ(form->payload.bytes, whole->payload.bytes);
    }
  }
}

// Most of a large body goes past the JSON parser: every way of cutting must give what one piece gives.
TEST(PayloadForm, PassesTheInsideOfAPayloadAtAnyCut) {
  std::string bytes(
      "\x80\x04"
      "C\xc8",
      4);
  bytes += std::string(200, 'q') + ".";
  std::string text = base64_encode(bytes);
  const char* const between[] = {"\\n", "\\r\\n", " ", "\\t", "\\u0020", "\\u000a"};
  for (std::size_t at = 5, i = 0; at < text.size(); at += 23, ++i) {
    const std::string extra = between[i % std::size(between)];
    text.insert(at, extra);
    at += extra.size();
  }
  text.replace(text.find('g'), 1, "\\u0067");
  for (const std::string& body : {R"({"payload":")" + text + R"(","function_id":"x\ny"})",
                                  R"({"function_id":"x\ny","payload":")" + text + "\" }"}) {
    for (std::size_t first = 1; first < body.size(); ++first) {
      for (const std::size_t step : {1u, 2u, 3u, 7u, 31u, 1000u}) {
        std::vector<std::string> pieces{body.substr(0, first)};
        for (std::size_t at = first; at < body.size(); at += step) pieces.push_back(body.substr(at, step));
        const auto form = read(pieces);
        ASSERT_TRUE(form) << first << " " << step << " " << form.error().message;
        ASSERT_EQ(form->payload.bytes.view(), bytes) << first << " " << step;
        ASSERT_EQ(form->text, "x\ny");
      }
    }
  }
}

TEST(PayloadForm, RefusesControlCharactersInsideAPayloadAtAnyCut) {
  const std::string body = "{\"function_id\":\"a\",\"payload\":\"gASVCwAAAAAA\nAABLA0sEhpR9lIaULg==\"}";
  for (std::size_t cut = 1; cut < body.size(); ++cut) {
    const auto form = read({body.substr(0, cut), body.substr(cut)});
    ASSERT_FALSE(form) << cut;
    EXPECT_THAT(form.error().message, HasSubstr("not JSON")) << cut;
  }
}

TEST(PayloadForm, TakesTheLastOfEqualFields) {
  const auto form = read({R"({"payload":"!!!","function_id":"a","payload":")" + kArgs + R"(","function_id":"b"})"});
  ASSERT_TRUE(form) << form.error().message;
  EXPECT_EQ(form->text, "b");
  EXPECT_EQ(form->payload.bytes.size(), 22u);
}

TEST(PayloadForm, GivesEqualDigestsToEqualBytes) {
  const auto one = read({function_body()}, kFunction);
  const auto two = read({function_body("gASVFQAAAA AAAACMCV9v\\r\\ncGVyYXRvcpSMA2FkZJSTlC4=", "other")}, kFunction);
  const auto call = read({R"({"function_id":"a","payload":")" + kArgs + R"("})"});
  ASSERT_TRUE(one && two && call);
  EXPECT_EQ(one->digest, two->digest);
  EXPECT_EQ(to_string(one->digest), "7e9cf107827011302891b2b652438bce308a66c66f70006b03724f6027b736ba");
  EXPECT_EQ(call->digest, Digest{});
}

TEST(PayloadForm, SaysWhatIsWrong) {
  const auto error = [](const std::string& body, const FormSpec& spec = kCall) {
    const auto form = read({body}, spec);
    return form ? fail(Code::Internal, "accepted") : form.error();
  };
  EXPECT_THAT(error("").message, HasSubstr("empty"));
  EXPECT_THAT(error("{\"a\":1,}").message, HasSubstr("at byte 7"));
  EXPECT_THAT(error("{} {}").message, HasSubstr("not JSON"));
  EXPECT_THAT(error("{}").message, HasSubstr("\"function_id\" is missing"));
  EXPECT_THAT(error(R"({"function_id":true})").message, HasSubstr("not true or false"));
  EXPECT_THAT(error(R"({"function_id":{}})").message, HasSubstr("not an object"));
  EXPECT_THAT(error(R"({"name":")" + std::string(1025, 'n') + "\"}", kFunction).message, HasSubstr("longer than 1024"));
  EXPECT_EQ(error("{\"function_id\":\"\xff\"}").code, Code::Invalid);
  EXPECT_EQ(error(R"({"function_id":"a","payload":")" + std::string(1400, 'A') + "\"}").code, Code::TooLarge);
  EXPECT_EQ(error(R"({"name":"a","payload":"gARLBy4="})", kFunction).code, Code::Invalid);
}

TEST(PayloadForm, TakesAPayloadOfExactlyTheLimit) {
  std::string bytes = std::string("\x80\x04", 2) + "C" + static_cast<char>(250) + std::string(250, 'x') + ".";
  std::string text;
  base64_encode(bytes, text);
  const std::string body = R"({"function_id":"a","payload":")" + text + "\"}";
  EXPECT_TRUE(read({body}, kCall, 0, bytes.size()));
  EXPECT_EQ(read({body}, kCall, 0, bytes.size() - 1).error().code, Code::TooLarge);
}

TEST(PayloadForm, KeepsTheFieldsBesideThePayloadAtAnyCut) {
  constexpr FormSpec kFields{.max_fields = 1000, .shape = "{...}"};
  const std::string body = R"({"a\u00e9":[1,-2,3.5,18446744073709551615,true,null,{"x":"y\nz"}],"payload":")" + kArgs +
                           R"(","o":{"payload":"kept"}})";
  for (std::size_t cut = 0; cut <= body.size(); ++cut) {
    const auto form = read({body.substr(0, cut), body.substr(cut)}, kFields);
    ASSERT_TRUE(form) << cut << form.error().message;
    EXPECT_EQ(boost::json::serialize(*form->fields),
              "{\"a\xc3\xa9\":[1,-2,3.5E0,18446744073709551615,true,null,{\"x\":\"y\\nz\"}],\"payload\":null,"
              "\"o\":{\"payload\":\"kept\"}}")
        << cut;
    EXPECT_TRUE(form->has_payload);
    EXPECT_EQ(form->payload.bytes.size(), 22u);
  }
  EXPECT_FALSE(read({R"({"a":1})"}, kFields)->has_payload);
  EXPECT_THAT(read({R"({"payload":3})"}, kFields).error().message, HasSubstr("\"payload\" must be a string"));
  EXPECT_THAT(read({"[]"}, kFields).error().message, HasSubstr("must be a JSON object"));
  const auto large = read({R"({"a":")" + std::string(1000, 'x') + "\"}"}, kFields);
  EXPECT_EQ(large.error().code, Code::TooLarge);
  EXPECT_THAT(large.error().message, HasSubstr("1000 bytes"));
  // What goes into the payload does not count.
  EXPECT_TRUE(read({R"({"payload":")" + kArgs + std::string(2000, ' ') + "\"}"}, kFields));
}

TEST(PayloadForm, RefusesABodyOverTheLimitOfItsRoute) {
  constexpr FormSpec kWhole{.max_fields = 1000, .payload = false, .shape = "{...}", .max_body = 30};
  const auto fits = read({R"({"payload": "not decoded"})"}, kWhole);
  ASSERT_TRUE(fits) << fits.error().message;
  EXPECT_FALSE(fits->has_payload);
  EXPECT_EQ(boost::json::serialize(*fits->fields), R"({"payload":"not decoded"})");
  const auto large = read({R"({"payload": )", "\"" + std::string(30, 'x') + "\"}"}, kWhole);
  EXPECT_EQ(large.error().code, Code::TooLarge);
  EXPECT_THAT(large.error().message, HasSubstr("30 bytes"));
}

}  // namespace
}  // namespace treadle::gateway

#include "store/redis/resp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <cmath>
#include <cstring>

namespace treadle::store::redis {
namespace {

using ::testing::HasSubstr;
using Type = Reply::Type;

// A value with its types, e.g. [i1 "text" +OK].
std::string shown(const Reply& reply) {
  switch (reply.type) {
    case Type::Nil: return "nil";
    case Type::Integer: return "i" + std::to_string(reply.integer);
    case Type::String: return '"' + reply.text + '"';
    case Type::Status: return "+" + reply.text;
    case Type::Error: return "-" + reply.text;
    case Type::Bool: return reply.integer != 0 ? "true" : "false";
    case Type::Double: return "d" + std::to_string(reply.number);
    case Type::Array: break;
  }
  std::string out = "[";
  for (const Reply& item : reply.items) out += (out.size() > 1 ? " " : "") + shown(item);
  return out + "]";
}

// All values of the bytes, given in pieces of `step`; pushes begin with '>', an error ends them as "!message".
std::vector<std::string> parsed(std::string_view bytes, std::size_t step, RespLimits limits = {}) {
  RespParser parser(limits);
  std::vector<std::string> out;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    // A copy of exact size, so that a sanitizer sees a read past its end.
    const std::string piece(bytes.substr(at, step));
    std::string_view input = piece;
    while (!input.empty()) {
      auto value = parser.next(input);
      if (!value) {
        out.push_back("!" + value.error().message);
        return out;
      }
      if (*value) out.push_back(((*value)->push ? ">" : "") + shown((*value)->reply));
    }
  }
  if (parser.inside()) out.push_back("...");
  return out;
}

struct Example {
  const char* bytes;
  std::vector<std::string> values;
};

const Example kExamples[] = {
    {"+OK\r\n", {"+OK"}},
    {"+\r\n", {"+"}},
    {"-ERR no\r\n", {"-ERR no"}},
    {":0\r\n:-5\r\n:+7\r\n:9223372036854775807\r\n", {"i0", "i-5", "i7", "i9223372036854775807"}},
    {"$5\r\nhello\r\n", {"\"hello\""}},
    {"$0\r\n\r\n", {"\"\""}},
    {"$4\r\n\r\n\r\n\r\n", {"\"\r\n\r\n\""}},
    {"$-1\r\n*-1\r\n_\r\n", {"nil", "nil", "nil"}},
    {"*0\r\n~0\r\n%0\r\n", {"[]", "[]", "[]"}},
    {"*3\r\n:1\r\n$1\r\na\r\n*2\r\n_\r\n#t\r\n", {"[i1 \"a\" [nil true]]"}},
    {"#t\r\n#f\r\n", {"true", "false"}},
    {",1.5\r\n,-3\r\n,1e3\r\n,inf\r\n,-inf\r\n", {"d1.500000", "d-3.000000", "d1000.000000", "dinf", "d-inf"}},
    {"(3492890328409238509324850943850943825024385\r\n(-12\r\n",
     {"\"3492890328409238509324850943850943825024385\"", "\"-12\""}},
    {"!8\r\nERR a\r\nb\r\n", {"-ERR a\r\nb"}},
    {"=8\r\ntxt:some\r\n", {"\"some\""}},
    {"%2\r\n+a\r\n:1\r\n+b\r\n:2\r\n", {"[+a i1 +b i2]"}},
    {"~2\r\n:1\r\n:2\r\n", {"[i1 i2]"}},
    {">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n+OK\r\n", {">[\"message\" \"c\" \"m\"]", "+OK"}},
    {"|1\r\n+ttl\r\n:3\r\n+OK\r\n", {"+OK"}},
    {"|0\r\n+OK\r\n", {"+OK"}},
    {"*2\r\n|1\r\n+k\r\n*1\r\n:9\r\n:1\r\n:2\r\n", {"[i1 i2]"}},
    {"*1\r\n*1\r\n*1\r\n*0\r\n:1\r\n", {"[[[[]]]]", "i1"}},
    {"*2\r\n:1\r\n", {"..."}},
    {"$3\r\nab", {"..."}},
    {"+O", {"..."}},
};

TEST(Resp, ReadsEveryTypeCutAtEveryByte) {
  for (const Example& example : kExamples)
    for (std::size_t step = 1; step <= std::strlen(example.bytes); ++step)
      EXPECT_EQ(parsed(example.bytes, step), example.values) << example.bytes << " in steps of " << step;
}

TEST(Resp, ReadsNotANumber) {
  RespParser parser;
  std::string_view input = ",nan\r\n";
  const auto value = parser.next(input);
  ASSERT_TRUE(value && *value);
  EXPECT_EQ((*value)->reply.type, Type::Double);
  EXPECT_TRUE(std::isnan((*value)->reply.number));
}

TEST(Resp, SaysWhatIsMalformed) {
  const std::pair<const char*, const char*> wrong[] = {
      {"HTTP/1.1 400 Bad Request\r\n", "a value that begins with 'H'"},
      {"\x15\x03\r\n", "a value that begins with byte 21"},
      {"\r\n", "an empty line"},
      {"+a\n", "ends without a carriage return"},
      {":\r\n", "begins with ':' and is of no known form"},
      {":1x\r\n", "begins with ':'"},
      {":+-1\r\n", "begins with ':'"},
      {":9223372036854775808\r\n", "begins with ':'"},
      {"#x\r\n", "begins with '#'"},
      {",x\r\n", "begins with ','"},
      {"(1.5\r\n", "begins with '('"},
      {"(-\r\n", "begins with '('"},
      {"_x\r\n", "begins with '_'"},
      {"$-2\r\n", "a string whose length is no number"},
      {"$x\r\n", "a string whose length is no number"},
      {"!-1\r\n", "a string whose length is no number"},
      {"$536870913\r\n", "a string of 536870913 bytes, over the limit"},
      {"$1\r\nabc", "longer than its length says"},
      {"$1\r\na\rb", "longer than its length says"},
      {"=3\r\ntxt\r\n", "a verbatim string without its format"},
      {"*-2\r\n", "an array whose length is no number"},
      {"%-1\r\n", "an array whose length is no number"},
      {"*x\r\n", "an array whose length is no number"},
      {"*1048577\r\n", "a value of over 1048576 items"},
      {"%524289\r\n", "a value of over 1048576 items"},
      {"*9223372036854775807\r\n", "a value of over 1048576 items"},
      {"*1\r\n>1\r\n:1\r\n", "a pushed message inside another value"},
      {">0\r\n", "a pushed message without a name"},
      {"$?\r\n", "a streamed string"},
      {"*?\r\n", "a streamed array"},
      {"%?\r\n", "a streamed array"},
      {";4\r\n", "begins with ';'"},
      {".\r\n", "begins with '.'"},
  };
  for (const auto& [bytes, words] : wrong)
    for (const std::size_t step : {std::size_t(1), std::size_t(1000)}) {
      const auto values = parsed(bytes, step);
      ASSERT_FALSE(values.empty()) << bytes;
      EXPECT_THAT(values.back(), HasSubstr(words)) << bytes;
      EXPECT_THAT(values.back(), HasSubstr("Is it a Redis that listens there?")) << bytes;
    }
}

TEST(Resp, HasALimitForEachDimension) {
  RespLimits limits;
  limits.line_bytes = 8;
  limits.bulk_bytes = 16;
  limits.value_bytes = 64;
  limits.items = 4;
  limits.depth = 3;
  const auto last = [&](const std::string& bytes) { return parsed(bytes, 5, limits).back(); };
  EXPECT_EQ(last("+12345678\r\n").substr(0, 1), "!");  // the mark counts
  EXPECT_EQ(last("+1234567\r\n"), "+1234567");
  EXPECT_EQ(last("$16\r\n0123456789abcdef\r\n"), "\"0123456789abcdef\"");
  EXPECT_THAT(last("$17\r\n"), HasSubstr("a string of 17 bytes"));
  EXPECT_EQ(last("*2\r\n*2\r\n:1\r\n:2\r\n:3\r\n"), "[[i1 i2] i3]");
  EXPECT_THAT(last("*2\r\n*3\r\n:1\r\n"), HasSubstr("over 4 items"));
  EXPECT_EQ(last("*1\r\n*1\r\n*1\r\n:1\r\n"), "[[[i1]]]");
  EXPECT_THAT(last("*1\r\n*1\r\n*1\r\n*0\r\n"), HasSubstr("nested over 3 deep"));
  const std::string bulk = "$16\r\n0123456789abcdef\r\n";
  EXPECT_THAT(last("*4\r\n" + bulk + bulk + bulk), HasSubstr("over"));
  EXPECT_EQ(last("*2\r\n" + bulk + bulk), "[\"0123456789abcdef\" \"0123456789abcdef\"]");
  EXPECT_EQ(last(bulk + bulk + bulk + bulk + "+OK\r\n"), "+OK");  // each value begins anew
}

TEST(Resp, ADepthBombEndsBeforeTheStack) {
  std::string bomb;
  for (int i = 0; i < 100'000; ++i) bomb += "*1\r\n";
  const auto values = parsed(bomb, bomb.size());
  ASSERT_EQ(values.size(), 1u);
  EXPECT_THAT(values[0], HasSubstr("nested over 32 deep"));
}

TEST(Resp, AClaimedLengthCostsNoMemoryBeforeItComes) {
  const auto used = [] {
    const auto info = mallinfo2();
    return info.uordblks + info.hblkhd;
  };
  std::string bytes;
  for (int i = 0; i < 30; ++i) bytes += "*30000\r\n";  // 86 MB, if room were made for all at once
  bytes += "$536870912\r\nx";
  const std::size_t before = used();
  RespParser parser;
  std::string_view input = bytes;
  const auto value = parser.next(input);
  ASSERT_TRUE(value);
  EXPECT_FALSE(*value);
  EXPECT_TRUE(parser.inside());
  EXPECT_LT(used() - before, 4u << 20);
}

TEST(Resp, ABigStringArrivesWhole) {
  std::string value(5u << 20, 'x');
  for (std::size_t i = 0; i < value.size(); i += 1000) value[i] = static_cast<char>(i);
  const std::string bytes = "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n:1\r\n";
  const auto values = parsed(bytes, 65536);
  ASSERT_EQ(values.size(), 2u);
  EXPECT_TRUE(values[0] == '"' + value + '"');
  EXPECT_EQ(values[1], "i1");
}

std::string joined(const RespWriter& writer) {
  std::string out;
  for (const std::string& piece : writer.pieces()) out += piece;
  return out;
}

TEST(RespWriter, WritesCommandsThatTheParserReads) {
  RespWriter writer;
  EXPECT_TRUE(writer.empty());
  writer.add({"SET", "k", std::string("a\0\r\n", 4)});
  writer.add({"PING"});
  writer.add({"ECHO", ""});
  EXPECT_EQ(joined(writer), std::string("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\0\r\n\r\n*1\r\n$4\r\nPING\r\n"
                                        "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n",
                                        64));
  EXPECT_EQ(writer.size(), 64u);
  EXPECT_EQ(writer.pieces().size(), 1u);
  EXPECT_EQ(parsed(joined(writer), 3).size(), 3u);
}

TEST(RespWriter, ABigArgumentIsMovedNotCopied) {
  std::string big(1u << 20, 'x');
  const char* const where = big.data();
  RespWriter writer;
  std::vector<std::string> command{"SET", "k"};
  command.push_back(std::move(big));
  const std::size_t most = resp_size(command);
  writer.add(std::move(command));
  writer.add({"PING"});
  ASSERT_EQ(writer.pieces().size(), 3u);
  EXPECT_EQ(writer.pieces()[1].data(), where);
  EXPECT_LE(writer.size() - 14, most);
  EXPECT_EQ(joined(writer).size(), writer.size());
  EXPECT_EQ(parsed(joined(writer), 4096).size(), 2u);
}

TEST(RespWriter, IsEmptyAfterClear) {
  RespWriter writer;
  writer.add({"SET", "k", std::string(100'000, 'x')});
  writer.clear();
  EXPECT_TRUE(writer.empty());
  writer.add({"PING"});
  EXPECT_EQ(joined(writer), "*1\r\n$4\r\nPING\r\n");
}

}  // namespace
}  // namespace treadle::store::redis

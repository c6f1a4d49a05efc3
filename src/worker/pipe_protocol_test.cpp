#include "worker/pipe_protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace treadle::worker {
namespace {

using ::testing::HasSubstr;

template <class T>
std::string raw(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string up(std::uint8_t type, std::uint64_t seq, std::string body, std::uint8_t flags = 0) {
  return raw<std::uint32_t>(static_cast<std::uint32_t>(body.size())) + raw(type) + raw(flags) + raw<std::uint16_t>(0) +
         raw(seq) + body;
}

std::string result_body(std::string type, std::string message, std::string traceback, std::string pickle) {
  return raw<std::uint8_t>(1) + raw<std::uint8_t>(2) + raw<std::uint16_t>(1) +
         raw(static_cast<std::uint32_t>(type.size())) + raw(static_cast<std::uint32_t>(message.size())) +
         raw(static_cast<std::uint32_t>(traceback.size())) + raw<std::uint64_t>(100) + raw<std::uint64_t>(200) +
         raw<std::uint64_t>(30) + raw<std::uint64_t>(4096) + type + message + traceback + pickle;
}

void feed(FrameReader& reader, std::string_view bytes) {
  const auto space = reader.space();
  ASSERT_GE(space.size(), bytes.size());
  std::memcpy(space.data(), bytes.data(), bytes.size());
  reader.added(bytes.size());
}

TEST(PipeProtocol, TaskFrameIsLaidOutAsTheTextSays) {
  TaskHeader task;
  task.seq = 0x1122334455667788;
  task.function = 9;
  task.facts.names_main = true;
  task.facts.protocol = 4;
  task.task = *TaskId::parse("00112233-4455-6677-8899-aabbccddeeff");
  task.attempt = 2;
  task.flags = kTaskMarkOutput;
  task.time_limit_ms = 5000;
  std::string frame;
  append_task(frame, task, 10);
  const std::string expected = raw<std::uint32_t>(50) + std::string("\x01\0\0\0", 4) +
                               raw<std::uint64_t>(0x1122334455667788) + raw<std::uint32_t>(9) +
                               raw<std::uint32_t>(1 << 4 | 4 << 8) +
                               std::string("\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 16) +
                               raw<std::uint32_t>(2) + raw<std::uint32_t>(1) + raw<std::uint64_t>(5000);
  EXPECT_EQ(frame, expected);
}

TEST(PipeProtocol, LargePayloadsAreAnnouncedAsMemfd) {
  std::string frame;
  append_function(frame, 3, {}, kMemfdAbove + 1);
  EXPECT_EQ(frame, raw<std::uint32_t>(16) + std::string("\x02\x01\0\0", 4) + raw<std::uint64_t>(0) +
                       raw<std::uint32_t>(3) + raw<std::uint32_t>(0) + raw<std::uint64_t>(kMemfdAbove + 1));
  frame.clear();
  append_function(frame, 3, {}, kMemfdAbove);
  EXPECT_EQ(frame.size(), kFrameHeader + 8);
  EXPECT_EQ(frame[5], 0);
}

TEST(PipeProtocol, FramesCutAtEveryByteAreReadAlike) {
  const std::string stream = up(129, 0,
                                raw<std::uint32_t>(1) + raw<std::uint32_t>(77) + raw<std::uint16_t>(3) +
                                    raw<std::uint16_t>(11) + raw<std::uint32_t>(0)) +
                             up(130, 1, result_body("T", "mess", "trace", "pickle")) + up(131, 5, "") +
                             up(132, 6, raw<std::uint64_t>(4)) + up(135, 0, "why") +
                             up(130, 7, result_body("", "", "", ""));
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    FrameReader reader;
    std::vector<std::string> seen;
    const auto read_all = [&] {
      UpFrame frame;
      FrameReader::Next next;
      while ((next = reader.next(frame)) == FrameReader::Next::Frame) {
        seen.push_back(std::to_string(static_cast<int>(frame.type)) + ":" + std::to_string(frame.seq) + ":" +
                       std::string(frame.body));
      }
      EXPECT_EQ(next, FrameReader::Next::More);
    };
    feed(reader, stream.substr(0, cut));
    read_all();
    feed(reader, stream.substr(cut));
    EXPECT_TRUE(reader.has_frame() || cut == stream.size());
    read_all();
    ASSERT_EQ(seen.size(), 6u) << cut;
    EXPECT_EQ(seen[1], "130:1:" + result_body("T", "mess", "trace", "pickle"));
    EXPECT_EQ(seen[2], "131:5:");
    EXPECT_EQ(seen[4], "135:0:why");
    EXPECT_EQ(reader.buffered(), 0u);
  }
}

TEST(PipeProtocol, ByteByByteWorksTooAndLargeFramesGrowTheBuffer) {
  const std::string body = result_body("", "", "", std::string(900'000, 'p'));
  const std::string stream = up(130, 1, body) + up(131, 2, "");
  FrameReader reader;
  UpFrame frame;
  std::size_t at = 0;
  while (reader.next(frame) == FrameReader::Next::More) {
    const auto space = reader.space();
    const std::size_t n = std::min({space.size(), stream.size() - at, std::size_t{60'001}});
    std::memcpy(space.data(), stream.data() + at, n);
    reader.added(n);
    at += n;
  }
  EXPECT_EQ(frame.body, body);
  ResultBody result;
  ASSERT_TRUE(parse_result(frame, result));
  EXPECT_EQ(result.pickle.size(), 900'000u);
  feed(reader, stream.substr(at));
  ASSERT_EQ(reader.next(frame), FrameReader::Next::Frame);
  EXPECT_EQ(frame.seq, 2u);
  EXPECT_LE(reader.space().size(), 256u << 10) << "the large buffer is given back";
}

TEST(PipeProtocol, ResultIsTakenApart) {
  UpFrame frame{Up::Result, false, 1, {}};
  const std::string body = result_body("Type", "the message", "the traceback", "the pickle");
  frame.body = body;
  ResultBody result;
  ASSERT_TRUE(parse_result(frame, result));
  EXPECT_EQ(result.kind, 1);
  EXPECT_EQ(result.made_by, 2);
  EXPECT_EQ(result.flags, 1);
  EXPECT_EQ(result.start_ns, 100);
  EXPECT_EQ(result.end_ns, 200);
  EXPECT_EQ(result.cpu_us, 30u);
  EXPECT_EQ(result.peak_rss, 4096u);
  EXPECT_EQ(result.type, "Type");
  EXPECT_EQ(result.message, "the message");
  EXPECT_EQ(result.traceback, "the traceback");
  EXPECT_EQ(result.pickle, "the pickle");
}

TEST(PipeProtocol, ResultWithMemfdHasItsSizeBeforeItsTexts) {
  std::string body = result_body("T", "m", "t", "");
  body.insert(48, raw<std::uint64_t>(5'000'000));
  UpFrame frame{Up::Result, true, 1, body};
  ResultBody result;
  ASSERT_TRUE(parse_result(frame, result));
  EXPECT_EQ(result.memfd_bytes, 5'000'000u);
  EXPECT_EQ(result.message, "m");
  body += "pickle bytes that must not be here";
  frame.body = body;
  EXPECT_FALSE(parse_result(frame, result));
}

TEST(PipeProtocol, ResultsOfWrongShapeAreRefused) {
  const std::string good = result_body("Type", "message", "traceback", "pickle");
  ResultBody result;
  for (std::size_t length = 0; length < 48; ++length) {
    EXPECT_FALSE(parse_result({Up::Result, false, 1, std::string_view(good).substr(0, length)}, result)) << length;
  }
  EXPECT_FALSE(parse_result({Up::Result, false, 1, std::string_view(good).substr(0, 48 + 4 + 7 + 8)}, result));
  EXPECT_TRUE(parse_result({Up::Result, false, 1, std::string_view(good).substr(0, 48 + 4 + 7 + 9)}, result));
  for (const int kind : {2, 3, 4, 5, 6, 7, 15, 200}) {
    std::string bad = good;
    bad[0] = static_cast<char>(kind);
    EXPECT_FALSE(parse_result({Up::Result, false, 1, bad}, result)) << kind;
  }
  std::string overflow = good;  // lengths whose sum wraps in 32 bits
  std::memset(overflow.data() + 4, 0xff, 4);
  overflow[8] = 5;
  EXPECT_FALSE(parse_result({Up::Result, false, 1, overflow}, result));
}

TEST(PipeProtocol, LengthsAreRefusedBeforeTheyAreAllocated) {
  const auto why = [](std::string header) {
    FrameReader reader;
    feed(reader, header);
    UpFrame frame;
    EXPECT_EQ(reader.next(frame), FrameReader::Next::Bad);
    EXPECT_LE(reader.space().size(), kMaxFrame + 256 * 1024);
    return std::string(reader.why_bad());
  };
  EXPECT_THAT(why(raw<std::uint32_t>(0xffffffff) + std::string("\x82\0\0\0", 4) + raw<std::uint64_t>(1)),
              HasSubstr("4294967295 bytes"));
  EXPECT_THAT(why(raw<std::uint32_t>(kMaxFrame + 1) + std::string("\x82\0\0\0", 4) + raw<std::uint64_t>(1)),
              HasSubstr("bytes"));
  EXPECT_THAT(why(raw<std::uint32_t>(1) + std::string("\x83\0\0\0", 4) + raw<std::uint64_t>(1)),
              HasSubstr("131 with 1 bytes"));
  EXPECT_THAT(why(raw<std::uint32_t>(0) + std::string("\x01\0\0\0", 4) + raw<std::uint64_t>(1)),
              HasSubstr("unknown type 1"));
  EXPECT_THAT(why(raw<std::uint32_t>(0) + std::string("\x83\0\x01\0", 4) + raw<std::uint64_t>(1)),
              HasSubstr("unknown flags"));
  EXPECT_THAT(why(raw<std::uint32_t>(16) + std::string("\x81\x01\0\0", 4) + raw<std::uint64_t>(1)),
              HasSubstr("unknown flags"));
}

}  // namespace
}  // namespace treadle::worker

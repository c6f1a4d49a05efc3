// What goes in comes out, in the types, sizes and places that docs/protocol.md promises.
#include "transport/codec.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "base/sha256.h"
#include "core/limits.h"
#include "transport/testing.h"

namespace treadle::transport {
namespace {

namespace limits = core::limits;

using testing::dump;

template <class Decoded>
void fill_all(Decoded& decoded, const Offers& offers) {
  for (const BlobRef& ref : decoded.refs) {
    const auto offer =
        std::find_if(offers.begin(), offers.end(), [&](const Offer& o) { return o.digest == ref.digest; });
    ASSERT_NE(offer, offers.end());
    ASSERT_EQ(offer->bytes.size(), ref.size);
    fill(decoded.message, ref.slot, offer->bytes);
  }
}

std::uint64_t inline_bytes(const Frames& frames) {
  std::uint64_t bytes = 0;
  for (std::size_t i = 2; i < frames.size(); ++i) bytes += frames[i].size();
  return bytes;
}

TEST(Codec, GivesBackAnyWorkerMessage) {
  Rng rng(1);
  std::size_t with_refs = 0;
  for (int i = 0; i < 3000; ++i) {
    const bool large = i % 20 == 0;
    const auto message = testing::random_worker_message(rng, large ? 400'000 : 6000);
    Offers offers;
    const Frames frames = encode(message, &offers, i % 2 ? std::optional<Duration>(50ms) : std::nullopt);
    auto decoded = decode_worker(frames);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(decoded->refs.size(), offers.size());
    EXPECT_LE(inline_bytes(frames), limits::kMaxInlineBatch + 4096);  // the margin: texts too small to be referred to
    with_refs += !offers.empty();
    fill_all(*decoded, offers);
    ASSERT_EQ(dump(decoded->message), dump(message));
    EXPECT_EQ(decoded->marks.asks, i % 2 == 1);
    EXPECT_FALSE(decoded->marks.plain);
  }
  EXPECT_GT(with_refs, 10u);
}

TEST(Codec, GivesBackAnyDispatcherMessage) {
  Rng rng(2);
  std::size_t with_refs = 0;
  for (int i = 0; i < 3000; ++i) {
    auto message = testing::random_dispatcher_message(rng, i % 20 == 0 ? 400'000 : 6000);
    for (auto& function : message.functions)
      if (function.found) function.digest = sha256(function.body.bytes.view());
    Offers offers;
    const Frames frames = encode(message, &offers);
    auto decoded = decode_dispatcher(frames);
    ASSERT_TRUE(decoded) << decoded.error().message;
    with_refs += !offers.empty();
    fill_all(*decoded, offers);
    ASSERT_EQ(dump(decoded->message), dump(message));
  }
  EXPECT_GT(with_refs, 10u);
}

core::DispatcherMessage attempts_with(const std::vector<std::size_t>& sizes) {
  core::DispatcherMessage message;
  for (const std::size_t size : sizes) {
    core::Attempt attempt;
    attempt.token = Token{message.attempts.size() + 1};
    attempt.args.bytes = Buffer::of(std::string(size, static_cast<char>('a' + message.attempts.size() % 26)));
    message.attempts.push_back(attempt);
  }
  return message;
}

TEST(Codec, PayloadsGoWhereTheirSizeSays) {
  const auto message = attempts_with({0, limits::kPacked, limits::kPacked + 1, limits::kInline, limits::kInline + 1});
  Offers offers;
  const Frames frames = encode(message, &offers);
  ASSERT_EQ(frames.size(), 5u);
  EXPECT_EQ(frames[2].size(), limits::kPacked);
  EXPECT_EQ(frames[3], message.attempts[2].args.bytes);
  EXPECT_EQ(frames[3].data(), message.attempts[2].args.bytes.data()) << "copied";
  EXPECT_EQ(frames[4].size(), limits::kInline);
  ASSERT_EQ(offers.size(), 1u);
  EXPECT_EQ(offers[0].bytes.data(), message.attempts[4].args.bytes.data()) << "copied";
  const auto decoded = decode_dispatcher(frames);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->refs,
            (std::vector<BlobRef>{
                {{Slot::Part::Args, false, 4}, sha256(message.attempts[4].args.bytes.view()), limits::kInline + 1}}));
  EXPECT_EQ(decoded->message.attempts[3].args.bytes.data(), frames[4].data()) << "copied";
}

TEST(Codec, MessageHasAtMostAMebibyteInside) {
  const auto message = attempts_with(std::vector<std::size_t>(100, 60'000));
  Offers offers;
  const Frames frames = encode(message, &offers);
  EXPECT_LE(inline_bytes(frames), limits::kMaxInlineBatch);
  EXPECT_EQ(offers.size(), 100 - limits::kMaxInlineBatch / 60'000);
  auto decoded = decode_dispatcher(frames);
  ASSERT_TRUE(decoded);
  fill_all(*decoded, offers);
  EXPECT_EQ(dump(decoded->message), dump(message));
}

TEST(Codec, TextsStayOutTooWhenThereIsNoRoom) {
  core::WorkerMessage message;
  message.seq = 1;
  for (std::uint64_t i = 1; i <= 64; ++i) {
    core::OutcomeReport report{{TaskId(Uuid{i, i}), Token{i}}, {}};
    report.outcome.kind = core::ErrorKind::Crashed;
    report.outcome.output = std::string(limits::kOutputKept, static_cast<char>(i));
    report.outcome.traceback = "short enough to stay in";
    message.outcomes.push_back(report);
  }
  Offers offers;
  const Frames frames = encode(message, &offers);
  EXPECT_EQ(offers.size(), 64 - 15);  // 16 would leave no room for the tracebacks
  for (const Buffer& frame : frames) EXPECT_LE(frame.size(), limits::kMaxFrame);
  auto decoded = decode_worker(frames);
  ASSERT_TRUE(decoded);
  fill_all(*decoded, offers);
  EXPECT_EQ(dump(decoded->message), dump(message));
}

TEST(Codec, LargestBatchesKeepFramesAndHeaderInBounds) {
  // A worker of 1,000 slots that holds all that may be prefetched, and says so.
  core::WorkerMessage message;
  message.names_held = true;
  message.held.resize(1000 * (1 + limits::kMaxPrefetchPerSlot), {TaskId(Uuid{~0ull, ~0ull}), Token{~0ull}});
  const Frames frames = encode(message);
  EXPECT_LE(frames[1].size(), limits::kMaxFrame);
  const auto decoded = decode_worker(frames);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->message.held, message.held);
}

TEST(Codec, DurationsAreRoundedUpToMilliseconds) {
  auto message = attempts_with({1});
  message.attempts[0].time_limit = 1ns;
  message.attempts[0].retry_delay = 1001us;
  message.heartbeat = 2ms;
  const auto decoded = decode_dispatcher(encode(message));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->message.attempts[0].time_limit, 1ms);
  EXPECT_EQ(decoded->message.attempts[0].retry_delay, 2ms);
  EXPECT_EQ(decoded->message.heartbeat, 2ms);
}

TEST(Codec, NamesThatAreNotUtf8AreMadeSo) {
  core::WorkerMessage message;
  message.registers = true;
  message.info.host = "caf\xe9";
  const auto decoded = decode_worker(encode(message));
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->message.info.host, "caf\xef\xbf\xbd");
}

}  // namespace
}  // namespace treadle::transport

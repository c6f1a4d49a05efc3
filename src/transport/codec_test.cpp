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

}  // namespace
}  // namespace treadle::transport

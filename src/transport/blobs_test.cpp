// Blobs over a link that loses, doubles and reorders: what leaves is what was sent, in order, or nothing.
#include "transport/blobs.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/sha256.h"
#include "transport/testing.h"

namespace treadle::transport {
namespace {

namespace limits = core::limits;

using Pull = BlobPull<DecodedDispatcher>;

std::string noise(std::uint64_t seed, std::size_t size) {
  Rng rng(seed);
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; i += 8) {
    const std::uint64_t word = rng.next();
    std::copy_n(reinterpret_cast<const char*>(&word), std::min<std::size_t>(8, size - i), bytes.data() + i);
  }
  return bytes;
}

core::DispatcherMessage message_with(std::uint64_t seq, const std::vector<Buffer>& args) {
  core::DispatcherMessage message;
  message.seq = seq;
  for (std::size_t i = 0; i < args.size(); ++i) {
    core::Attempt attempt;
    attempt.task = TaskId(Uuid{seq, i});
    attempt.token = Token{seq * 1000 + i + 1};
    attempt.args.bytes = args[i];
    message.attempts.push_back(attempt);
  }
  return message;
}

DecodedDispatcher over_the_wire(const core::DispatcherMessage& message, BlobStock& stock) {
  Offers offers;
  const Frames frames = encode(message, &offers);
  stock.keep(message.seq, std::move(offers));
  auto decoded = decode_dispatcher(frames);
  EXPECT_TRUE(decoded);
  return std::move(*decoded);
}

BlobRequest sent(const BlobRequest& request) { return *decode_blob_request(encode(request)); }
BlobPart sent(const BlobPart& part) { return *decode_blob(encode(part)); }

// Answers everything at once, in order.
void run(Pull& pull, const BlobStock& stock, Instant now) {
  for (auto requests = pull.requests(now); !requests.empty(); requests = pull.requests(now))
    for (const BlobRequest& request : requests) pull.take(now, sent(stock.answer(sent(request))));
}

struct Big : ::testing::Test {
  BlobStock stock;
  Pull pull;
  Instant now{1'000'000'000};
  Buffer big = Buffer::of(noise(1, 700'000));  // three parts

  Digest digest() const { return sha256(big.view()); }
  void take(std::uint64_t seq, const std::vector<Buffer>& args) {
    pull.take(over_the_wire(message_with(seq, args), stock));
  }
  std::vector<std::uint64_t> ready() {
    std::vector<std::uint64_t> seqs;
    for (const auto& decoded : pull.ready()) seqs.push_back(decoded.message.seq);
    return seqs;
  }
};

TEST_F(Big, PayloadIsPulledAndHoldsBackWhatCameAfterIt) {
  take(1, {});
  take(2, {big, Buffer::of("small")});
  take(3, {});
  EXPECT_EQ(ready(), std::vector<std::uint64_t>{1});
  EXPECT_EQ(pull.held_back(), 2u);
  run(pull, stock, now);
  const auto out = pull.ready();
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(out[0].message.attempts[0].args.bytes, big);
  EXPECT_EQ(out[0].message.attempts[1].args.bytes.view(), "small");
  EXPECT_TRUE(out[0].refs.empty());
  EXPECT_EQ(out[1].message.seq, 3u);
  EXPECT_EQ(pull.next_deadline(), Instant::never());
  EXPECT_TRUE(pull.take_notes().empty());
}

TEST_F(Big, AtMostAWindowOfPartsIsUnderWay) {
  take(1, {Buffer::of(noise(2, 5 * limits::kBlobPart + 1))});
  const auto first = pull.requests(now);
  ASSERT_EQ(first.size(), limits::kBlobWindow);
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_EQ(first[i].offset, i * limits::kBlobPart);
  EXPECT_TRUE(pull.requests(now).empty());
  EXPECT_TRUE(pull.take(now, stock.answer(first[2])));  // out of order
  const auto next = pull.requests(now);
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next[0].offset, 4 * limits::kBlobPart);

  BlobPull<DecodedDispatcher> over_req(PullConfig{.window = 1});
  over_req.take(over_the_wire(message_with(2, {big}), stock));
  EXPECT_EQ(over_req.requests(now).size(), 1u);
}

TEST_F(Big, SamePayloadTwiceIsPulledOnce) {
  take(1, {big, big});
  take(2, {big});
  std::size_t parts = 0;
  for (auto requests = pull.requests(now); !requests.empty(); requests = pull.requests(now)) {
    for (const BlobRequest& request : requests) pull.take(now, stock.answer(request));
    parts += requests.size();
  }
  EXPECT_EQ(parts, 3u);
  const auto out = pull.ready();
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(out[0].message.attempts[1].args.bytes, big);
  EXPECT_EQ(out[1].message.attempts[0].args.bytes, big);
}

TEST_F(Big, DoubledAndUnaskedPartsAreNoProgress) {
  take(1, {big});
  const auto requests = pull.requests(now);
  const BlobPart part = stock.answer(requests[0]);
  EXPECT_TRUE(pull.take(now, part));
  EXPECT_FALSE(pull.take(now, part));
  BlobPart elsewhere = part;
  elsewhere.offset = 7;
  EXPECT_FALSE(pull.take(now, elsewhere));
  BlobPart stranger = part;
  stranger.blob = sha256("unknown");
  EXPECT_FALSE(pull.take(now, stranger));
  EXPECT_TRUE(pull.take_notes().empty());
  EXPECT_EQ(pull.held_back(), 1u);
}

TEST_F(Big, BlobThatIsGoneDropsOnlyTheMessagesThatNeedIt) {
  const Buffer other = Buffer::of(noise(3, 300'000));
  take(1, {big, other});
  take(2, {other});
  const auto requests = pull.requests(now);
  pull.take(now, BlobPart{.blob = digest(), .gone = true});
  const auto notes = pull.take_notes();
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(notes[0], "blob.dropped seq=1 blob=" + to_string(digest()) + " why=\"its sender has it no more\"");
  for (const BlobRequest& request : requests) pull.take(now, stock.answer(request));
  run(pull, stock, now);
  EXPECT_EQ(ready(), std::vector<std::uint64_t>{2});
}

TEST_F(Big, BytesWithAnotherDigestNeverGetThrough) {
  take(1, {big});
  for (const BlobRequest& request : pull.requests(now)) {
    BlobPart part = stock.answer(request);
    std::string bytes(part.bytes.view());
    bytes[0] = static_cast<char>(bytes[0] ^ 1);
    part.bytes = Buffer::of(bytes);
    EXPECT_TRUE(pull.take(now, part));
  }
  EXPECT_TRUE(ready().empty());
  EXPECT_EQ(pull.held_back(), 0u);
  ASSERT_EQ(pull.take_notes().size(), 1u);
}

TEST_F(Big, PartOfAnotherSizeDropsTheMessage) {
  take(1, {big});
  BlobPart part = stock.answer(pull.requests(now)[0]);
  part.bytes = Buffer::of("short");
  EXPECT_FALSE(pull.take(now, part));
  EXPECT_EQ(pull.held_back(), 0u);
  EXPECT_EQ(pull.take_notes().size(), 1u);
}

TEST_F(Big, UnansweredRequestsComeAgainAndThenTheMessageIsDropped) {
  take(1, {big});
  take(2, {});
  EXPECT_EQ(pull.requests(now).size(), 3u);
  for (int round = 1; round < limits::kBlobRounds; ++round) {
    EXPECT_EQ(pull.next_deadline(), now + limits::kBlobPatience);
    EXPECT_TRUE(pull.requests(now + limits::kBlobPatience - 1ns).empty());
    now = pull.next_deadline();
    EXPECT_EQ(pull.requests(now).size(), 3u) << round;
  }
  now = pull.next_deadline();
  EXPECT_TRUE(pull.requests(now).empty());
  EXPECT_EQ(ready(), std::vector<std::uint64_t>{2});
  EXPECT_EQ(pull.take_notes().size(), 1u);
}

TEST_F(Big, LimitsDropAMessageInWords) {
  Pull small(PullConfig{.max_blob = 1000});
  small.take(over_the_wire(message_with(1, {big}), stock));
  auto notes = small.take_notes();
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("--max-payload allows 1000"), std::string::npos) << notes[0];
  EXPECT_TRUE(small.requests(now).empty());

  take(1, {big});
  for (std::uint64_t seq = 2; seq < limits::kMaxHeldBack + 2; ++seq) take(seq, {});
  EXPECT_EQ(pull.held_back(), limits::kMaxHeldBack);
  notes = pull.take_notes();
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("seq=1025"), std::string::npos) << notes[0];
}

TEST_F(Big, StockKeepsUntilTheLastOfferIsAcknowledged) {
  stock.keep(3, {{digest(), big}});
  stock.keep(5, {{digest(), big}, {sha256("x"), Buffer::of("x")}});
  stock.acknowledged(4);
  EXPECT_EQ(stock.size(), 2u);
  const BlobPart last = stock.answer({digest(), 2 * limits::kBlobPart, {}});
  EXPECT_EQ(last.bytes.view(), big.view().substr(2 * limits::kBlobPart));
  EXPECT_EQ(last.size, big.size());
  EXPECT_TRUE(stock.answer({digest(), big.size(), {}}).gone);
  stock.acknowledged(5);
  EXPECT_EQ(stock.size(), 0u);
  EXPECT_TRUE(stock.answer({digest(), 0, {}}).gone);
}

TEST(BlobStock, ForgetsTheOldestBeyondItsLimit) {
  BlobStock stock;
  for (std::uint64_t i = 1; i <= limits::kMaxStock + 1; ++i) {
    const std::string bytes = std::to_string(i);
    stock.keep(i, {{sha256(bytes), Buffer::of(bytes)}});
  }
  EXPECT_EQ(stock.size(), limits::kMaxStock);
  EXPECT_TRUE(stock.answer({sha256("1"), 0, {}}).gone);
  EXPECT_FALSE(stock.answer({sha256("2"), 0, {}}).gone);
}

// ---- a bad link ----

struct Faults {
  int lost = 0, doubled = 0, reordered = 0, gone = 0;
};

template <class T>
void disturb(Rng& rng, std::vector<T>& items, Faults& faults) {
  std::vector<T> out;
  for (T& item : items) {
    if (rng.chance(0.1)) {
      ++faults.lost;
      continue;
    }
    if (rng.chance(0.1)) {
      ++faults.doubled;
      out.push_back(item);
    }
    out.push_back(std::move(item));
    if (out.size() > 1 && rng.chance(0.2)) {
      ++faults.reordered;
      std::swap(out[out.size() - 1], out[out.size() - 2]);
    }
  }
  items = std::move(out);
}

TEST(BlobLink, WhatLeavesIsWhatWasSentInOrderWhateverTheLinkDoes) {
  Faults faults;
  std::size_t delivered = 0, dropped = 0, with_blobs = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Rng rng(seed);
    BlobStock stock;
    BlobPull<DecodedWorker> pull(PullConfig{.window = 1 + rng.below(4)});
    Instant now{1};
    std::vector<std::string> said;
    std::vector<BlobPart> on_the_way;
    std::uint64_t last = 0;
    for (std::uint64_t seq = 1; seq <= 12 || pull.held_back() > 0; ++seq) {
      if (seq <= 12) {
        auto message = testing::random_worker_message(rng, rng.chance(0.5) ? 900'000 : 2000);
        message.seq = seq;
        said.push_back(testing::dump(message));
        Offers offers;
        const Frames frames = encode(message, &offers);
        with_blobs += !offers.empty();
        stock.keep(seq, std::move(offers));
        pull.take(std::move(*decode_worker(frames)));
      }
      if (seq == 8 && rng.chance(0.3)) {
        ++faults.gone;
        stock = BlobStock();  // the sender was restarted
      }
      auto requests = pull.requests(now);
      disturb(rng, requests, faults);
      for (const BlobRequest& request : requests) on_the_way.push_back(sent(stock.answer(sent(request))));
      disturb(rng, on_the_way, faults);
      for (BlobPart& part : on_the_way) pull.take(now, std::move(part));
      on_the_way.clear();
      for (const auto& decoded : pull.ready()) {
        ASSERT_GT(decoded.message.seq, last) << "seed " << seed;
        last = decoded.message.seq;
        ASSERT_EQ(testing::dump(decoded.message), said[last - 1]) << "seed " << seed;
        ++delivered;
      }
      dropped += pull.take_notes().size();
      now = now + 700ms;
      ASSERT_LT(seq, 2000u) << "seed " << seed << ": no end in sight";
    }
    EXPECT_EQ(pull.next_deadline(), Instant::never());
  }
  EXPECT_EQ(delivered + dropped, 60u * 12);
  EXPECT_GT(delivered, 600u);
  EXPECT_GT(dropped, 0u);
  EXPECT_GT(with_blobs, 100u);
  for (const int count : {faults.lost, faults.doubled, faults.reordered, faults.gone}) EXPECT_GT(count, 5);
}

}  // namespace
}  // namespace treadle::transport

// Payloads too large for a message: it carries their SHA-256 and size, and its receiver pulls them in parts while small
// messages pass between (docs/protocol.md, "Blobs"). Machines without I/O: whoever hosts them sends what they return
// and hands them what came. One BlobStock and one BlobPull for each peer, for one (worker boot, dispatcher session);
// when either of these changes, start with new ones.
//
// The law: messages of one peer leave its BlobPull in the order in which they came; a blob that cannot be had drops the
// messages that refer to it, as if they had been lost on the way, and the numbers of the messages see to the rest.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "core/limits.h"
#include "transport/blob_fetch.h"
#include "transport/blob_frames.h"
#include "transport/codec.h"

namespace treadle::transport {

// The sending side: keeps what was offered until the message that offered it is acknowledged.
class BlobStock {
 public:
  // `seq`: the number of the message, not 0 and not below the one of the call before. Beyond kMaxStock the oldest go.
  void keep(std::uint64_t seq, Offers offers);
  // The peer has acted on all messages up to `ack`.
  void acknowledged(std::uint64_t ack);
  // Always an answer: a part, or that the blob is gone.
  BlobPart answer(const BlobRequest& request) const;
  std::size_t size() const { return kept_.size(); }

 private:
  struct Kept {
    Buffer bytes;
    std::uint64_t seq = 0;  // of the last message that offered it
  };
  void forget_oldest();

  std::map<Digest, Kept> kept_;
  std::deque<std::pair<std::uint64_t, Digest>> order_;  // by seq; stale where Kept has a higher one
};

struct PullConfig {
  std::size_t window = core::limits::kBlobWindow;      // 1 over REQ
  std::uint64_t max_blob = core::limits::kMaxPayload;  // --max-payload
};

// The receiving side. `Decoded` is DecodedWorker or DecodedDispatcher; what leaves has no refs any more.
template <class Decoded>
class BlobPull {
 public:
  explicit BlobPull(PullConfig config = {}) : config_(config), fetch_(config.window) {}

  // Every message of the peer goes through here. One beyond max_blob, kMaxPulled, kMaxStock or kMaxHeldBack is dropped.
  void take(Decoded decoded);
  // Complete messages, in order.
  std::vector<Decoded> ready();
  // True: bytes that were due have come, which is a sign of life of the peer like any message. False: late, doubled or
  // wrong, and without effect except that a blob that is gone or broken drops its messages.
  bool take(Instant now, BlobPart part);
  // To be sent now; those unanswered for too long come again.
  std::vector<BlobRequest> requests(Instant now);
  // When requests() may have something without anything having come.
  Instant next_deadline() const { return fetch_.next_deadline(); }
  // Sentences about messages that were dropped since the last call, for the log.
  std::vector<std::string> take_notes() { return std::exchange(notes_, {}); }
  std::size_t held_back() const { return queue_.size(); }

 private:
  std::string objection(const Decoded& decoded) const;
  void drop_messages_of(const Digest& blob, const std::string& why);
  void forget_unneeded(const std::vector<BlobRef>& refs);
  void settle(const BlobFetch::Event& event);

  PullConfig config_;
  BlobFetch fetch_;
  std::deque<Decoded> queue_;  // refs: what is still missing
  std::size_t missing_ = 0;    // sum of their numbers
  std::vector<std::string> notes_;
};

extern template class BlobPull<DecodedWorker>;
extern template class BlobPull<DecodedDispatcher>;

}  // namespace treadle::transport

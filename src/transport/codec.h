// The messages of core/message.h as frames, and back. Bytes in, structs out: no socket, no state, nothing kept between
// calls. What the bytes mean, and how somebody else may speak them, is in docs/protocol.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/message.h"
#include "transport/frames.h"

namespace treadle::transport {

// The version that this program speaks; another one is refused, in words.
inline constexpr std::uint64_t kProtocol = 1;

// ---- payloads that do not travel inside (blobs.h pulls them) ----

// Which payload of a message.
struct Slot {
  enum class Part : std::uint8_t { Args, Body, Result, ErrorType, ErrorMessage, Traceback, Output, LastError };
  Part part = Part::Args;
  bool given_back = false;  // of given_back[item]; else of outcomes[item], attempts[item] or functions[item]
  std::uint32_t item = 0;
  friend bool operator==(const Slot&, const Slot&) = default;
};
// A payload that is still empty in the decoded message: `size` bytes with this digest are to be pulled.
struct BlobRef {
  Slot slot;
  Digest digest;
  std::uint64_t size = 0;
  friend bool operator==(const BlobRef&, const BlobRef&) = default;
};
// The same as its sender sees it: what the other side will ask for.
struct Offer {
  Digest digest;
  Buffer bytes;
};
using Offers = std::vector<Offer>;

// Puts a pulled payload into its place.
void fill(core::WorkerMessage& message, const Slot& slot, const Buffer& bytes);
void fill(core::DispatcherMessage& message, const Slot& slot, const Buffer& bytes);

// ---- to the wire ----

// Payloads over core::limits::kInline, and those that would bring the payloads of the message over kMaxInlineBatch,
// stay out and are appended to `offers`: keep them until the message is acknowledged (BlobStock). Without `offers`
// everything goes inside. `wait`: the message is a PULL request, which may stay unanswered so long.
Frames encode(const core::WorkerMessage& message, Offers* offers = nullptr, std::optional<Duration> wait = {});
// `pull`: the message answers a request, so that one without content is NO_TASK and not ACK.
Frames encode(const core::DispatcherMessage& message, Offers* offers = nullptr, bool pull = false);
// The one task that a plain client asked for, with all it needs.
Frames encode_plain(const core::Attempt& attempt, const core::Payload& body);
// The other side's message was not understood. `text` is one sentence that says why.
Frames error_frames(std::string_view text);

// ---- from the wire ----

// Each error is one sentence that names the frame or the header's member, fit to be sent back as ERROR.

struct PlainMarks {
  bool plain = false;  // a client that numbers nothing: its message has no boot, session, seq, ack
  bool asks = false;   // a PULL request: it is answered with attempts, or with NO_TASK when `wait` is over
  Duration wait{0};
};
struct DecodedWorker {
  core::WorkerMessage message;
  PlainMarks marks;
  std::vector<BlobRef> refs;
};
struct DecodedDispatcher {
  core::DispatcherMessage message;
  std::vector<BlobRef> refs;
};
Result<DecodedWorker> decode_worker(std::span<const Buffer> frames);
Result<DecodedDispatcher> decode_dispatcher(std::span<const Buffer> frames);
// The sentence of an ERROR; nothing if the message is another one.
std::optional<std::string> error_text(std::span<const Buffer> frames);

// A worker is known by a UUID; any other name (a plain client may take one) stands for the UUID made of its SHA-256.
WorkerId worker_id_of(std::string_view name);

}  // namespace treadle::transport

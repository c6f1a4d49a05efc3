// The wire between dispatcher and workers: any frames are taken or refused with a sentence; what is taken comes back
// the same from being written and read again; a pull of blobs keeps order and bounds whatever parts come.
//
// Input: the first byte chooses the direction and how the rest is used; frames are divided by the byte 0xfe.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/sha256.h"
#include "core/limits.h"
#include "transport/blobs.h"
#include "transport/testing.h"

namespace {

using namespace treadle;
using namespace treadle::transport;

void must(bool holds) {
  if (!holds) std::abort();
}

Frames frames_of(std::string_view bytes) {
  Frames frames;
  while (true) {
    const auto end = bytes.find('\xfe');
    frames.push_back(Buffer::of(std::string(bytes.substr(0, end))));
    if (end == std::string_view::npos) return frames;
    bytes.remove_prefix(end + 1);
  }
}

// Payloads that were not inside are as long as they claim, up to a limit; the bytes do not matter here.
template <class Decoded>
void fill_in(Decoded& decoded) {
  for (const BlobRef& ref : decoded.refs)
    fill(decoded.message, ref.slot, Buffer::of(std::string(ref.size % 1000 + 1, 'x')));
}

void worker(const Frames& frames) {
  auto decoded = decode_worker(frames);
  if (!decoded) return must(!decoded.error().message.empty() && error_text(error_frames(decoded.error().message)));
  if (decoded->marks.plain) return;
  fill_in(*decoded);
  const auto again = decode_worker(encode(decoded->message));
  must(again && testing::dump(again->message) == testing::dump(decoded->message));
}

void dispatcher(const Frames& frames) {
  auto decoded = decode_dispatcher(frames);
  if (!decoded) return must(!decoded.error().message.empty());
  fill_in(*decoded);
  const auto again = decode_dispatcher(encode(decoded->message));
  must(again && testing::dump(again->message) == testing::dump(decoded->message));
}

void blob_frames(const Frames& frames) {
  if (const auto request = decode_blob_request(frames)) must(*decode_blob_request(encode(*request)) == *request);
  if (const auto part = decode_blob(frames)) {
    const auto again = decode_blob(encode(*part));
    must(again && again->bytes == part->bytes && again->offset == part->offset && again->size == part->size);
  }
}

// A message whose arguments are to be pulled, as the codec would give it; nullptr: it has none.
DecodedDispatcher message_with(std::uint64_t seq, const Offer* args) {
  DecodedDispatcher decoded;
  decoded.message.seq = seq;
  decoded.message.attempts.resize(1);
  if (args) decoded.refs.push_back({{Slot::Part::Args, false, 0}, args->digest, args->bytes.size()});
  return decoded;
}

Offer offer_of(char c, std::size_t size) {
  const std::string bytes(size, c);
  return {sha256(bytes), Buffer::of(bytes)};
}

// Each byte is a step: a message, an honest answer, a wrong one, time.
void pull(std::string_view steps) {
  static const Offer offers[2] = {offer_of('a', 1000), offer_of('b', core::limits::kBlobPart + 1)};
  BlobStock stock;
  BlobPull<DecodedDispatcher> pull;
  Instant now{1};
  std::uint64_t seq = 0, last = 0;
  std::vector<BlobRequest> requests;
  for (const char step : steps.substr(0, 64)) {
    const auto argument = static_cast<std::uint8_t>(step) / 8u;
    switch (step & 7) {
      case 0:
      case 1: {
        const Offer* offer = argument % 3 == 2 ? nullptr : &offers[argument % 3];
        pull.take(message_with(++seq, offer));
        if (offer) stock.keep(seq, {*offer});
        break;
      }
      case 2:
      case 3:
      case 4:
        if (!requests.empty()) pull.take(now, stock.answer(requests[argument % requests.size()]));
        break;
      case 5: {
        const Offer& offer = offers[argument & 1];
        BlobPart wrong{offer.digest, argument / 8 * 131072ull, offer.bytes.size(), Buffer::of("x"), argument == 7, {}};
        if (argument & 2) wrong.bytes = Buffer::of(std::string(argument & 4 ? 1000 : core::limits::kBlobPart, 'c'));
        pull.take(now, wrong);
        break;
      }
      case 6: stock.acknowledged(last); break;
      case 7: now = now + std::chrono::milliseconds(100 * argument); break;
    }
    for (const BlobRequest& request : pull.requests(now)) requests.push_back(request);
    for (const auto& decoded : pull.ready()) {
      must(decoded.message.seq > last && decoded.refs.empty());
      last = decoded.message.seq;
      const auto args = decoded.message.attempts[0].args.bytes.view();
      must(args.empty() || args == offers[0].bytes.view() || args == offers[1].bytes.view());
    }
    must(pull.held_back() <= seq - last);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'w': worker(frames_of(rest)); break;
    case 'd': dispatcher(frames_of(rest)); break;
    case 'b': blob_frames(frames_of(rest)); break;
    case 'p': pull(rest); break;
    default: break;
  }
  return 0;
}

#include "gateway/payload_reader.h"

#include <algorithm>
#include <utility>

namespace treadle::gateway {
namespace {

Error not_base64(const std::string& why) {
  return fail(Code::Invalid,
              "payload is not base64 text (" + why + "); send codecs.encode(dill.dumps(obj), \"base64\").decode().");
}

}  // namespace

void PayloadReader::start(std::uint64_t max_payload, std::uint64_t expected_text, bool digest) {
  max_payload_ = max_payload;
  error_.reset();
  bytes_.clear();
  checked_ = 0;
  raw_ = false;
  bytes_.reserve(std::min(expected_text / 4 * 3 + 3, max_payload));
  decoder_.reset();
  verifier_.reset();
  hashing_ = digest;
  digest_ = {};
  if (hashing_) hash_.restart();
}

void PayloadReader::start_bytes(std::uint64_t max_payload, std::uint64_t expected, bool digest) {
  start(max_payload, 0, digest);
  raw_ = true;
  bytes_.reserve(std::min(expected, max_payload));
}

void PayloadReader::take(std::string_view bytes) {
  if (error_) return;
  bytes_ += bytes;
  check();
}

void PayloadReader::decode(std::string_view text) {
  if (!error_ && !decoder_.feed(text, bytes_)) error_ = not_base64(decoder_.error());
}

void PayloadReader::check() {
  if (!error_ && bytes_.size() > max_payload_)
    error_ =
        fail(Code::TooLarge, "payload has more than " + std::to_string(max_payload_) +
                                 " bytes. Send less, keep the data where the function can read it, or start treadle "
                                 "with a greater --max-payload.");
  if (error_) return;
  const std::string_view fresh = std::string_view(bytes_).substr(checked_);
  checked_ = bytes_.size();
  if (hashing_) hash_.update(fresh);
  verifier_.feed(fresh);  // what it finds is told by its finish()
}

Result<core::Payload> PayloadReader::finish(bool function) {
  if (!error_ && raw_ && bytes_.empty()) error_ = fail(Code::Invalid, "The body is empty; it must be a pickle.");
  if (!error_ && !raw_ && !decoder_.finish(bytes_)) error_ = not_base64(decoder_.error());
  if (!error_ && bytes_.empty()) error_ = not_base64("it is empty");
  check();
  if (error_) return std::move(*error_);
  TRY(const core::PickleReport report, verifier_.finish());
  if (function) {
    if (auto checked = core::check_function(report); !checked) return std::move(checked.error());
  }
  if (hashing_) digest_ = hash_.finish();
  return core::Payload{Buffer::of(std::exchange(bytes_, {})), report.facts};
}

void PayloadReader::reset() {
  std::string().swap(bytes_);
  error_.reset();
}

}  // namespace treadle::gateway

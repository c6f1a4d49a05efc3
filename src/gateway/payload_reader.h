// Base64 text in, verified bytes out, piece by piece: the text is never held, the bytes are held once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/base64.h"
#include "base/result.h"
#include "base/sha256.h"
#include "core/payload.h"
#include "core/pickle.h"

namespace treadle::gateway {

class PayloadReader {
 public:
  // `expected_text` sizes the buffer (0 = unknown). `digest`: SHA-256 of the bytes is wanted.
  void start(std::uint64_t max_payload, std::uint64_t expected_text, bool digest);
  // Bytes as they are, for take() instead of decode() and check().
  void start_bytes(std::uint64_t max_payload, std::uint64_t expected, bool digest);
  // Text, in pieces cut anywhere; check() now and then walks over what they decoded to. finish() tells what was wrong.
  void decode(std::string_view text);
  void check();
  void take(std::string_view bytes);
  // Invalid: not base64, not a sound pickle, not a function though one is wanted. TooLarge. Once per start().
  Result<core::Payload> finish(bool function);
  Digest digest() const { return digest_; }  // after finish()
  void reset();                              // frees the bytes

 private:
  std::uint64_t max_payload_ = 0;
  bool hashing_ = false;
  bool raw_ = false;  // no base64
  std::optional<Error> error_;
  std::string bytes_;
  std::size_t checked_ = 0;  // of bytes_
  Base64Decoder decoder_;
  core::PickleVerifier verifier_;
  Sha256 hash_;
  Digest digest_;
};

}  // namespace treadle::gateway

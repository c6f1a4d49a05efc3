// Reads the JSON body of a request while it arrives: one short text field and one payload, decoded and verified on the
// fly, so that a body of any size is held only once, as the bytes that it decodes to.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "core/payload.h"

namespace treadle::gateway {

struct FormSpec {
  std::string_view text_field;  // a required string: "name", "function_id"
  bool function = false;        // the payload must be a function; else any sound pickle
  bool digest = false;          // SHA-256 of the decoded payload is wanted always
};

struct Form {
  std::string text;
  core::Payload payload;
  Digest digest;  // zero if it was not wanted
};

// Reusable: start, feed any number of pieces, finish. Loop thread only.
class PayloadForm {
 public:
  PayloadForm();
  ~PayloadForm();
  // `expected` is the Content-Length, 0 if unknown: it sizes the buffer.
  void start(const FormSpec& spec, std::uint64_t max_payload, std::uint64_t expected, bool digest);
  void feed(std::string_view piece);
  // Invalid: not JSON, a field missing or of the wrong type, not base64 of a pickle, not a function. TooLarge.
  Result<Form> finish();
  // Drops what was read, when the request dies on its way.
  void reset();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace treadle::gateway

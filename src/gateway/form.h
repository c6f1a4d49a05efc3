// Reads the JSON body of a request while it arrives: one short text field and one payload, decoded and verified on the
// fly, so that a body of any size is held only once, as the bytes that it decodes to; and, on /v1, further fields.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "core/payload.h"
#include "gateway/json_fwd.h"

namespace treadle::gateway {

struct FormSpec {
  std::string_view text_field;  // a required string: "name", "function_id"; "" = none
  bool function = false;        // the payload must be a function; else any sound pickle
  bool digest = false;          // SHA-256 of the decoded payload is wanted always
  // For /v1, where a body has more fields than two:
  std::uint64_t max_fields = 0;  // > 0: what is not the payload is kept as JSON, so many bytes at most
  bool payload = true;           // false: "payload" is a field like any other
  std::string_view shape{};      // of the body, for the sentences that say what is wrong with it
  std::uint64_t max_body = 0;    // of the HTTP body; 0 = the common limit
};

// What a body over spec.max_body is answered.
Error body_too_large(const FormSpec& spec);

struct Form {
  std::string text;
  core::Payload payload;
  bool has_payload = false;
  bool raw = false;                             // the body was the payload; `fields` is null
  Digest digest;                                // of the payload; zero if it was not wanted
  std::shared_ptr<boost::json::object> fields;  // with max_fields: all fields; a payload that was decoded is null there
};

// Reusable: start, feed any number of pieces, finish. Loop thread only.
class PayloadForm {
 public:
  PayloadForm();
  ~PayloadForm();
  // `expected` is the Content-Length, 0 if unknown: it sizes the buffer.
  void start(const FormSpec& spec, std::uint64_t max_payload, std::uint64_t expected, bool digest);
  // The body is the payload itself, and nothing else.
  void start_raw(const FormSpec& spec, std::uint64_t max_payload, std::uint64_t expected, bool digest);
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

// One HTTP request as handlers see it: only the parts of the header that somebody here uses.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace treadle::gateway {

class PayloadForm;

enum class Method : std::uint8_t { Get, Head, Post, Put, Patch, Delete, Options, Other };
std::string_view name_of(Method method);

// Owned by the connection and reused: a handler copies what it needs after it returns.
struct Request {
  Method method = Method::Other;
  std::string target;                      // as sent
  std::string path;                        // percent-decoded, without a trailing slash
  std::string query;                       // after '?', as sent
  std::array<std::string_view, 2> params;  // values of the {braces} of the route, inside `path`

  std::string host;
  int hosts = 0;  // Host lines seen
  std::string origin;
  std::string accept;
  std::string accept_encoding;
  std::string content_encoding;
  std::string content_type;
  std::string if_none_match;
  std::string idempotency_key;
  std::string last_event_id;
  std::string prefer;
  std::string cors_method, cors_headers;  // Access-Control-Request-...
  bool transfer_encoding = false;
  bool expect_continue = false;
  bool http10 = false;

  PayloadForm* form = nullptr;  // the body, if the route has one; valid while the handler runs

  void clear();  // keeps the capacity of the strings
};

// Splits request.target into path and query, and `host` if it is in absolute form. False: not a target that we can
// read.
bool split_target(Request& request);
// Whether the body is said to be bytes (application/octet-stream).
bool is_octet_stream(std::string_view content_type);
// Whether a path belongs to /v1, whose errors are RFC 9457 problems.
bool is_v1(std::string_view path);
// The decoded value of a query parameter; nothing if it is absent. The first one counts.
std::optional<std::string> query_value(std::string_view query, std::string_view name);
// What a Prefer header asks for (RFC 7240): wait=SECONDS, of which we take as much as any answer may wait; or
// respond-async, which is none. Nothing: neither.
std::optional<Duration> preferred_wait(std::string_view prefer);
// Whether a comma-separated header value (Accept, Accept-Encoding) names `token`, not with q=0.
bool accepts(std::string_view header, std::string_view token);

}  // namespace treadle::gateway

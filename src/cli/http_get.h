// A blocking GET, for the verbs that ask a running service.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/time.h"

namespace treadle::cli {

struct ServiceUrl {
  std::string host;
  std::uint16_t port = 80;
  std::string text;  // as it was given, without a slash at its end
};

// Invalid: not "http://host[:port]".
Result<ServiceUrl> parse_service_url(const std::string& text);

struct HttpAnswer {
  int status = 0;
  std::string body;
};

inline constexpr Duration kHttpConnect = 5s;
inline constexpr Duration kHttpSilence = 30s;             // without a byte of the answer
inline constexpr std::size_t kHttpMostBytes = 64u << 20;  // of an answer

// Unavailable: nobody answers there, or not in HTTP; one sentence with the way out.
Result<HttpAnswer> http_get(const ServiceUrl& service, const std::string& path);

}  // namespace treadle::cli

// Reads the query of a target.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace treadle::gateway {

inline constexpr std::uint32_t kPage = 100;  // rows of a page if no limit is asked for

// Seconds, 0 to 60, with a fraction if wanted. Nothing: not such a number.
std::optional<Duration> parse_wait(std::string_view text);
Error bad_wait();

// The first parameter that is none of these. On /v1 the gatekeeper takes it for an error, for every route of the table:
// a misspelt filter would list everything.
std::optional<Error> unknown_parameter(std::string_view query, std::span<const std::string_view> known);

// Ask for the parameters, then finish(), which tells the first one that is malformed.
class QueryReader {
 public:
  explicit QueryReader(std::string_view query) : query_(query) {}

  std::optional<std::string> text(std::string_view name);
  std::optional<std::int64_t> integer(std::string_view name, std::int64_t least, std::int64_t most);
  std::optional<std::string_view> word(std::string_view name, std::initializer_list<std::string_view> words);
  Duration wait();
  bool flag(std::string_view name);  // 1 or 0

  void fail_with(Error error);
  Result<void> finish();

 private:
  std::string_view query_;
  std::optional<Error> error_;
};

}  // namespace treadle::gateway

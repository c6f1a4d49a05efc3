// Reads the query of a target on /v1, where a parameter that nobody knows is an error: a misspelt filter would list
// everything.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace treadle::gateway {

inline constexpr std::uint32_t kPage = 100;  // rows of a page if no limit is asked for

// Seconds, 0 to 60, with a fraction if wanted. Nothing: not such a number.
std::optional<Duration> parse_wait(std::string_view text);
Error bad_wait();

// Ask for every parameter that may be there, then finish().
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
  std::vector<std::string_view> known_;
  std::optional<Error> error_;
};

}  // namespace treadle::gateway

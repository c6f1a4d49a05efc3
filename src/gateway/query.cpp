#include "gateway/query.h"

#include <algorithm>
#include <charconv>

#include "core/limits.h"
#include "gateway/errors.h"
#include "gateway/request.h"

namespace treadle::gateway {

std::optional<Duration> parse_wait(std::string_view text) {
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds, std::chars_format::fixed);
  const double most = std::chrono::duration<double>(core::limits::kMaxWait).count();
  if (error != std::errc() || end != text.data() + text.size() || !(seconds >= 0) || seconds > most)
    return std::nullopt;
  return Duration(static_cast<std::int64_t>(seconds * 1e9));
}

Error bad_wait() {
  return fail(Code::Invalid, "wait must be a number of seconds from 0 to 60, for example ?wait=20 or ?wait=0.5.");
}

std::optional<Error> unknown_parameter(std::string_view query, std::span<const std::string_view> known) {
  for (std::string_view rest = query; !rest.empty();) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
    const std::string_view name = pair.substr(0, pair.find('='));
    if (name.empty() || std::find(known.begin(), known.end(), name) != known.end()) continue;
    constexpr std::size_t kMostName = 64;
    return unknown_name("query parameter", name.substr(0, kMostName), name, {known.begin(), known.end()});
  }
  return std::nullopt;
}

void QueryReader::fail_with(Error error) {
  if (!error_) error_ = std::move(error);
}

std::optional<std::string> QueryReader::text(std::string_view name) { return query_value(query_, name); }

std::optional<std::int64_t> QueryReader::integer(std::string_view name, std::int64_t least, std::int64_t most) {
  const auto value = text(name);
  if (!value) return std::nullopt;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), number);
  if (error == std::errc() && end == value->data() + value->size() && number >= least && number <= most) return number;
  fail_with(fail(Code::Invalid, std::string(name) + " must be an integer from " + std::to_string(least) + " to " +
                                    std::to_string(most) + "."));
  return std::nullopt;
}

std::optional<std::string_view> QueryReader::word(std::string_view name,
                                                  std::initializer_list<std::string_view> words) {
  const auto value = text(name);
  if (!value) return std::nullopt;
  std::string all;
  for (const std::string_view one : words) {
    if (*value == one) return one;
    all += (all.empty() ? "" : ", ") + std::string(one);
  }
  fail_with(fail(Code::Invalid, std::string(name) + " must be one of " + all + "."));
  return std::nullopt;
}

Duration QueryReader::wait() {
  const auto value = text("wait");
  const auto wait = value ? parse_wait(*value) : Duration(0);
  if (!wait) fail_with(bad_wait());
  return wait.value_or(Duration(0));
}

bool QueryReader::flag(std::string_view name) { return word(name, {"1", "0"}) == "1"; }

Result<void> QueryReader::finish() {
  if (error_) return std::move(*error_);
  return {};
}

}  // namespace treadle::gateway

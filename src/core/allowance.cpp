#include "core/allowance.h"

#include <charconv>
#include <limits>

namespace treadle::core {
namespace {

// Calls f(name, member) for each limit, in the order of the text.
template <class Limits, class F>
void each_limit(Limits& limits, F f) {
  f("cpu_ms", limits.cpu_ms);
  f("output_bytes", limits.output_bytes);
  f("result_bytes", limits.result_bytes);
  f("open_files", limits.open_files);
  f("processes", limits.processes);
}

template <class Members, class F>
void each_member(Members& scheduling, F f) {
  f("retry_on", scheduling.retry_on);
  f("retry_backoff_milli", scheduling.retry_backoff_milli);
  f("retry_max_delay_ms", scheduling.retry_max_delay_ms);
  f("keep_ms", scheduling.keep_ms);
  f("labels", scheduling.labels);
  f("limit_key", scheduling.limit_key);
  f("limit", scheduling.limit);
}

// What stands behind the name, or "".
std::string_view value_of(std::string_view text, std::string_view name) {
  const std::string key = '"' + std::string(name) + "\":";
  const std::size_t at = text.find(key);
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + key.size());
  while (text.starts_with(' ')) text.remove_prefix(1);
  return text;
}

void read_into(std::string& to, std::string_view text, std::string_view name) {
  text = value_of(text, name);
  if (!text.starts_with('"')) return;
  text.remove_prefix(1);
  to = text.substr(0, text.find('"'));
}

template <class Number>
void read_into(Number& to, std::string_view text, std::string_view name) {
  text = value_of(text, name);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number > std::numeric_limits<Number>::max()) return;
  to = static_cast<Number>(number);
}

// The last member: the names of limits stand before it, so that no text of a user's can be taken for one.
constexpr std::string_view kSurroundings = R"("surroundings":)";

void add_member(std::string& to, const char* name, std::uint64_t number) {
  if (number == 0) return;
  to += to.empty() ? "{\"" : ",\"";
  to.append(name).append("\":").append(std::to_string(number));
}

void add_member(std::string& to, const char* name, const std::string& words) {
  if (words.empty()) return;
  to += to.empty() ? "{\"" : ",\"";
  to.append(name).append("\":\"").append(words).append("\"");
}

}  // namespace

std::string to_text(const Allowance& allowance, std::string_view surroundings, const Scheduling& scheduling) {
  std::string text;
  const auto add = [&text](const char* name, const auto& value) { add_member(text, name, value); };
  each_limit(allowance, add);
  each_member(scheduling, add);
  if (!surroundings.empty()) text.append(text.empty() ? "{" : ",").append(kSurroundings).append(surroundings);
  return text.empty() ? text : text + '}';
}

Allowance allowance_of(std::string_view text) {
  Allowance allowance;
  if (text.empty()) return allowance;  // of nearly every task: this is on the way of each claim
  text = text.substr(0, text.find(kSurroundings));
  each_limit(allowance, [&](const char* name, auto& limit) { read_into(limit, text, name); });
  return allowance;
}

Scheduling scheduling_of(std::string_view more) {
  Scheduling scheduling;
  if (more.empty()) return scheduling;
  more = more.substr(0, more.find(kSurroundings));
  each_member(scheduling, [&](const char* name, auto& member) { read_into(member, more, name); });
  return scheduling;
}

std::string_view surroundings_of(std::string_view text) {
  const std::size_t at = text.find(kSurroundings);
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + kSurroundings.size());
  return text.substr(0, text.size() - 1);  // without the brace that closes the whole
}

// Quotes inside a JSON text are escaped, so that this name cannot be a part of one.
std::string_view requirements_of(std::string_view surroundings) {
  constexpr std::string_view kName = R"("requirements":)";
  const std::size_t at = surroundings.find(R"("requirements":[)");
  if (at == std::string_view::npos) return {};
  surroundings.remove_prefix(at + kName.size());
  bool inside = false;
  for (std::size_t i = 0; i < surroundings.size(); ++i) {
    if (inside && surroundings[i] == '\\') {
      ++i;
    } else if (surroundings[i] == '"') {
      inside = !inside;
    } else if (!inside && surroundings[i] == ']') {
      return surroundings.substr(0, i + 1);
    }
  }
  return {};
}

}  // namespace treadle::core

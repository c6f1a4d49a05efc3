#include "core/scheduling.h"

#include <algorithm>
#include <cmath>

#include "core/limits.h"

namespace treadle::core {
namespace {

constexpr std::string_view kBuiltin = "builtins.";
constexpr std::string_view kDefault = "default";
constexpr std::uint32_t kOnce = 1000;  // thousandths

// Calls f(word) for each word; stops when it gives true, and tells whether it did.
template <class F>
bool any_word(std::string_view text, F f) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (end > 0 && f(text.substr(0, end))) return true;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return false;
}

std::string_view last_part(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

bool is_class(std::string_view listed, std::string_view found) {
  if (listed.starts_with(kBuiltin)) listed.remove_prefix(kBuiltin.size());
  return listed == found || (listed.find('.') == std::string_view::npos && listed == last_part(found));
}

}  // namespace

Duration retry_wait(Duration first, const Scheduling& scheduling, std::uint32_t used) {
  const auto longest =
      scheduling.retry_max_delay_ms > 0
          ? Duration(std::chrono::milliseconds(scheduling.retry_max_delay_ms))
          : std::chrono::duration_cast<Duration>(std::chrono::duration<double>(limits::kMaxRetryDelayS));
  const std::uint32_t factor = std::max(scheduling.retry_backoff_milli, kOnce);
  const double wait = static_cast<double>(first.count()) * std::pow(static_cast<double>(factor) / kOnce, used);
  return wait >= static_cast<double>(longest.count()) ? longest : Duration(std::llround(wait));
}

bool is_retried(std::string_view retry_on, std::string_view classes, std::string_view type) {
  if (retry_on.empty()) return true;
  return any_word(retry_on, [&](std::string_view listed) {
    if (classes.empty()) return last_part(listed) == type;
    return any_word(classes, [&](std::string_view found) { return is_class(listed, found); });
  });
}

bool has_labels(const std::vector<std::string>& offered, std::string_view wanted) {
  return !any_word(wanted, [&](std::string_view one) { return !std::ranges::binary_search(offered, one); });
}

std::string line_name(std::string_view queue, std::string_view labels) {
  std::string name(queue == kDefault ? std::string_view() : queue);
  if (labels.empty()) return name;
  if (name.empty()) name = kDefault;
  return name.append("|").append(labels);
}

std::string_view queue_of_line(std::string_view line) {
  const std::string_view queue = line.substr(0, line.find('|'));
  return queue == kDefault ? std::string_view() : queue;
}

std::string_view labels_of_line(std::string_view line) {
  const std::size_t bar = line.find('|');
  return bar == std::string_view::npos ? std::string_view() : line.substr(bar + 1);
}

}  // namespace treadle::core

// How a task is chosen, tried again and kept: options that most tasks do not have. Stores keep them in Options::more,
// beside the limits (core/allowance.h).
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace treadle::core {

// Texts hold no quotation mark and no backslash: they stand in a JSON text that is searched, not parsed.
struct Scheduling {
  std::string retry_on;                   // names of exception types with ' ' between; "" = every one
  std::uint32_t retry_backoff_milli = 0;  // each wait is so many thousandths of the one before; 0 = 1000
  std::uint64_t retry_max_delay_ms = 0;   // of one wait; 0 = limits::kMaxRetryDelayS
  std::uint64_t keep_ms = 0;              // from its end until it is forgotten; 0 = as long as the store keeps others
  std::string labels;                     // that its worker must have: sorted, ' ' between
  std::string limit_key;                  // "" = no limit
  std::uint32_t limit = 0;                // of tasks with this key that are held at once
  bool empty() const { return *this == Scheduling{}; }
  friend auto operator<=>(const Scheduling&, const Scheduling&) = default;
};

// Reads what to_text (core/allowance.h) wrote.
Scheduling scheduling_of(std::string_view more);

// The wait before the next try, when `used` tries after a failure have been made already.
Duration retry_wait(Duration first, const Scheduling& scheduling, std::uint32_t used);

// Whether a failure is one of those that are tried again. `classes`: the exception's class and its bases, each with its
// module unless it is built in, ' ' between; `type`: its name alone, for workers that tell no more.
bool is_retried(std::string_view retry_on, std::string_view classes, std::string_view type);

// Whether a worker with `offered` (sorted) has all of `wanted` (words with ' ' between).
bool has_labels(const std::vector<std::string>& offered, std::string_view wanted);

// Where a task waits: the name of its queue, and for one that asks for labels '|' and the labels behind it. "default"
// is "" unless labels follow.
std::string line_name(std::string_view queue, std::string_view labels);
std::string_view queue_of_line(std::string_view line);   // "" = default
std::string_view labels_of_line(std::string_view line);  // "" = none

}  // namespace treadle::core

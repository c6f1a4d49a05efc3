// How options, payloads and times lie in columns: shared by what writes and what reads rows.
#pragma once

#include <string>

#include "core/model.h"
#include "store/sqlite/database.h"

namespace treadle::store {

inline const std::string kPausedPrefix = "paused:";  // of names in `meta`: the queue's follows, "" = default
inline constexpr int kOptionColumns = 11;
inline const std::string kOptionNames =
    "delivery, isolation, max_attempts, retries, retry_delay_ms, time_limit_ms, priority, memory_limit, queue, "
    "environment, more";

// Into kOptionColumns parameters from `at` on.
inline void bind_options(Statement& to, int at, const core::Options& options) {
  to.bind_or_null(at, static_cast<int>(options.delivery));
  to.bind_or_null(at + 1, static_cast<int>(options.isolation));
  to.bind_or_null(at + 2, options.max_attempts);
  to.bind_or_null(at + 3, options.retries);
  to.bind_or_null(at + 4, options.retry_delay_ms);
  to.bind_or_null(at + 5, static_cast<std::int64_t>(options.time_limit_ms));
  to.bind_or_null(at + 6, options.priority);
  to.bind_or_null(at + 7, static_cast<std::int64_t>(options.memory_limit));
  to.bind_text(at + 8, options.queue);
  to.bind_text(at + 9, options.environment);
  to.bind_text(at + 10, options.more);
}

// From kOptionColumns columns from `at` on.
inline core::Options read_options(const Statement& from, int at) {
  core::Options options;
  options.delivery = static_cast<core::Delivery>(from.integer(at));
  options.isolation = static_cast<core::Isolation>(from.integer(at + 1));
  options.max_attempts = static_cast<std::uint16_t>(from.integer(at + 2));
  options.retries = static_cast<std::uint16_t>(from.integer(at + 3));
  options.retry_delay_ms = static_cast<std::uint32_t>(from.integer(at + 4));
  options.time_limit_ms = static_cast<std::uint64_t>(from.integer(at + 5));
  options.priority = static_cast<std::int16_t>(from.integer(at + 6));
  options.memory_limit = static_cast<std::uint64_t>(from.integer(at + 7));
  options.queue = from.text(at + 8);
  options.environment = from.text(at + 9);
  options.more = from.text(at + 10);
  return options;
}

}  // namespace treadle::store

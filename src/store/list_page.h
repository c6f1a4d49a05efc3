// What a page of a list is, the same for every table.
#pragma once

#include <charconv>
#include <cstdint>
#include <limits>
#include <string>

#include "store/store.h"

namespace treadle::store {

inline constexpr std::uint32_t kListExamined = 10'000;  // rows that one page looks at, at most
inline constexpr std::uint32_t kListLimit = 1'000;      // rows that one page holds, at most

// A cursor is the number of the last row seen, in decimal; "" is `first`.
inline Result<std::uint64_t> parse_cursor(const std::string& cursor, std::uint64_t first) {
  if (cursor.empty()) return first;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(cursor.data(), cursor.data() + cursor.size(), number);
  if (error != std::errc() || end != cursor.data() + cursor.size()) {
    return fail(Code::Invalid, "cursor is not one that an earlier page gave; leave it out to begin with the newest.");
  }
  return number;
}

inline bool state_matches(core::TaskState state, core::TaskState wanted) {
  return state == wanted || (wanted == core::TaskState::Queued && state == core::TaskState::Claimed);
}

inline bool matches(const ListFilter& filter, const TaskView& view, WallMs accepted, std::string_view queue) {
  if (filter.state && !state_matches(view.state, *filter.state)) return false;
  if (filter.live && core::is_terminal(view.state)) return false;
  if (filter.function && view.function != *filter.function) return false;
  if (filter.accepted_from.ms != 0 && accepted.ms < filter.accepted_from.ms) return false;
  if (filter.accepted_before.ms != 0 && accepted.ms >= filter.accepted_before.ms) return false;
  return !filter.queue || *filter.queue == queue || (is_default_queue(*filter.queue) && is_default_queue(queue));
}

}  // namespace treadle::store

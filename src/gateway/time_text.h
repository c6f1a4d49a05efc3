// Instants of the wall clock as text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace treadle::gateway {

std::string rfc3339(WallMs time);  // "2026-11-25T18:07:46.123Z"
// With or without a fraction, which is cut to milliseconds; Z, or an offset like +01:00. Nothing: not such a time.
std::optional<WallMs> parse_rfc3339(std::string_view text);
constexpr std::size_t kMaxTimeText = 64;  // bytes of such a text

inline double seconds_of(std::int64_t ms) { return static_cast<double>(ms) / 1000; }

}  // namespace treadle::gateway

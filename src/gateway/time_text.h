// Instants of the wall clock as text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace treadle::gateway {

std::string rfc3339(WallMs time);  // "2026-11-25T18:07:46.123Z"
// With or without a fraction, which is cut to milliseconds; Z, or an offset like +01:00. Nothing: not such a time.
std::optional<WallMs> parse_rfc3339(std::string_view text);

}  // namespace treadle::gateway

// A pickled result as JSON, for clients that are not Python. Nothing is unpickled: no import, no call.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace treadle::gateway {

inline constexpr std::size_t kMaxJsonPickle = 4u << 20;  // bytes of a pickle that is turned into JSON on the loop
inline constexpr std::size_t kMaxJsonText = 4u << 20;    // bytes of the JSON
inline constexpr std::size_t kMaxJsonNesting = 100;      // lists and objects inside each other
inline constexpr std::size_t kMaxJsonInteger = 1024;     // bytes of a Python int: 2,466 digits

// None, bool, int, float, str, list, tuple, dict with str keys, and numpy's scalars and arrays of those. Invalid or
// TooLarge: the rest of a sentence that says what JSON cannot carry and where: "result[\"x\"][3] is NaN".
Result<std::string> pickle_to_json(std::string_view pickle);

// A finite number as JSON that reads as a float: "1.0".
void append_json_real(std::string& out, double value);

}  // namespace treadle::gateway

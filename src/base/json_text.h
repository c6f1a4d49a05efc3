// Writes JSON text by hand, for answers whose shape is fixed.
#pragma once

#include <string>
#include <string_view>

namespace treadle {

// Appends `text` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD, so the answer is always
// JSON.
void append_json_string(std::string& out, std::string_view text);

}  // namespace treadle

// Results as the seed's clients expect them inside JSON: base64 in lines of 76 characters, each ended by an escaped
// newline.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace treadle::gateway {

inline constexpr std::size_t kBase64Line = 57;  // bytes that make one line

// Characters that `bytes` bytes become.
std::uint64_t base64_json_length(std::uint64_t bytes);
// Pieces of a whole number of lines may be appended one after another; only the last may have any length.
void append_base64_json(std::string& out, std::string_view bytes);

}  // namespace treadle::gateway

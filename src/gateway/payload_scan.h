// A fast way through the inside of a JSON string that holds base64: most of a large body is nothing else.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace treadle::gateway {

// Length of the leading run of `text` without a quote, a backslash or a control character.
inline std::size_t plain_run(std::string_view text) {
  constexpr std::uint64_t kOnes = 0x0101010101010101, kHigh = 0x8080808080808080;
  const auto zero = [](std::uint64_t w) { return (w - kOnes) & ~w & kHigh; };  // some byte of w is 0
  std::size_t at = 0;
  for (; at + 8 <= text.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + at, 8);
    const std::uint64_t control = (word - kOnes * 0x20) & ~word & kHigh;  // some byte is below 0x20
    if ((zero(word ^ kOnes * '"') | zero(word ^ kOnes * '\\') | control) != 0) break;
  }
  while (at < text.size() && text[at] != '"' && text[at] != '\\' && static_cast<unsigned char>(text[at]) >= 0x20) ++at;
  return at;
}

// Calls take(run) for each run of plain characters and steps over the escapes \n, \r and \t, which are white space to
// base64. Stops at anything else; returns how much of `text` it has passed.
template <class Take>
std::size_t pass_base64(std::string_view text, Take take) {
  std::size_t at = 0;
  while (true) {
    const std::size_t run = plain_run(text.substr(at));
    if (run > 0) take(text.substr(at, run));
    at += run;
    const std::string_view rest = text.substr(at);
    if (rest.size() < 2 || rest[0] != '\\' || (rest[1] != 'n' && rest[1] != 'r' && rest[1] != 't')) return at;
    at += 2;
  }
}

// Whether a JSON parser that has been given `text` (and was between two characters of a string before it, if
// `before`) is between two characters of that string now, and not inside an escape or a UTF-8 sequence.
inline bool ends_between_characters(std::string_view text, bool before) {
  constexpr std::size_t kLongestEscape = 6;  // \u0041
  const std::string_view tail = text.substr(text.size() - std::min(text.size(), kLongestEscape));
  if (text.size() < kLongestEscape && !before) return false;
  return tail.find('\\') == std::string_view::npos && (tail.empty() || static_cast<unsigned char>(tail.back()) < 0x80);
}

}  // namespace treadle::gateway

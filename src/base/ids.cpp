#include "base/ids.h"

namespace treadle {
namespace {

constexpr char kHex[] = "0123456789abcdef";
constexpr int kTextLength = 36;

bool is_hyphen_place(int i) { return i == 8 || i == 13 || i == 18 || i == 23; }

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::optional<Uuid> parse_uuid(std::string_view text) {
  if (text.size() != kTextLength) return std::nullopt;
  std::uint64_t words[2] = {0, 0};
  int digits = 0;
  for (int i = 0; i < kTextLength; ++i) {
    if (is_hyphen_place(i)) {
      if (text[static_cast<std::size_t>(i)] != '-') return std::nullopt;
      continue;
    }
    const int value = hex_value(text[static_cast<std::size_t>(i)]);
    if (value < 0) return std::nullopt;
    auto& word = words[digits++ / 16];
    word = (word << 4) | static_cast<std::uint64_t>(value);
  }
  return Uuid{words[0], words[1]};
}

void format_uuid(const Uuid& id, char* out) {
  int digits = 0;
  for (int i = 0; i < kTextLength; ++i) {
    if (is_hyphen_place(i)) {
      out[i] = '-';
      continue;
    }
    const std::uint64_t word = digits < 16 ? id.hi : id.lo;
    out[i] = kHex[(word >> (60 - 4 * (digits % 16))) & 15];
    ++digits;
  }
}

std::string to_string(const Uuid& id) {
  std::string text(kTextLength, '\0');
  format_uuid(id, text.data());
  return text;
}

std::string to_string(const Digest& digest) {
  std::string text;
  text.reserve(64);
  for (const std::uint64_t word : digest.words) {
    for (int shift = 60; shift >= 0; shift -= 4) text.push_back(kHex[(word >> shift) & 15]);
  }
  return text;
}

}  // namespace treadle

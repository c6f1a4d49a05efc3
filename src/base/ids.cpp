#include "base/ids.h"

#include <array>
#include <cstddef>
#include <cstring>

namespace treadle {
namespace {

constexpr char kHex[] = "0123456789abcdef";
constexpr std::size_t kTextLength = 36;

// Where the 16 pairs of digits stand; at the places between them are hyphens.
constexpr std::array<std::uint8_t, 16> kPairs = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};

// The two digits of each byte: ids are written and read for every task, several times.
constexpr auto kDigits = [] {
  std::array<std::array<char, 2>, 256> digits{};
  for (std::size_t i = 0; i < digits.size(); ++i) digits[i] = {kHex[i >> 4], kHex[i & 15]};
  return digits;
}();

constexpr std::uint8_t kNoDigit = 0xff;
constexpr auto kValues = [] {
  std::array<std::uint8_t, 256> values{};
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = kNoDigit;
  for (std::uint8_t i = 0; i < 16; ++i) values[static_cast<std::uint8_t>(kHex[i])] = i;
  for (std::uint8_t i = 10; i < 16; ++i) values[static_cast<std::uint8_t>(kHex[i] - 'a' + 'A')] = i;
  return values;
}();

std::uint8_t value_at(std::string_view text, std::size_t i) { return kValues[static_cast<std::uint8_t>(text[i])]; }

}  // namespace

std::optional<std::uint64_t> parse_hex(std::string_view text) {
  if (text.size() != 16) return std::nullopt;
  std::uint64_t word = 0;
  std::uint8_t all = 0;  // bits of all values: one that is no digit sets the upper ones
  for (std::size_t i = 0; i < 16; ++i) {
    const std::uint8_t value = value_at(text, i);
    all |= value;
    word = word << 4 | value;
  }
  if (all > 15) return std::nullopt;
  return word;
}

void format_hex(std::uint64_t value, char* out) {
  for (std::size_t i = 0; i < 8; ++i) std::memcpy(out + 2 * i, kDigits[value >> (56 - 8 * i) & 255].data(), 2);
}

std::optional<Uuid> parse_uuid(std::string_view text) {
  if (text.size() != kTextLength) return std::nullopt;
  if (text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-') return std::nullopt;
  std::uint64_t words[2] = {0, 0};
  std::uint8_t all = 0;
  for (std::size_t i = 0; i < kPairs.size(); ++i) {
    const std::uint8_t high = value_at(text, kPairs[i]);
    const std::uint8_t low = value_at(text, kPairs[i] + 1u);
    all |= high | low;
    words[i / 8] = words[i / 8] << 8 | static_cast<std::uint64_t>(high << 4 | low);
  }
  if (all > 15) return std::nullopt;
  return Uuid{words[0], words[1]};
}

void format_uuid(const Uuid& id, char* out) {
  for (std::size_t i = 0; i < kPairs.size(); ++i) {
    const std::uint64_t word = i < 8 ? id.hi : id.lo;
    std::memcpy(out + kPairs[i], kDigits[word >> (56 - 8 * (i % 8)) & 255].data(), 2);
  }
  out[8] = out[13] = out[18] = out[23] = '-';
}

std::string to_string(const Uuid& id) {
  std::string text(kTextLength, '\0');
  format_uuid(id, text.data());
  return text;
}

void format_digest(const Digest& digest, char* out) {
  for (std::size_t i = 0; i < 4; ++i) format_hex(digest.words[i], out + 16 * i);
}

std::optional<Digest> parse_digest(std::string_view text) {
  if (text.size() != 64) return std::nullopt;
  Digest digest;
  for (std::size_t i = 0; i < 4; ++i) {
    const auto word = parse_hex(text.substr(16 * i, 16));
    if (!word) return std::nullopt;
    digest.words[i] = *word;
  }
  return digest;
}

std::string to_string(const Digest& digest) {
  std::string text(64, '\0');
  format_digest(digest, text.data());
  return text;
}

}  // namespace treadle

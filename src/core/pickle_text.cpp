#include "core/pickle_text.h"

#include <cstring>

namespace treadle::core {
namespace {

constexpr std::uint64_t kHighBits = 0x8080808080808080u;

std::uint64_t word_at(const char* p) {
  std::uint64_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

const char* skip_ascii(const char* p, const char* end) {
  while (end - p >= 32 && !((word_at(p) | word_at(p + 8) | word_at(p + 16) | word_at(p + 24)) & kHighBits)) p += 32;
  while (end - p >= 8 && !(word_at(p) & kHighBits)) p += 8;
  while (p != end && !(*p & 0x80)) ++p;
  return p;
}

bool is_continuation(char c) { return (c & 0xc0) == 0x80; }

// Runs of the common two and three byte forms, whose bounds need no care; stops at anything else.
const char* skip_plain_sequences(const char* p, const char* end) {
  while (end - p >= 3) {
    const auto lead = static_cast<unsigned char>(*p);
    if (lead >= 0xe1 && lead <= 0xef && is_continuation(p[1]) && is_continuation(p[2]))
      p += 3;
    else if (lead >= 0xc2 && lead <= 0xdf && is_continuation(p[1]))
      p += 2;
    else
      break;
  }
  return p;
}

struct KnownName {
  std::string_view text;
  std::uint8_t tag;
};
constexpr KnownName kKnown[] = {
    {"__main__", pickle_tag::kNameMain},
    {"__builtin__", pickle_tag::kNameBuiltins},
    {"builtins", pickle_tag::kNameBuiltins},
    {"_create_function", pickle_tag::kNameMakesFunction},  // dill
    {"_make_function", pickle_tag::kNameMakesFunction},    // cloudpickle 2 and 3
    {"_make_skel_func", pickle_tag::kNameMakesFunction},   // cloudpickle 1
    {"_create_code", pickle_tag::kNameCreateCode},
    {"CodeType", pickle_tag::kNameCodeType},
    {"_builtin_type", pickle_tag::kNameBuiltinType},
};

bool in_package(std::string_view module, std::string_view package) {
  return module.substr(0, package.size()) == package &&
         (module.size() == package.size() || module[package.size()] == '.');
}

}  // namespace

bool Utf8Check::feed(std::string_view text) {
  const char* p = text.data();
  const char* const end = p + text.size();
  while (p != end) {
    if (pending_ == 0) {
      p = skip_plain_sequences(skip_ascii(p, end), end);
      if (p == end) break;
    }
    if (!step(static_cast<unsigned char>(*p++))) return false;
  }
  return true;
}

bool Utf8Check::step(unsigned char byte) {
  if (pending_) {
    if (byte < low_ || byte > high_) return false;
    low_ = 0x80;
    high_ = 0xbf;
    --pending_;
    return true;
  }
  if (byte < 0x80) return true;
  if (byte < 0xc2 || byte > 0xf4) return false;
  pending_ = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
  low_ = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;  // nothing longer than it need be
  high_ = byte == 0xf4 ? 0x8f : 0xbf;                       // nothing above U+10FFFF
  return true;
}

std::uint8_t pickle_name(std::string_view text) {
  if (text.empty() || text.size() > kMaxPickleName) return pickle_tag::kNameUnfit;
  const char first = text[0];
  if (first != '_' && first != 'b' && first != 'C' && first != 'c' && first != 'd') return pickle_tag::kNothing;
  if (in_package(text, "dill")) return pickle_tag::kNameDill;
  if (in_package(text, "cloudpickle")) return pickle_tag::kNameCloudpickle;
  for (const KnownName& known : kKnown) {
    if (text == known.text) return known.tag;
  }
  return pickle_tag::kNothing;
}

bool pickle_name_line_ok(std::string_view line) {
  if (line.empty() || line.size() > kMaxPickleName) return false;
  for (const char c : line) {
    if ((c >= 0 && c < 0x20) || c == 0x7f || c == '\\') return false;
  }
  Utf8Check check;
  return check.feed(line) && check.complete();
}

}  // namespace treadle::core

#include "base/base64.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace treadle {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::size_t kLineBytes = 57;  // that make 76 characters
constexpr std::uint32_t kBad = 1u << 24;

// One table for each place in a group, values already shifted: a group is four loads and three ORs.
using Table = std::array<std::uint32_t, 256>;
constexpr Table place(int shift) {
  Table table{};
  table.fill(kBad);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    table[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::uint32_t>(i) << shift;
  }
  return table;
}
constexpr Table kPlace0 = place(18), kPlace1 = place(12), kPlace2 = place(6), kPlace3 = place(0);

// Both characters of each 12-bit number.
constexpr auto kPairs = [] {
  std::array<std::array<char, 2>, 4096> pairs{};
  for (std::size_t i = 0; i < pairs.size(); ++i) pairs[i] = {kAlphabet[i >> 6], kAlphabet[i & 63]};
  return pairs;
}();

std::uint32_t group_at(const unsigned char* p) { return kPlace0[p[0]] | kPlace1[p[1]] | kPlace2[p[2]] | kPlace3[p[3]]; }

void put3(char* to, std::uint32_t bits) {
  to[0] = static_cast<char>(bits >> 16);
  to[1] = static_cast<char>(bits >> 8);
  to[2] = static_cast<char>(bits);
}

// Decodes whole groups until one holds anything else than four characters of the alphabet; gives back where it stopped.
const unsigned char* decode_groups(const unsigned char* p, const unsigned char* end, char*& to) {
  for (; end - p >= 16; p += 16, to += 12) {
    const std::uint32_t a = group_at(p), b = group_at(p + 4), c = group_at(p + 8), d = group_at(p + 12);
    if ((a | b | c | d) & kBad) break;
    put3(to, a);
    put3(to + 3, b);
    put3(to + 6, c);
    put3(to + 9, d);
  }
  for (; end - p >= 4; p += 4, to += 3) {
    const std::uint32_t bits = group_at(p);
    if (bits & kBad) break;
    put3(to, bits);
  }
  return p;
}

bool is_space(unsigned char c) { return c == '\n' || c == '\r' || c == ' ' || c == '\t'; }

char* encode_groups(const unsigned char* p, std::size_t groups, char* to) {
  for (; groups; --groups, p += 3, to += 4) {
    const std::uint32_t bits = std::uint32_t{p[0]} << 16 | std::uint32_t{p[1]} << 8 | p[2];
    const auto &high = kPairs[bits >> 12], &low = kPairs[bits & 4095];
    to[0] = high[0];
    to[1] = high[1];
    to[2] = low[0];
    to[3] = low[1];
  }
  return to;
}

char* encode_all(std::string_view bytes, char* to) {
  const auto* p = reinterpret_cast<const unsigned char*>(bytes.data());
  const std::size_t groups = bytes.size() / 3, rest = bytes.size() % 3;
  to = encode_groups(p, groups, to);
  if (rest == 0) return to;
  const unsigned char last[3] = {p[groups * 3], rest == 2 ? p[groups * 3 + 1] : static_cast<unsigned char>(0), 0};
  to = encode_groups(last, 1, to);
  std::fill(to - (3 - rest), to, '=');
  return to;
}

std::string shown(unsigned char c) {
  if (c > 0x20 && c < 0x7f) return std::string("character '") + static_cast<char>(c) + "'";
  char text[16];
  std::snprintf(text, sizeof text, "byte 0x%02x", c);
  return text;
}

}  // namespace

bool Base64Decoder::refuse(std::string why) {
  error_ = std::move(why);
  return false;
}

bool Base64Decoder::feed(std::string_view text, std::string& out) {
  if (!error_.empty()) return false;
  const std::size_t before = out.size();
  out.resize(before +
             (have_ + text.size()) / 4 * 3);  // once: the length would be zeroed again for each group cut by a space
  char* to = out.data() + before;
  const bool good = decode(text, to);
  out.resize(static_cast<std::size_t>(to - out.data()));
  return good;
}

bool Base64Decoder::decode(std::string_view text, char*& to) {
  const auto* const begin = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = begin + text.size();
  const std::uint64_t start = offset_;
  for (const auto* p = begin; p != end;) {
    if (have_ == 0 && !ended_) {
      p = decode_groups(p, end, to);
      if (p == end) break;
    }
    offset_ = start + static_cast<std::uint64_t>(p - begin);
    if (!take(*p++, to)) return false;
  }
  offset_ = start + text.size();
  return true;
}

bool Base64Decoder::take(unsigned char c, char*& to) {
  if (is_space(c)) return true;
  if (ended_)
    return refuse(shown(c) + " at offset " + std::to_string(offset_) + " follows the padding that ends base64");
  if (c == '=') return take_padding(to);
  const std::uint32_t bits = kPlace3[c];
  if (bits & kBad) return refuse(shown(c) + " at offset " + std::to_string(offset_) + " is not base64");
  if (padding_) return refuse(shown(c) + " at offset " + std::to_string(offset_) + " follows base64 padding");
  group_ = group_ << 6 | bits;
  if (++have_ < 4) return true;
  put3(to, group_);
  to += 3;
  group_ = 0;
  have_ = 0;
  return true;
}

bool Base64Decoder::take_padding(char*& to) {
  if (have_ < 2)
    return refuse("padding '=' at offset " + std::to_string(offset_) + " is too early in its group of four");
  ++padding_;
  if (++have_ < 4) return true;
  const std::uint32_t unused = padding_ == 2 ? 4 : 2;
  if (group_ & ((1u << unused) - 1)) {
    return refuse("bits set after the last byte at offset " + std::to_string(offset_) + " make base64 ambiguous");
  }
  if (padding_ == 1) *to++ = static_cast<char>(group_ >> 10);
  *to++ = static_cast<char>(group_ >> unused);
  ended_ = true;
  return true;
}

bool Base64Decoder::finish(std::string&) {
  if (!error_.empty()) return false;
  if (have_ == 0 || ended_) return true;
  return refuse("base64 ends at offset " + std::to_string(offset_) +
                " inside a group of four: characters or padding are missing");
}

Result<std::string> base64_decode(std::string_view text) {
  Base64Decoder decoder;
  std::string out;
  if (!decoder.feed(text, out) || !decoder.finish(out)) return fail(Code::Invalid, decoder.error());
  return out;
}

void base64_encode(std::string_view bytes, std::string& out) {
  const std::size_t before = out.size();
  out.resize(before + (bytes.size() + 2) / 3 * 4);
  encode_all(bytes, out.data() + before);
}

std::string base64_encode(std::string_view bytes) {
  std::string out;
  base64_encode(bytes, out);
  return out;
}

std::string base64_encode_lines(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + (bytes.size() + kLineBytes - 1) / kLineBytes, '\n');
  char* to = out.data();
  for (; !bytes.empty(); bytes.remove_prefix(std::min(kLineBytes, bytes.size()))) {
    to = encode_all(bytes.substr(0, kLineBytes), to);
    *to++ = '\n';
  }
  return out;
}

}  // namespace treadle

// Names of things: 128-bit ids with a type each, as lower-case hyphenated UUID text at the edges.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace treadle {

struct Uuid {
  std::uint64_t hi = 0;
  std::uint64_t lo = 0;
  friend auto operator<=>(const Uuid&, const Uuid&) = default;
  bool is_nil() const { return hi == 0 && lo == 0; }
};

// Accepts the 36-character hyphenated form in either case; anything else is nothing.
std::optional<Uuid> parse_uuid(std::string_view text);
// Writes exactly 36 characters, lower case.
void format_uuid(const Uuid& id, char* out);
std::string to_string(const Uuid& id);
// 16 hex digits: accepts either case, writes lower case.
std::optional<std::uint64_t> parse_hex(std::string_view text);
void format_hex(std::uint64_t value, char* out);

template <class Tag>
struct Id : Uuid {
  Id() = default;
  explicit Id(Uuid u) : Uuid(u) {}
  static std::optional<Id> parse(std::string_view text) {
    if (auto u = parse_uuid(text)) return Id(*u);
    return std::nullopt;
  }
};

using TaskId = Id<struct TaskTag>;
using FunctionId = Id<struct FunctionTag>;
using WorkerId = Id<struct WorkerTag>;    // one worker program, across restarts if it was given a name
using SessionId = Id<struct SessionTag>;  // one life of one dispatcher

// The fence of an attempt: random, never zero, never used twice. Only its holder may start, finish or give back the
// attempt.
struct Token {
  std::uint64_t value = 0;
  explicit operator bool() const { return value != 0; }
  friend auto operator<=>(const Token&, const Token&) = default;
};

// SHA-256 of a function body; equal bodies are stored, sent and cached once.
struct Digest {
  std::uint64_t words[4] = {};
  friend auto operator<=>(const Digest&, const Digest&) = default;
};
// 64 hex digits, in the same way.
std::optional<Digest> parse_digest(std::string_view text);
void format_digest(const Digest& digest, char* out);
std::string to_string(const Digest& digest);

}  // namespace treadle

template <>
struct std::hash<treadle::Uuid> {
  std::size_t operator()(const treadle::Uuid& u) const noexcept {
    return static_cast<std::size_t>((u.lo ^ (u.hi * 0x9e3779b97f4a7c15)) * 0xbf58476d1ce4e5b9);
  }
};
template <class Tag>
struct std::hash<treadle::Id<Tag>> : std::hash<treadle::Uuid> {};
template <>
struct std::hash<treadle::Token> {
  std::size_t operator()(const treadle::Token& t) const noexcept { return static_cast<std::size_t>(t.value); }
};
template <>
struct std::hash<treadle::Digest> {
  std::size_t operator()(const treadle::Digest& d) const noexcept { return static_cast<std::size_t>(d.words[0]); }
};

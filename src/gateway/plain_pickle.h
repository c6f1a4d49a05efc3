// Reads a pickle as a tree of plain values, without importing or calling anything: what a class or a call would make
// stays a node that says which. For results that are to be shown as JSON; bounded by limits of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace treadle::gateway {

// Values of one pickle; also entries of its memo, of its stack and marks on it.
inline constexpr std::size_t kMaxPlainValues = 500'000;
inline constexpr std::size_t kMaxGlobalName = 512;  // bytes of a module and a name: each use of them is a copy

class PlainPickle {
 public:
  enum class Kind : std::uint8_t {
    None,
    Bool,    // integer: 0 or 1
    Int,     // integer
    BigInt,  // text: two's complement, least byte first
    Float,
    Str,
    Bytes,  // also of a bytearray
    List,
    Tuple,
    Dict,    // items: key, value, key, value ...
    Set,     // also a frozenset
    Global,  // text: module, a dot, name
    Call,    // items: what is called, its arguments, and its state if it was given one
  };
  struct Value {
    Kind kind = Kind::None;
    std::uint32_t items = 0;  // place of its items
    union {
      std::int64_t integer = 0;
      double real;
    };
    std::string_view text;  // inside the pickle that was read, or kept here
  };
  using Index = std::uint32_t;

  // The bytes must outlive this. Invalid: why it cannot be read.
  Result<void> read(std::string_view bytes);

  Index root() const { return root_; }
  const Value& value(Index at) const { return values_[at]; }
  const std::vector<Index>& items(const Value& of) const { return items_[of.items]; }

 private:
  friend class PlainPickleMachine;
  std::vector<Value> values_;
  std::vector<std::vector<Index>> items_;
  std::deque<std::string> names_;  // of globals, whose texts lie in two pieces
  Index root_ = 0;
};

}  // namespace treadle::gateway

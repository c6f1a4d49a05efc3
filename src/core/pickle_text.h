// Text inside a pickle: UTF-8 as CPython reads it, and the few names that say which library wrote a stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/pickle_value.h"

namespace treadle::core {

inline constexpr std::size_t kMaxPickleName = 1024;  // bytes of a module or attribute name; Python's own are far below

// UTF-8 in pieces cut anywhere. Lone surrogates are let through: Python writes and reads them ("surrogatepass").
class Utf8Check {
 public:
  bool feed(std::string_view text);  // false: not UTF-8
  bool complete() const { return pending_ == 0; }

 private:
  bool step(unsigned char byte);
  std::uint8_t pending_ = 0;               // continuation bytes that are due
  std::uint8_t low_ = 0x80, high_ = 0xbf;  // bounds of the next one
};

// kNothing for any other usable name.
std::uint8_t pickle_name(std::string_view text);

// A line of GLOBAL: not empty, not too long, no control character or backslash, UTF-8.
bool pickle_name_line_ok(std::string_view line);

}  // namespace treadle::core

// What Redis said, as one value: the result of a command, or an error that Redis answered.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace treadle::store::redis {

struct Reply {
  enum class Type : std::uint8_t { Nil, Integer, String, Status, Error, Array, Bool, Double };
  Type type = Type::Nil;
  std::int64_t integer = 0;  // of an Integer; 0 or 1 of a Bool
  double number = 0;         // of a Double
  std::string text;          // of a String, Status, Error ("WRONGPASS invalid ..."), or a number too big for `integer`
  std::vector<Reply> items;  // of an Array; a map is key, value, key, value; a set comes in the order it was sent
};

}  // namespace treadle::store::redis

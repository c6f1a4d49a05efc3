// What we know of a serialized payload without ever running it: facts that the verifier found once, kept beside the
// bytes.
#pragma once

#include <cstdint>

#include "base/buffer.h"

namespace treadle::core {

enum class Serializer : std::uint8_t { Pickle = 0, Source = 1, Json = 2 };

struct PayloadFacts {
  Serializer serializer = Serializer::Pickle;
  bool names_main = false;         // refers to module __main__: only dill.loads under the right __main__ reads it
  bool names_dill = false;         // refers to dill: the reader needs dill
  bool names_cloudpickle = false;  // refers to cloudpickle: the reader needs cloudpickle
  std::uint8_t protocol = 0;       // pickle protocol, 2 to 5
  std::uint8_t python_minor = 0;   // 3.N whose bytecode is inside, if the stream tells; 0 = unknown

  // One number for a column, a header or a frame; unpack(pack(x)) == x.
  std::uint32_t pack() const {
    return static_cast<std::uint32_t>(serializer) | (names_main ? 1u << 4 : 0) | (names_dill ? 1u << 5 : 0) |
           (names_cloudpickle ? 1u << 6 : 0) | std::uint32_t{protocol} << 8 | std::uint32_t{python_minor} << 16;
  }
  static PayloadFacts unpack(std::uint32_t bits) {
    PayloadFacts facts;
    facts.serializer = static_cast<Serializer>(bits & 15);
    facts.names_main = bits & 1u << 4;
    facts.names_dill = bits & 1u << 5;
    facts.names_cloudpickle = bits & 1u << 6;
    facts.protocol = static_cast<std::uint8_t>(bits >> 8);
    facts.python_minor = static_cast<std::uint8_t>(bits >> 16);
    return facts;
  }
  friend bool operator==(const PayloadFacts&, const PayloadFacts&) = default;
};

struct Payload {
  Buffer bytes;  // decoded: never base64 inside
  PayloadFacts facts;
};

}  // namespace treadle::core

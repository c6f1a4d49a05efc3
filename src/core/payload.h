// What we know of a serialized payload without ever running it: facts that the verifier found once, kept beside the
// bytes.
#pragma once

#include <cstdint>

#include "base/buffer.h"

namespace treadle::core {

enum class Serializer : std::uint8_t { Pickle = 0, Source = 1, Json = 2 };

inline constexpr int kFirstPython = 8;                // the first bit of PayloadFacts::pythons is 3.8
inline constexpr int kLastPython = kFirstPython + 7;  // the last bit is 3.15 and all that come later

struct PayloadFacts {
  Serializer serializer = Serializer::Pickle;
  bool names_main = false;         // refers to module __main__: only dill.loads under the right __main__ reads it
  bool names_dill = false;         // refers to dill: the reader needs dill
  bool names_cloudpickle = false;  // refers to cloudpickle: the reader needs cloudpickle
  std::uint8_t protocol = 0;       // pickle protocol, 2 to 5
  std::uint8_t pythons = 0;        // bit N - kFirstPython: bytecode inside may be of 3.N; 0 = none, or it does not tell

  // Whether Python 3.`minor` can run it, as far as it tells.
  bool fits_python(int minor) const {
    const int place = (minor < kLastPython ? minor : kLastPython) - kFirstPython;
    return pythons == 0 || (place >= 0 && pythons >> place & 1);
  }

  // One number for a column, a header or a frame; unpack(pack(x)) == x.
  std::uint32_t pack() const {
    return static_cast<std::uint32_t>(serializer) | (names_main ? 1u << 4 : 0) | (names_dill ? 1u << 5 : 0) |
           (names_cloudpickle ? 1u << 6 : 0) | std::uint32_t{protocol} << 8 | std::uint32_t{pythons} << 16;
  }
  static PayloadFacts unpack(std::uint32_t bits) {
    PayloadFacts facts;
    facts.serializer = static_cast<Serializer>(bits & 15);
    facts.names_main = bits & 1u << 4;
    facts.names_dill = bits & 1u << 5;
    facts.names_cloudpickle = bits & 1u << 6;
    facts.protocol = static_cast<std::uint8_t>(bits >> 8);
    facts.pythons = static_cast<std::uint8_t>(bits >> 16);
    return facts;
  }
  friend bool operator==(const PayloadFacts&, const PayloadFacts&) = default;
};

struct Payload {
  Buffer bytes;  // decoded: never base64 inside
  PayloadFacts facts;
};

}  // namespace treadle::core

// Which partition a task belongs to, and how the keys of a partition begin (docs/storage.md, Partitions).
#pragma once

#include <cstdint>
#include <string>

#include "base/ids.h"

namespace treadle::store::redis {

inline constexpr unsigned kMaxPartitions = 256;  // a byte of the id chooses

struct Partition {
  unsigned number = 0;
  unsigned of = 1;

  // "" while there is only one; else "{p07}:", in which a cluster hashes what stands between the braces.
  std::string prefix() const {
    if (of == 1) return "";
    return std::string(number < 10 ? "{p0" : "{p") + std::to_string(number) + "}:";
  }
};

constexpr bool is_partition_count(unsigned n) { return n >= 1 && n <= kMaxPartitions && (n & (n - 1)) == 0; }

// Byte 9 of the UUID: random in versions 4 and 7, whose leading bits are a clock.
inline unsigned partition_of(const Uuid& id, unsigned partitions) {
  return static_cast<unsigned>(id.lo >> 48 & 0xff) % partitions;
}
inline void set_partition_byte(Uuid& id, std::uint8_t value) {
  id.lo = (id.lo & ~(0xffull << 48)) | static_cast<std::uint64_t>(value) << 48;
}

}  // namespace treadle::store::redis

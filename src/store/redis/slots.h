// What a Redis Cluster says about where keys are, read. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/redis/address.h"
#include "store/redis/reply.h"

namespace treadle::store::redis {

// CRC-16 of the key, or of what stands in its first braces, modulo 16384.
std::uint16_t slot_of(std::string_view key);

struct SlotRange {
  std::uint16_t first = 0, last = 0;
  Address::Place master;
};

// The answer of CLUSTER SLOTS; what makes no sense is left out. A node that does not know its own address is `asked`.
std::vector<SlotRange> parse_slots(const Reply& reply, const std::string& asked);

struct Redirection {
  bool once = false;  // ASK: in the middle of a move
  Address::Place place;
};
// "MOVED 3999 127.0.0.1:6381", "ASK ..."; without a host it is the one that says it.
std::optional<Redirection> parse_redirection(std::string_view redis_says, const std::string& asked);

}  // namespace treadle::store::redis

// Packets between supervisor and guard (docs/executor-protocol.md 1), without I/O. Both ends are the same binary.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace treadle::worker {

enum class GuardPacket : std::uint32_t {
  StartZygote = 1,
  Spawn = 2,
  Signal = 3,
  KillTree = 4,
  StopZygote = 5,
  ZygoteReady = 101,
  ZygoteDied = 102,
  Spawned = 103,
  Exited = 104,
  SpawnFailed = 105,
};

// `small` and `id` mean what the table of the protocol says for each type; `rest` is what follows the struct.
struct Packet {
  GuardPacket type{};
  std::uint32_t small = 0;
  std::uint64_t id = 0;
  std::string_view rest;  // points into the bytes that were parsed
};

inline constexpr std::size_t kMaxPacket = 128u << 10;  // the environment of a zygote is the largest thing in one

struct ExitFacts {
  std::uint64_t peak_rss = 0;  // bytes
  std::uint64_t cpu_us = 0;
};

std::string make_packet(GuardPacket type, std::uint32_t small, std::uint64_t id, std::string_view rest = {});
bool parse_packet(std::string_view bytes, Packet& packet);
std::string make_exit_facts(const ExitFacts& facts);
bool parse_exit_facts(std::string_view bytes, ExitFacts& facts);

}  // namespace treadle::worker

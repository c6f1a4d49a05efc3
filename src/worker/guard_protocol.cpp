#include "worker/guard_protocol.h"

#include <cstring>

namespace treadle::worker {
namespace {
constexpr std::size_t kPacketStruct = 16;

template <class T>
void append(std::string& to, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  to.append(bytes, sizeof value);
}
}  // namespace

std::string make_packet(GuardPacket type, std::uint32_t small, std::uint64_t id, std::string_view rest) {
  std::string packet;
  packet.reserve(kPacketStruct + rest.size());
  append(packet, static_cast<std::uint32_t>(type));
  append(packet, small);
  append(packet, id);
  packet.append(rest);
  return packet;
}

bool parse_packet(std::string_view bytes, Packet& packet) {
  if (bytes.size() < kPacketStruct) return false;
  std::uint32_t type;
  std::memcpy(&type, bytes.data(), sizeof type);
  std::memcpy(&packet.small, bytes.data() + 4, sizeof packet.small);
  std::memcpy(&packet.id, bytes.data() + 8, sizeof packet.id);
  packet.type = static_cast<GuardPacket>(type);
  packet.rest = bytes.substr(kPacketStruct);
  return true;
}

std::string make_exit_facts(const ExitFacts& facts) {
  std::string bytes;
  append(bytes, facts.peak_rss);
  append(bytes, facts.cpu_us);
  return bytes;
}

bool parse_exit_facts(std::string_view bytes, ExitFacts& facts) {
  if (bytes.size() != 2 * sizeof(std::uint64_t)) return false;
  std::memcpy(&facts.peak_rss, bytes.data(), sizeof facts.peak_rss);
  std::memcpy(&facts.cpu_us, bytes.data() + sizeof facts.peak_rss, sizeof facts.cpu_us);
  return true;
}

}  // namespace treadle::worker

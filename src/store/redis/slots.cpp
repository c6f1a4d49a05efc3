#include "store/redis/slots.h"

#include <charconv>

#include "store/redis/fields.h"

namespace treadle::store::redis {
namespace {

constexpr std::uint16_t kSlots = 16384;

// XMODEM: polynomial 0x1021, begun with 0.
std::uint16_t crc16(std::string_view text) {
  std::uint32_t crc = 0;
  for (const char c : text) {
    crc ^= static_cast<std::uint32_t>(static_cast<unsigned char>(c)) << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x8000u) != 0 ? (crc << 1 ^ 0x1021u) & 0xffffu : crc << 1 & 0xffffu;
  }
  return static_cast<std::uint16_t>(crc);
}

}  // namespace

std::uint16_t slot_of(std::string_view key) {
  const std::size_t open = key.find('{');
  if (open != std::string_view::npos) {
    const std::size_t close = key.find('}', open + 1);
    if (close != std::string_view::npos && close > open + 1) key = key.substr(open + 1, close - open - 1);
  }
  return crc16(key) % kSlots;
}

// Of each range: first, last, the master (host, port, id ...), its replicas.
std::vector<SlotRange> parse_slots(const Reply& reply, const std::string& asked) {
  std::vector<SlotRange> ranges;
  for (const Reply& item : reply.items) {
    if (item.items.size() < 3 || item.items[2].items.size() < 2) continue;
    const Reply& master = item.items[2];
    const std::int64_t first = item.items[0].integer, last = item.items[1].integer, port = master.items[1].integer;
    if (first < 0 || last < first || last >= kSlots || port < 1 || port > 65535) continue;
    ranges.push_back(
        {static_cast<std::uint16_t>(first),
         static_cast<std::uint16_t>(last),
         {master.items[0].text.empty() ? asked : std::string(master.items[0].text), static_cast<std::uint16_t>(port)}});
  }
  return ranges;
}

std::optional<Redirection> parse_redirection(std::string_view redis_says, const std::string& asked) {
  Redirection told;
  told.once = redis_says.starts_with("ASK ");
  if (!told.once && !redis_says.starts_with("MOVED ")) return std::nullopt;
  const std::string_view where = redis_says.substr(redis_says.rfind(' ') + 1);
  const std::size_t colon = where.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view port = where.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), told.place.port);
  if (error != std::errc() || end != port.data() + port.size() || told.place.port == 0) return std::nullopt;
  told.place.host = colon == 0 ? asked : std::string(where.substr(0, colon));
  return told;
}

}  // namespace treadle::store::redis

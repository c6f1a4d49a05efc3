#include "worker/guard_protocol.h"

#include <gtest/gtest.h>

namespace treadle::worker {
namespace {

TEST(GuardProtocol, PacketsAreReadAsTheyWereWritten) {
  const std::string bytes = make_packet(GuardPacket::Exited, 139, 0x1122334455667788, make_exit_facts({1u << 30, 77}));
  EXPECT_EQ(bytes.size(), 32u);
  EXPECT_EQ(bytes[0], 104);
  Packet packet;
  ASSERT_TRUE(parse_packet(bytes, packet));
  EXPECT_EQ(packet.type, GuardPacket::Exited);
  EXPECT_EQ(packet.small, 139u);
  EXPECT_EQ(packet.id, 0x1122334455667788u);
  ExitFacts facts;
  ASSERT_TRUE(parse_exit_facts(packet.rest, facts));
  EXPECT_EQ(facts.peak_rss, 1u << 30);
  EXPECT_EQ(facts.cpu_us, 77u);
}

TEST(GuardProtocol, ShortPacketsAreRefused) {
  const std::string bytes = make_packet(GuardPacket::Spawned, 1, 2);
  Packet packet;
  EXPECT_TRUE(parse_packet(bytes, packet));
  EXPECT_TRUE(packet.rest.empty());
  for (std::size_t n = 0; n < bytes.size(); ++n)
    EXPECT_FALSE(parse_packet(std::string_view(bytes).substr(0, n), packet));
  ExitFacts facts;
  EXPECT_FALSE(parse_exit_facts("short", facts));
}

}  // namespace
}  // namespace treadle::worker

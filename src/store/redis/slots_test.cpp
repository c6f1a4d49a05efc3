#include "store/redis/slots.h"

#include <gtest/gtest.h>

#include "store/redis/partition.h"

namespace treadle::store::redis {
namespace {

Reply integer(std::int64_t value) {
  Reply reply;
  reply.type = Reply::Type::Integer;
  reply.integer = value;
  return reply;
}
Reply text(std::string value) {
  Reply reply;
  reply.type = Reply::Type::String;
  reply.text = std::move(value);
  return reply;
}
Reply array(std::vector<Reply> items) {
  Reply reply;
  reply.type = Reply::Type::Array;
  reply.items = std::move(items);
  return reply;
}

// As redis-cli CLUSTER KEYSLOT answers.
TEST(Slots, AreThoseOfRedis) {
  EXPECT_EQ(slot_of("foo"), 12182);
  EXPECT_EQ(slot_of("123456789"), 0x31c3);
  EXPECT_EQ(slot_of("{foo}:bar"), 12182);
  EXPECT_EQ(slot_of("a{foo}b{bar}"), 12182);
  EXPECT_EQ(slot_of("{}foo"), slot_of("{}foo"));
  EXPECT_NE(slot_of("{}foo"), slot_of("foo")) << "empty braces count as a part of the key";
}

TEST(Slots, AllKeysOfAPartitionAreInOne) {
  const std::string prefix = Partition{7, 16}.prefix();
  EXPECT_EQ(prefix, "{p07}:");
  EXPECT_EQ((Partition{123, 256}.prefix()), "{p123}:");
  EXPECT_EQ((Partition{0, 1}.prefix()), "");
  EXPECT_EQ(slot_of(prefix + "task_queue"), slot_of("p07"));
  EXPECT_EQ(slot_of(prefix), slot_of("p07"));
}

TEST(Slots, OfAClusterAreRead) {
  const Reply reply = array({
      array(
          {integer(0), integer(5460), array({text("10.0.0.1"), integer(7000), text("id")}), array({text("10.0.0.4")})}),
      array({integer(5461), integer(16383), array({text(""), integer(7001), text("id")})}),
      array({integer(5461), integer(16384), array({text("x"), integer(7001)})}),
      array({integer(9), integer(8), array({text("x"), integer(7001)})}),
      array({integer(1), integer(2), array({text("x"), integer(70000)})}),
      text("nonsense"),
  });
  const auto ranges = parse_slots(reply, "asked");
  ASSERT_EQ(ranges.size(), 2u);
  EXPECT_EQ(ranges[0].last, 5460);
  EXPECT_EQ(ranges[0].master, (Address::Place{"10.0.0.1", 7000}));
  EXPECT_EQ(ranges[1].first, 5461);
  EXPECT_EQ(ranges[1].master, (Address::Place{"asked", 7001})) << "a node that does not know its own address";
}

TEST(Slots, RedirectionsAreRead) {
  const auto moved = parse_redirection("MOVED 3999 127.0.0.1:6381", "asked");
  ASSERT_TRUE(moved);
  EXPECT_FALSE(moved->once);
  EXPECT_EQ(moved->place, (Address::Place{"127.0.0.1", 6381}));
  const auto ask = parse_redirection("ASK 3999 :6381", "asked");
  ASSERT_TRUE(ask);
  EXPECT_TRUE(ask->once);
  EXPECT_EQ(ask->place, (Address::Place{"asked", 6381}));
  for (const char* other :
       {"ERR unknown", "MOVED", "MOVED 1 host", "MOVED 1 host:", "MOVED 1 host:0", "MOVED 1 h:99999"})
    EXPECT_FALSE(parse_redirection(other, "asked")) << other;
}

TEST(Partitions, AreChosenByTheNinthByte) {
  const auto id = Uuid{0x0123456789abcdef, 0x8042000000000000};
  EXPECT_EQ(partition_of(id, 1), 0u);
  EXPECT_EQ(partition_of(id, 256), 0x42u);
  EXPECT_EQ(partition_of(id, 16), 2u);
  Uuid other = id;
  set_partition_byte(other, 0xff);
  EXPECT_EQ(other.lo, 0x80ff000000000000u);
  EXPECT_EQ(other.hi, id.hi);
  for (const unsigned n : {1u, 2u, 64u, 256u}) EXPECT_TRUE(is_partition_count(n)) << n;
  for (const unsigned n : {0u, 3u, 12u, 512u}) EXPECT_FALSE(is_partition_count(n)) << n;
}

}  // namespace
}  // namespace treadle::store::redis

#include "store/redis/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace treadle::store::redis {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Kind = Address::Kind;

Address good(std::string_view url) {
  auto address = parse_address(url);
  EXPECT_TRUE(address) << url << ": " << address.error().message;
  return address ? *address : Address{};
}

std::string error_of(std::string_view url) {
  auto address = parse_address(url);
  EXPECT_FALSE(address) << url << " was accepted";
  return address ? "" : address.error().message;
}

TEST(RedisAddress, ReadsEachPart) {
  const Address plain = good("redis://127.0.0.1:6379/0");
  EXPECT_EQ(plain.kind, Kind::Tcp);
  EXPECT_EQ(plain.host, "127.0.0.1");
  EXPECT_EQ(plain.port, 6379);
  EXPECT_EQ(plain.database, 0);

  const Address full = good("redis://ann:p%40ss:w/r@d@redis.example:7000/12");
  EXPECT_EQ(full.user, "ann");
  EXPECT_EQ(full.password, "p@ss:w/r@d");
  EXPECT_EQ(full.host, "redis.example");
  EXPECT_EQ(full.port, 7000);
  EXPECT_EQ(full.database, 12);

  const Address tls = good("rediss://:pw@[::1]:6380/1?ca=/etc/my%20ca@home.pem");
  EXPECT_EQ(tls.kind, Kind::Tls);
  EXPECT_EQ(tls.user, "");
  EXPECT_EQ(tls.password, "pw");
  EXPECT_EQ(tls.host, "::1");
  EXPECT_EQ(tls.port, 6380);
  EXPECT_EQ(tls.ca_file, "/etc/my ca@home.pem");
}

TEST(RedisAddress, FillsInWhatIsLeftOut) {
  for (const char* url : {"redis://box", "redis://box/", "redis://box:6379", "redis://box/0"}) {
    const Address address = good(url);
    EXPECT_EQ(address.host, "box");
    EXPECT_EQ(address.port, 6379);
    EXPECT_EQ(address.database, 0);
  }
}

TEST(RedisAddress, ReadsUnixSockets) {
  const Address plain = good("unix:///run/redis/redis.sock");
  EXPECT_EQ(plain.kind, Kind::Unix);
  EXPECT_EQ(plain.path, "/run/redis/redis.sock");
  EXPECT_EQ(plain.database, 0);
  const Address full = good("unix://ann:pw@/run/a@b/redis.sock?db=3");
  EXPECT_EQ(full.user, "ann");
  EXPECT_EQ(full.password, "pw");
  EXPECT_EQ(full.path, "/run/a@b/redis.sock");
  EXPECT_EQ(full.database, 3);
  EXPECT_EQ(good("unix:///run/a@/redis.sock").path, "/run/a@/redis.sock");
}

TEST(RedisAddress, ShowsItselfWithoutThePassword) {
  EXPECT_EQ(good("redis://127.0.0.1").shown(), "redis://127.0.0.1:6379/0");
  EXPECT_EQ(good("redis://:secret@box:7/3").shown(), "redis://box:7/3");
  EXPECT_EQ(good("rediss://ann:secret@[::1]:7/3?ca=/x").shown(), "rediss://ann@[::1]:7/3");
  EXPECT_EQ(good("unix:///run/r.sock").shown(), "unix:///run/r.sock");
  EXPECT_EQ(good("unix://:secret@/run/r.sock?db=2").shown(), "unix:///run/r.sock?db=2");
  for (const char* url : {"redis://127.0.0.1:6379/0", "rediss://box:6380/2", "unix:///run/r.sock?db=2"})
    EXPECT_EQ(good(url).shown(), url);
}

TEST(RedisAddress, SaysWhatIsWrongAndHowToWriteIt) {
  const std::pair<const char*, const char*> wrong[] = {
      {"", "begins with none of redis://, rediss://, unix://, redis+sentinel:// and redis+cluster://"},
      {"localhost:6379", "begins with none of"},
      {"http://box", "begins with none of"},
      {"redis://", "names no host"},
      {"redis://:6379", "names no host"},
      {"redis://box:", "a port that is not a number from 1 to 65535"},
      {"redis://box:0", "a port that is not a number"},
      {"redis://box:65536", "a port that is not a number"},
      {"redis://box:6379x", "a port that is not a number"},
      {"redis://::1:6379", "an IPv6 address without brackets"},
      {"redis://[::1", "a '[' without the ']'"},
      {"redis://[::1]6379", "text after the ']'"},
      {"redis://box/x", "a database that is not a number"},
      {"redis://box/-1", "a database that is not a number"},
      {"redis://box/99999999999", "a database that is not a number"},
      {"redis://box?db=1", "a setting after the '?' that it cannot have"},
      {"redis://box?ca=/x", "a setting after the '?' that it cannot have"},
      {"rediss://box?ca=", "without the name of a file"},
      {"redis://ann@box", "a user without a password"},
      {"redis://ann:@box", "an empty password"},
      {"redis://:p%4@box", "a '%' in its password that no two hex digits follow"},
      {"redis://:p%zz@box", "a '%' in its password"},
      {"redis://:p%00@box", "a '%' in its password"},
      {"redis://box name", "a blank or control character"},
      {"unix://run/redis.sock", "must name the socket by its full path"},
      {"unix:///run/redis.sock?db=x", "a database that is not a number"},
  };
  for (const auto& [url, words] : wrong)
    EXPECT_THAT(error_of(url), AllOf(HasSubstr(words), HasSubstr("Write redis://host:6379/0"))) << url;
  EXPECT_THAT(error_of("unix:///" + std::string(120, 'a')), HasSubstr("a socket path of 121 bytes"));
}

TEST(RedisAddress, NamesSeveralServersSentinelsAndClusters) {
  using Group = Address::Group;
  const Address several = good("redis://:pw@a:7000,b,[::1]:7002/3");
  EXPECT_EQ(several.group, Group::Servers);
  EXPECT_EQ(several.places(), (std::vector<Address::Place>{{"a", 7000}, {"b", 6379}, {"::1", 7002}}));
  ASSERT_EQ(several.each().size(), 3u);
  EXPECT_EQ(several.each()[2].shown(), "redis://[::1]:7002/3");
  EXPECT_EQ(several.each()[1].password, "pw");

  const Address sentinel = good("redis+sentinel://:pw@a,b:26380/my%2Fmaster/2");
  EXPECT_EQ(sentinel.group, Group::Sentinel);
  EXPECT_EQ(sentinel.places(), (std::vector<Address::Place>{{"a", 26379}, {"b", 26380}}));
  EXPECT_EQ(sentinel.master_name, "my/master");
  EXPECT_EQ(sentinel.database, 2);
  EXPECT_EQ(sentinel.each().size(), 1u) << "only what the Sentinels name is connected to";
  EXPECT_EQ(sentinel.at({"m", 1}).shown(), "redis://m:1/2");
  EXPECT_EQ(good("redis+sentinel://a/m").database, 0);

  const Address cluster = good("rediss+cluster://a:1,b:2");
  EXPECT_EQ(cluster.group, Group::Cluster);
  EXPECT_EQ(cluster.kind, Kind::Tls);
  EXPECT_EQ(cluster.shown(), "rediss+cluster://a:1,b:2/0");

  EXPECT_THAT(error_of("redis+sentinel://a:1"), HasSubstr("names no master after its Sentinels"));
  EXPECT_THAT(error_of("redis+sentinel://a:1/"), HasSubstr("names no master after its Sentinels"));
  EXPECT_THAT(error_of("redis+cluster://a:1/2"), HasSubstr("a database, of which a cluster has only one"));
  EXPECT_THAT(error_of("redis://a:1,a:1"), HasSubstr("one server twice"));
  EXPECT_THAT(error_of("redis://a:1,"), HasSubstr("names no host"));
}

TEST(RedisAddress, NoErrorRepeatsAPassword) {
  for (const char* url : {"redis://ann:hunter2?@box:x", "redis://ann:hunter2@box:x", "redis://ann:hunter2",
                          "redis://:hunter2%@box", "redis://:hunter2 @box", "rediss://:a?hunter2=@box"})
    EXPECT_THAT(error_of(url), Not(HasSubstr("hunter2"))) << url;
}

}  // namespace
}  // namespace treadle::store::redis

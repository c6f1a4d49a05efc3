// The start-up probe against real servers in each state that a start may find.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/redis/probe.h"
#include "tests/redis/redis_server.h"
#include "tests/redis/rig.h"

namespace treadle::store::redis::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

Result<Findings> probed(Rig& rig, const Address& address, Duration patience = kStartPatience) {
  Client client(rig.io, address, {});
  std::optional<Result<Findings>> found;
  probe(
      rig.io, client, [&](Result<Findings> result) { found = std::move(result); }, patience);
  if (!rig.run_until([&] { return found.has_value(); })) return fail(Code::Internal, "the test waited in vain");
  return std::move(*found);
}

TEST(RedisProbeReal, ReadsTheLevelOfEachSetting) {
  struct Row {
    std::map<std::string, std::string> settings;
    Level level;
  };
  const Row rows[] = {
      {{{"appendonly", "yes"}, {"appendfsync", "always"}}, Level::Power},
      {{{"appendonly", "yes"}, {"appendfsync", "everysec"}}, Level::Process},
      {{{"save", "60 1"}}, Level::None},
  };
  for (const Row& row : rows) {
    ServerOptions options;
    options.settings = row.settings;
    RedisServer server(options);
    Rig rig;
    const auto found = probed(rig, server.tcp());
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->level, row.level);
    EXPECT_THAT(found->version, StartsWith("7."));
    EXPECT_EQ(found->warnings.size(), row.level == Level::None ? 1u : 0u);
  }
}

TEST(RedisProbeReal, WarnsOfEvictionAndOfWhatItMayNotSee) {
  ServerOptions options;
  options.settings = {{"appendonly", "yes"}, {"maxmemory", "100mb"}, {"maxmemory-policy", "allkeys-lru"}};
  RedisServer server(options);
  Rig rig;
  auto found = probed(rig, server.tcp());
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_THAT(found->warnings, ElementsAre(HasSubstr("maxmemory-policy allkeys-lru at 104857600 bytes")));

  Client admin(rig.io, server.tcp(), {});
  ASSERT_TRUE(rig.connect(admin));
  ASSERT_EQ(shown(rig.ask(admin, {"ACL", "SETUSER", "ann", "on", ">pw", "~*", "&*", "+@all", "-config"})), "OK");
  Address ann = server.tcp();
  ann.user = "ann";
  ann.password = "pw";
  found = probed(rig, ann);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->level, Level::None);
  EXPECT_THAT(found->warnings, ElementsAre(HasSubstr("CONFIG GET is refused"), HasSubstr("allkeys-lru")));
}

TEST(RedisProbeReal, AnAbsentRedisIsWaitedForThenNamed) {
  Rig rig;
  Address nowhere;
  nowhere.port = free_port();
  const auto begun = std::chrono::steady_clock::now();
  const auto found = probed(rig, nowhere, 700ms);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().message, no_redis(nowhere).message);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 700ms);
  Address no_socket;
  no_socket.kind = Address::Kind::Unix;
  no_socket.path = "/nonexistent/redis.sock";
  EXPECT_THAT(probed(rig, no_socket, 100ms).error().message, StartsWith("No Redis at unix:///nonexistent/redis.sock."));
}

TEST(RedisProbeReal, ARedisThatComesWithinThePatienceIsFound) {
  RedisServer server;
  server.kill();
  Rig rig;
  Client client(rig.io, server.tcp(), {});
  std::optional<Result<Findings>> found;
  probe(rig.io, client, [&](Result<Findings> result) { found = std::move(result); });
  rig.run_for(600ms);
  EXPECT_FALSE(found.has_value());
  server.start();
  ASSERT_TRUE(rig.run_until([&] { return found.has_value(); }));
  EXPECT_TRUE(*found) << found->error().message;
}

TEST(RedisProbeReal, AWrongPasswordIsToldAtOnce) {
  ServerOptions options;
  options.settings["requirepass"] = "right";
  RedisServer server(options);
  Rig rig;
  Address address = server.tcp();
  const auto begun = std::chrono::steady_clock::now();
  address.password = "wrong";
  EXPECT_THAT(probed(rig, address).error().message, HasSubstr("refuses the user or the password"));
  address.password.clear();
  EXPECT_THAT(probed(rig, address).error().message, HasSubstr("asks for a password"));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 3s);
}

TEST(RedisProbeReal, DataThatIsStillLoadingIsWaitedFor) {
  ServerOptions options;
  options.settings["appendonly"] = "yes";
  RedisServer server(options);
  Rig rig;
  {
    Client client(rig.io, server.tcp(), {});
    ASSERT_TRUE(rig.connect(client));
    make_loading_slow(rig, client);
  }
  server.kill();
  server.start();
  const auto early = probed(rig, server.tcp(), 1500ms);
  ASSERT_FALSE(early);
  EXPECT_THAT(early.error().message, HasSubstr("is still loading its data from disk"));
  Client client(rig.io, server.tcp(), {});
  ASSERT_TRUE(rig.connect(client));
  ASSERT_EQ(shown(rig.ask(client, {"CONFIG", "SET", "key-load-delay", "0"})), "OK");
  EXPECT_TRUE(probed(rig, server.tcp(), 20s));
}

}  // namespace
}  // namespace treadle::store::redis::testing

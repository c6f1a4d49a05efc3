#include "store/redis/probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace treadle::store::redis {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Reply text(Reply::Type type, std::string words) {
  Reply reply;
  reply.type = type;
  reply.text = std::move(words);
  return reply;
}

Reply setting(const std::string& name, const std::string& value) {
  Reply reply;
  reply.type = Reply::Type::Array;
  reply.items = {text(Reply::Type::String, name), text(Reply::Type::String, value)};
  return reply;
}

// A Redis as it describes itself; durable at `power` unless a test says otherwise.
struct Described {
  std::string version = "7.0.15";
  std::string loading = "0", aof_write = "ok";
  std::string maxmemory = "0", policy = "noeviction";
  std::string appendonly = "yes", appendfsync = "always", no_sync_on_rewrite = "no";
  bool config_refused = false;

  std::vector<Reply> replies() const {
    const auto info = [](const std::string& words) { return text(Reply::Type::String, words); };
    std::vector<Reply> out{info("# Server\r\nredis_version:" + version + "\r\nredis_mode:standalone\r\n"),
                           info("# Persistence\r\nloading:" + loading + "\r\naof_enabled:" +
                                (appendonly == "yes" ? "1" : "0") + "\r\naof_last_write_status:" + aof_write + "\r\n"),
                           info("# Memory\r\nmaxmemory:" + maxmemory + "\r\nmaxmemory_policy:" + policy + "\r\n"),
                           setting("appendonly", appendonly),
                           setting("appendfsync", appendfsync),
                           setting("no-appendfsync-on-rewrite", no_sync_on_rewrite)};
    if (config_refused)
      for (std::size_t i = 3; i < out.size(); ++i)
        out[i] = text(Reply::Type::Error, "NOPERM this user has no permissions");
    return out;
  }
  Judgement judged() const {
    auto judgement = judge(replies(), Address{});
    EXPECT_TRUE(judgement) << judgement.error().message;
    return judgement ? *judgement : Judgement{};
  }
};

TEST(RedisProbe, AsksWhatItJudges) {
  const auto commands = probe_commands();
  EXPECT_EQ(commands.size(), Described{}.replies().size());
  EXPECT_THAT(commands.front(), ElementsAre("INFO", "server"));
  EXPECT_THAT(commands.back(), ElementsAre("CONFIG", "GET", "no-appendfsync-on-rewrite"));
}

TEST(RedisProbe, TellsTheLevelFromTheSettings) {
  struct Row {
    const char* appendonly;
    const char* appendfsync;
    const char* no_sync_on_rewrite;
    Level level;
    std::size_t warnings;
  };
  const Row rows[] = {
      {"yes", "always", "no", Level::Power, 0},     {"yes", "always", "yes", Level::Process, 1},
      {"yes", "everysec", "no", Level::Process, 0}, {"yes", "everysec", "yes", Level::Process, 0},
      {"yes", "no", "no", Level::Process, 1},       {"no", "everysec", "no", Level::None, 1},
      {"no", "always", "no", Level::None, 1},
  };
  for (const Row& row : rows) {
    Described redis;
    redis.appendonly = row.appendonly;
    redis.appendfsync = row.appendfsync;
    redis.no_sync_on_rewrite = row.no_sync_on_rewrite;
    const Findings found = redis.judged().findings;
    EXPECT_EQ(found.level, row.level) << row.appendonly << ' ' << row.appendfsync;
    EXPECT_EQ(found.warnings.size(), row.warnings) << row.appendonly << ' ' << row.appendfsync;
    EXPECT_EQ(found.version, "7.0.15");
  }
}

TEST(RedisProbe, NamesTheSettingAndTheCommandThatMendsIt) {
  Described redis;
  redis.appendonly = "no";
  EXPECT_THAT(
      redis.judged().findings.warnings,
      ElementsAre("Redis at redis://127.0.0.1:6379/0 keeps no append-only file (appendonly no): when it dies, it "
                  "loses tasks that were accepted. Set it: redis-cli CONFIG SET appendonly yes, and in redis.conf."));
  redis = {};
  redis.maxmemory = "1048576";
  redis.policy = "allkeys-lru";
  EXPECT_THAT(redis.judged().findings.warnings,
              ElementsAre(AllOf(HasSubstr("maxmemory-policy allkeys-lru at 1048576 bytes"),
                                HasSubstr("redis-cli CONFIG SET maxmemory-policy noeviction"))));
  redis.maxmemory = "0";  // nothing is ever evicted
  EXPECT_THAT(redis.judged().findings.warnings, IsEmpty());
  redis = {};
  redis.aof_write = "err";
  EXPECT_THAT(redis.judged().findings.warnings, ElementsAre(HasSubstr("could not write its append-only file")));
}

TEST(RedisProbe, PromisesNothingThatItCannotSee) {
  Described redis;
  redis.config_refused = true;
  Findings found = redis.judged().findings;
  EXPECT_EQ(found.level, Level::None);
  EXPECT_THAT(found.warnings, ElementsAre(HasSubstr("CONFIG GET is refused")));
  redis.appendonly = "no";  // INFO tells that much
  found = redis.judged().findings;
  EXPECT_EQ(found.level, Level::None);
  EXPECT_THAT(found.warnings, ElementsAre(HasSubstr("keeps no append-only file")));
}

TEST(RedisProbe, RefusesWhatIsTooOldOrUnknown) {
  for (const char* version : {"6.2.14", "3.0.504", "0.1.0"}) {
    Described redis;
    redis.version = version;
    const auto judgement = judge(redis.replies(), Address{});
    ASSERT_FALSE(judgement) << version;
    EXPECT_THAT(judgement.error().message,
                AllOf(HasSubstr("is version " + std::string(version)), HasSubstr("needs 7.0 or newer")));
  }
  for (const char* version : {"7.0.0", "7.4.1", "8.0.2", "10.1.0"}) {
    Described redis;
    redis.version = version;
    EXPECT_TRUE(judge(redis.replies(), Address{})) << version;
  }
  for (const char* version : {"", "seven", "7"}) {
    Described redis;
    redis.version = version;
    const auto judgement = judge(redis.replies(), Address{});
    ASSERT_FALSE(judgement) << version;
    EXPECT_THAT(judgement.error().message, HasSubstr("does not tell its version"));
  }
  auto replies = Described{}.replies();
  replies[0] = text(Reply::Type::Error, "NOPERM no");
  const auto refused = judge(replies, Address{});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("refuses INFO (NOPERM no)"));
}

TEST(RedisProbe, SeesThatDataIsStillLoading) {
  Described redis;
  EXPECT_FALSE(redis.judged().loading);
  redis.loading = "1";
  EXPECT_TRUE(redis.judged().loading);
}

TEST(RedisProbe, TheSentenceForNoRedisIsTheContracts) {
  EXPECT_EQ(
      no_redis(Address{}).message,
      "No Redis at redis://127.0.0.1:6379/0. Start one (redis-server), name another (--store redis://host:6379/0), or "
      "run everything in one process without Redis: treadle serve -m push -p 7001.");
}

}  // namespace
}  // namespace treadle::store::redis

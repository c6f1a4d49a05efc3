// What the client does when Redis dies, stands still, refuses or cuts the wire, and how fast it works again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>

#include "store/redis/client.h"
#include "tests/redis/redis_server.h"
#include "tests/redis/rig.h"
#include "tests/redis/tap.h"

namespace treadle::store::redis::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point begun) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begun).count();
}

bool unavailable(const Reached& reached) {
  return reached->has_value() && !**reached && (**reached).error().code == Code::Unavailable;
}

struct Counts {
  explicit Counts(Client& client) {
    client.on_connected([this] { ++connected; });
    client.on_disconnected([this](const Error& error) {
      ++lost;
      why = error.message;
    });
  }
  int connected = 0, lost = 0;
  std::string why;
};

TEST(RedisFaults, AKilledServerFailsWhatIsInFlightAndIsBackWithinASecond) {
  RedisServer server;
  Rig rig;
  Client client(rig.io, server.tcp(), {});
  Counts counts(client);
  ASSERT_TRUE(rig.connect(client));
  server.pause();  // so that the commands are in flight when it dies
  std::vector<Reached> in_flight;
  for (int i = 0; i < 100; ++i) in_flight.push_back(rig.send(client, {"INCR", "n"}));
  client.flush();
  rig.run_for(50ms);
  server.kill();
  ASSERT_TRUE(rig.run_until([&] { return in_flight.back()->has_value(); }));
  for (const Reached& each : in_flight) ASSERT_TRUE(unavailable(each));
  EXPECT_THAT((**in_flight[0]).error().message, HasSubstr("Whether the command took effect is not known."));
  EXPECT_FALSE(client.connected());
  EXPECT_EQ(counts.lost, 1);

  rig.run_for(600ms);  // longer than the grace
  const auto asked = Clock::now();
  const Reached away = rig.send(client, {"PING"});
  EXPECT_FALSE(away->has_value());  // never from within the call
  ASSERT_TRUE(rig.run_until([&] { return away->has_value(); }));
  EXPECT_LT(ms_since(asked), 100);
  EXPECT_TRUE(unavailable(away));
  EXPECT_THAT((**away).error().message,
              AllOf(HasSubstr("Redis at " + server.tcp().shown()), HasSubstr("cannot be reached: Connection refused")));

  server.start();
  const auto begun = Clock::now();
  ASSERT_TRUE(rig.connect(client));
  EXPECT_EQ(shown(rig.ask(client, {"INCR", "n"})), "1");
  EXPECT_LT(ms_since(begun), 1000);
  RecordProperty("ms_to_work_again", static_cast<int>(ms_since(begun)));
  EXPECT_EQ(counts.connected, 2);
  EXPECT_EQ(counts.lost, 1);
}

TEST(RedisFaults, ACommandSentJustAfterALossWaitsForTheNewConnection) {
  RedisServer server;
  Tap tap(server.tcp());
  Rig rig;
  Client client(rig.io, tap.address(), {});
  ASSERT_TRUE(rig.connect(client));
  for (int i = 1; i <= 20; ++i) {
    tap.cut_all();
    ASSERT_TRUE(rig.run_until([&] { return !client.connected(); }));
    ASSERT_EQ(shown(rig.ask(client, {"INCR", "n"})), std::to_string(i));
  }
  EXPECT_GE(tap.accepted(), 21);
}

TEST(RedisFaults, WhatTheConnectedHookSendsGoesFirst) {
  RedisServer server;
  Rig rig;
  Client client(rig.io, server.tcp(), {});
  std::vector<std::string> order;
  client.on_connected([&] { client.send({"PING"}, [&](Result<Reply>) { order.push_back("hook"); }); });
  client.send({"PING"}, [&](Result<Reply>) { order.push_back("waited"); });
  ASSERT_TRUE(rig.run_until([&] { return order.size() == 2; }));
  EXPECT_THAT(order, ElementsAre("hook", "waited"));
}

TEST(RedisFaults, ADroppedReplyFailsThatCommandAndTheRestWhileRedisHasCarriedItOut) {
  RedisServer server;
  Tap tap(server.tcp());
  Rig rig;
  Client client(rig.io, tap.address(), {});
  ASSERT_TRUE(rig.connect(client));
  tap.drop_reply(3, "INCR");
  std::vector<Reached> all;
  for (int i = 0; i < 5; ++i) {
    all.push_back(rig.send(client, {"INCR", "n"}));
    all.push_back(rig.send(client, {"GET", "n"}));
  }
  client.flush();
  ASSERT_TRUE(rig.run_until([&] { return all.back()->has_value(); }));
  EXPECT_EQ(tap.struck(), 1);
  EXPECT_FALSE(tap.armed());
  for (int i = 0; i < 4; ++i) EXPECT_EQ(shown(**all[i]), std::to_string(1 + i / 2));
  for (std::size_t i = 4; i < all.size(); ++i) EXPECT_TRUE(unavailable(all[i])) << i;
  const auto now = rig.ask(client, {"GET", "n"});
  EXPECT_GE(std::stoi(shown(now)), 3);  // the third was carried out
}

TEST(RedisFaults, ADroppedCommandNeverReachesRedis) {
  RedisServer server;
  Tap tap(server.tcp());
  Rig rig;
  Client client(rig.io, tap.address(), {});
  ASSERT_TRUE(rig.connect(client));
  tap.drop_command(1);
  const Reached reached = rig.send(client, {"INCR", "n"});
  client.flush();
  ASSERT_TRUE(rig.run_until([&] { return reached->has_value(); }));
  EXPECT_TRUE(unavailable(reached));
  EXPECT_EQ(tap.struck(), 1);
  EXPECT_EQ(shown(rig.ask(client, {"EXISTS", "n"})), "0");
}

TEST(RedisFaults, AWireCutAtAnyByteOfAReplyIsMended) {
  RedisServer server;
  Tap tap(server.tcp());
  Rig rig;
  Client client(rig.io, tap.address(), {});
  ASSERT_TRUE(rig.connect(client));
  const std::string value = "0123456789";  // as a reply 17 bytes
  ASSERT_EQ(shown(rig.ask(client, {"SET", "k", value})), "OK");
  int failed = 0;
  for (int bytes = 1; bytes <= 17; ++bytes) {
    ASSERT_TRUE(rig.connect(client));
    tap.cut_after_bytes_to_client(bytes);
    const auto reply = rig.ask(client, {"GET", "k"});
    if (reply)
      EXPECT_EQ(reply->text, value) << bytes;  // only when all of it had passed
    else
      ++failed;
    ASSERT_TRUE(rig.run_until([&] { return !client.connected(); })) << bytes;
  }
  EXPECT_EQ(failed, 16);
  EXPECT_EQ(tap.struck(), 17);
}

TEST(RedisFaults, AWireCutWithinABigCommandIsMended) {
  RedisServer server;
  Tap tap(server.tcp());
  Rig rig;
  Client client(rig.io, tap.address(), {});
  ASSERT_TRUE(rig.connect(client));
  tap.cut_after_bytes_to_server(5u << 20);
  EXPECT_FALSE(rig.ask(client, {"SET", "k", std::string(8u << 20, 'x')}));
  EXPECT_EQ(tap.struck(), 1);
  EXPECT_EQ(shown(rig.ask(client, {"EXISTS", "k"})), "0");
}

TEST(RedisFaults, AServerThatStandsStillIsGivenUpAfterTheTimeout) {
  RedisServer server;
  Rig rig;
  Client client(rig.io, server.tcp(), {.connect_timeout = 300ms, .request_timeout = 300ms});
  Counts counts(client);
  ASSERT_TRUE(rig.connect(client));
  server.pause();
  const auto begun = Clock::now();
  const auto reply = rig.ask(client, {"PING"});
  ASSERT_FALSE(reply);
  EXPECT_THAT(reply.error().message, HasSubstr("it sent no answer for 0.3 s"));
  EXPECT_GE(ms_since(begun), 290);
  EXPECT_LT(ms_since(begun), 2000);
  EXPECT_EQ(counts.lost, 1);
  // The kernel accepts for it: the greeting is not answered either.
  ASSERT_TRUE(rig.run_until([&] { return client.last_error().message.find("does not answer") != std::string::npos; }));
  server.resume();
  EXPECT_TRUE(rig.connect(client));
  EXPECT_EQ(shown(rig.ask(client, {"PING"})), "PONG");
}

// Its socket takes what is written, for a long time: that is no progress.
TEST(RedisFaults, AServerThatStandsStillIsGivenUpAlthoughMoreIsWritten) {
  RedisServer server;
  Rig rig;
  Client client(rig.io, server.tcp(), {.connect_timeout = 300ms, .request_timeout = 300ms});
  ASSERT_TRUE(rig.connect(client));
  server.pause();
  const auto begun = Clock::now();
  const Reached first = rig.send(client, {"PING"});
  client.flush();
  int more = 0;
  while (!first->has_value() && ms_since(begun) < 3000) {
    rig.send(client, {"PING"});
    client.flush();
    ++more;
    rig.run_for(50ms);
  }
  EXPECT_TRUE(unavailable(first));
  EXPECT_GE(more, 3);
  EXPECT_LT(ms_since(begun), 2000);
}

TEST(RedisFaults, ABigReplyThatComesSlowlyIsWaitedFor) {
  RedisServer server;
  Tap tap(server.tcp());
  Rig rig;
  Client client(rig.io, tap.address(), {.request_timeout = 400ms});
  ASSERT_TRUE(rig.connect(client));
  ASSERT_EQ(shown(rig.ask(client, {"SET", "k", std::string(16u << 20, 'x')})), "OK");
  std::size_t size = 0;
  client.send({"GET", "k"}, [&](Result<Reply> reply) { size = reply ? reply->text.size() : 1; });
  client.flush();
  // A slow reader: a piece every 20 ms, for longer than the timeout.
  const auto begun = Clock::now();
  while (size == 0 && ms_since(begun) < 20'000) {
    rig.io.restart();
    rig.io.run_one_for(100ms);
    ::usleep(4000);
  }
  EXPECT_EQ(size, 16u << 20);
  EXPECT_GT(ms_since(begun), 400);
}

TEST(RedisFaults, ALoopThatStoodStillDoesNotBlameRedis) {
  RedisServer server;
  Rig rig;
  Client client(rig.io, server.tcp(), {.request_timeout = 200ms});
  Counts counts(client);
  ASSERT_TRUE(rig.connect(client));
  const Reached reached = rig.send(client, {"PING"});
  client.flush();
  ::usleep(500'000);  // the answer has come meanwhile, and the timer is due as well
  ASSERT_TRUE(rig.run_until([&] { return reached->has_value(); }));
  EXPECT_EQ(shown(**reached), "PONG");
  EXPECT_EQ(counts.lost, 0);
}

TEST(RedisFaults, LoadingIsAReplyLikeAnyOther) {
  ServerOptions options;
  options.settings["appendonly"] = "yes";
  RedisServer server(options);
  Rig rig;
  Client client(rig.io, server.tcp(), {});
  ASSERT_TRUE(rig.connect(client));
  make_loading_slow(rig, client);
  server.kill();
  ASSERT_TRUE(rig.run_until([&] { return !client.connected(); }));
  server.start();
  ASSERT_TRUE(rig.connect(client));
  EXPECT_THAT(shown(rig.ask(client, {"GET", "k1"})), HasSubstr("(error) LOADING"));
  EXPECT_TRUE(client.connected());
  ASSERT_EQ(shown(rig.ask(client, {"CONFIG", "SET", "key-load-delay", "0"})), "OK");
  ASSERT_TRUE(rig.run_until([&] { return shown(rig.ask(client, {"GET", "k1"})) == "v"; }));
}

TEST(RedisFaults, LimitsRefuseWithoutSending) {
  RedisServer server;
  Rig rig;
  Client client(rig.io, server.tcp(), {.max_pending = 10, .max_unsent_bytes = 1000});
  ASSERT_TRUE(rig.connect(client));
  const Reached big = rig.send(client, {"SET", "k", std::string(2000, 'x')});
  std::vector<Reached> all;
  for (int i = 0; i < 11; ++i) all.push_back(rig.send(client, {"INCR", "n"}));
  client.flush();
  ASSERT_TRUE(rig.run_until([&] {
    return big->has_value() && std::all_of(all.begin(), all.end(), [](const Reached& r) { return r->has_value(); });
  }));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(shown(**all[i]), std::to_string(i + 1));
  EXPECT_EQ((**all[10]).error().code, Code::Full);
  EXPECT_THAT((**all[10]).error().message, HasSubstr("Over 10 commands wait"));
  EXPECT_EQ((**big).error().code, Code::Full);
  EXPECT_THAT((**big).error().message, HasSubstr("Over 1000 bytes wait"));
  EXPECT_EQ(shown(rig.ask(client, {"GET", "n"})), "10");
}

TEST(RedisFaults, CloseAnswersAllThatWaitsBeforeItReturns) {
  RedisServer server;
  Rig rig;
  Client client(rig.io, server.tcp(), {});
  ASSERT_TRUE(rig.connect(client));
  const Reached sent = rig.send(client, {"PING"});
  client.flush();
  const Reached queued = rig.send(client, {"PING"});
  client.close();
  EXPECT_TRUE(unavailable(sent));
  EXPECT_TRUE(unavailable(queued));
  EXPECT_THAT((**queued).error().message, HasSubstr("is closed: Treadle is stopping"));
  EXPECT_TRUE(unavailable([&] {
    const Reached late = rig.send(client, {"PING"});
    rig.run_for(20ms);
    return late;
  }()));
  EXPECT_FALSE(client.connected());
}

TEST(RedisFaults, AnAnswerMayDestroyTheClient) {
  RedisServer server;
  Rig rig;
  auto client = std::make_unique<Client>(rig.io, server.tcp(), ClientConfig{});
  ASSERT_TRUE(rig.connect(*client));
  int answers = 0;
  for (int i = 0; i < 10; ++i)
    client->send({"PING"}, [&](Result<Reply>) {
      ++answers;
      client.reset();
    });
  client->flush();
  rig.run_for(100ms);
  EXPECT_EQ(answers, 1);  // the others were dropped unanswered
  EXPECT_EQ(client, nullptr);

  client = std::make_unique<Client>(rig.io, server.tcp(), ClientConfig{});
  ASSERT_TRUE(rig.connect(*client));
  server.pause();
  int failures = 0;
  for (int i = 0; i < 10; ++i)
    client->send({"PING"}, [&](Result<Reply> reply) {
      failures += !reply;
      client.reset();
    });
  client->flush();
  rig.run_for(50ms);
  server.kill();
  ASSERT_TRUE(rig.run_until([&] { return client == nullptr; }));
  rig.run_for(50ms);
  EXPECT_EQ(failures, 1);

  server.start();
  client = std::make_unique<Client>(rig.io, server.tcp(), ClientConfig{});
  client->on_connected([&] { client.reset(); });
  ASSERT_TRUE(rig.run_until([&] { return client == nullptr; }));
  rig.run_for(50ms);
}

}  // namespace
}  // namespace treadle::store::redis::testing

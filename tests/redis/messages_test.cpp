// Channels: confirmed, heard, and heard again after every kind of loss.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "store/redis/client.h"
#include "tests/redis/redis_server.h"
#include "tests/redis/rig.h"
#include "tests/redis/tap.h"

namespace treadle::store::redis::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A client that listens, and another that speaks.
struct Talk : Rig {
  explicit Talk(const Address& listener_at, const Address& speaker_at, ClientConfig config = {})
      : listener(io, listener_at, config), speaker(io, speaker_at, {}) {
    listener.on_connected([this] { ++connected; });
    listener.on_message([this](std::string_view channel, std::string_view text) {
      heard.push_back(std::string(channel) + "=" + std::string(text));
    });
    EXPECT_TRUE(connect(listener) && connect(speaker)) << listener.last_error().message;
  }
  Result<void> subscribe(const std::string& channel) {
    std::optional<Result<void>> result;
    listener.subscribe(channel, [&](Result<void> confirmed) { result = std::move(confirmed); });
    if (!run_until([&] { return result.has_value(); })) return fail(Code::Internal, "the test waited in vain");
    return *result;
  }
  // How many heard it, as Redis counts.
  std::string publish(const std::string& channel, const std::string& text) {
    return shown(ask(speaker, {"PUBLISH", channel, text}));
  }
  // True once a message on the channel arrives; it is published again and again.
  bool hears(const std::string& channel, const std::string& text) {
    return run_until([&] {
      if (speaker.connected()) publish(channel, text);
      return std::find(heard.begin(), heard.end(), channel + "=" + text) != heard.end();
    });
  }

  Client listener, speaker;
  std::vector<std::string> heard;
  int connected = 0;
};

TEST(RedisMessages, WhatIsPublishedAfterTheConfirmationIsHeard) {
  RedisServer server;
  Talk talk(server.tcp(), server.tcp());
  ASSERT_TRUE(talk.subscribe("a"));
  ASSERT_TRUE(talk.subscribe("b"));
  EXPECT_EQ(talk.publish("a", "1"), "1");
  EXPECT_EQ(talk.publish("b", "2"), "1");
  EXPECT_EQ(talk.publish("c", "3"), "0");
  ASSERT_TRUE(talk.run_until([&] { return talk.heard.size() >= 2; }));
  EXPECT_THAT(talk.heard, ElementsAre("a=1", "b=2"));
  talk.listener.unsubscribe("a");
  ASSERT_TRUE(talk.run_until([&] { return talk.publish("a", "4") == "0"; }));
  EXPECT_EQ(talk.publish("b", "5"), "1");
  ASSERT_TRUE(talk.run_until([&] { return talk.heard.back() == "b=5"; }));
  EXPECT_EQ(talk.connected, 1);
}

TEST(RedisMessages, ASecondSubscribeIsConfirmedToo) {
  RedisServer server;
  Talk talk(server.tcp(), server.tcp());
  ASSERT_TRUE(talk.subscribe("a"));
  ASSERT_TRUE(talk.subscribe("a"));
  EXPECT_EQ(talk.publish("a", "1"), "1");
  talk.listener.unsubscribe("a");
  ASSERT_TRUE(talk.subscribe("a"));
  EXPECT_TRUE(talk.hears("a", "again"));
}

TEST(RedisMessages, KilledConnectionsAreSubscribedAgainAndTold) {
  RedisServer server;
  Talk talk(server.tcp(), server.tcp());
  ASSERT_TRUE(talk.subscribe("a"));
  ASSERT_TRUE(talk.subscribe("b"));
  EXPECT_EQ(talk.connected, 1);
  EXPECT_EQ(shown(talk.ask(talk.speaker, {"CLIENT", "KILL", "TYPE", "pubsub"})), "1");
  ASSERT_TRUE(talk.run_until([&] { return talk.connected == 2; }));  // only then are messages sure to come
  EXPECT_EQ(talk.publish("a", "1"), "1");
  EXPECT_EQ(talk.publish("b", "2"), "1");
  EXPECT_TRUE(talk.listener.connected());

  EXPECT_EQ(shown(talk.ask(talk.speaker, {"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"})), "1");
  ASSERT_TRUE(talk.run_until([&] { return talk.connected == 3; }));
  EXPECT_EQ(shown(talk.ask(talk.listener, {"PING"})), "PONG");
  EXPECT_TRUE(talk.hears("a", "3"));
}

TEST(RedisMessages, ARestartedServerIsSubscribedAgain) {
  RedisServer server;
  Talk talk(server.tcp(), server.tcp());
  ASSERT_TRUE(talk.subscribe("a"));
  server.kill();
  talk.run_for(100ms);
  std::optional<Result<void>> late;
  talk.listener.subscribe("b", [&](Result<void> confirmed) { late = std::move(confirmed); });
  server.start();
  ASSERT_TRUE(talk.run_until([&] { return late.has_value(); }));
  EXPECT_TRUE(*late);
  EXPECT_TRUE(talk.hears("a", "1"));
  EXPECT_TRUE(talk.hears("b", "2"));
}

TEST(RedisMessages, ABigReplyDoesNotCostTheSubscription) {
  RedisServer server;
  Talk talk(server.tcp(), server.tcp());
  ASSERT_TRUE(talk.subscribe("a"));
  ASSERT_EQ(shown(talk.ask(talk.listener, {"SET", "big", std::string(64u << 20, 'x')})), "OK");
  const auto reply = talk.ask(talk.listener, {"GET", "big"});
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->text.size(), 64u << 20);
  EXPECT_EQ(talk.connected, 1);
  EXPECT_TRUE(talk.hears("a", "1"));
}

TEST(RedisMessages, ARefusedSubscriptionSaysSo) {
  RedisServer server;
  Rig admin;
  Client client(admin.io, server.tcp(), {});
  ASSERT_TRUE(admin.connect(client));
  ASSERT_EQ(shown(admin.ask(client, {"ACL", "SETUSER", "ann", "on", ">pw", "~*", "resetchannels", "&ok", "+@all"})),
            "OK");
  Address ann = server.tcp();
  ann.user = "ann";
  ann.password = "pw";
  Talk talk(ann, server.tcp());
  const auto refused = talk.subscribe("secret");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::StoreError);
  EXPECT_THAT(refused.error().message, HasSubstr("refuses to subscribe to the channel 'secret': NOPERM"));
  ASSERT_TRUE(talk.subscribe("ok"));
  EXPECT_TRUE(talk.hears("ok", "1"));
  EXPECT_EQ(talk.connected, 1);
}

TEST(RedisMessages, ASilentWireIsNoticedAndReplaced) {
  RedisServer server;
  Tap tap(server.tcp());
  Talk talk(tap.address(), server.tcp(), {.connect_timeout = 500ms, .request_timeout = 500ms, .ping_interval = 100ms});
  ASSERT_TRUE(talk.subscribe("a"));
  const int before = talk.connected;
  tap.freeze(true);
  talk.run_for(1200ms);
  tap.freeze(false);
  tap.cut_all();
  EXPECT_TRUE(talk.hears("a", "1"));
  EXPECT_GT(talk.connected, before);
  EXPECT_GT(tap.accepted(), 2);
}

TEST(RedisMessages, CloseTellsWhoWaitsForAConfirmation) {
  Rig rig;
  Address nowhere;
  nowhere.port = free_port();
  Client client(rig.io, nowhere, {.max_channels = 1});
  std::vector<Code> answers;
  const auto note = [&](Result<void> result) { answers.push_back(result ? Code::Internal : result.error().code); };
  client.subscribe("a", note);
  client.subscribe("b", note);  // over the limit
  EXPECT_THAT(answers, IsEmpty());
  ASSERT_TRUE(rig.run_until([&] { return !answers.empty(); }));
  EXPECT_THAT(answers, ElementsAre(Code::Full));
  client.close();
  EXPECT_THAT(answers, ElementsAre(Code::Full, Code::Unavailable));
}

}  // namespace
}  // namespace treadle::store::redis::testing

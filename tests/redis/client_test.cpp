// The client against a real redis-server: pipelines, big values, every kind of socket, passwords.
#include "store/redis/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "tests/redis/redis_server.h"
#include "tests/redis/rig.h"

namespace treadle::store::redis::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

ServerOptions with_password() {
  ServerOptions options;
  options.settings["requirepass"] = "s3cret:word@";
  return options;
}

TEST(RedisClient, TenThousandCommandsOfOneFlushAreAnsweredInOrder) {
  RedisServer server;
  Rig rig;
  Client client(rig.io, server.tcp(), {});
  ASSERT_TRUE(rig.connect(client));
  constexpr int kCommands = 10'000;
  std::vector<std::int64_t> seen;
  for (int i = 0; i < kCommands; ++i)
    client.send({"INCR", "n"}, [&](Result<Reply> reply) { seen.push_back(reply ? reply->integer : -1); });
  client.flush();
  ASSERT_TRUE(rig.run_until([&] { return seen.size() == kCommands; }));
  for (int i = 0; i < kCommands; ++i) ASSERT_EQ(seen[i], i + 1);
}

TEST(RedisClient, NothingLeavesBeforeTheFlush) {
  RedisServer server;
  Rig rig;
  Client client(rig.io, server.tcp(), {});
  ASSERT_TRUE(rig.connect(client));
  const Reached reached = rig.send(client, {"PING"});
  rig.run_for(50ms);
  EXPECT_FALSE(reached->has_value());
  client.flush();
  ASSERT_TRUE(rig.run_until([&] { return reached->has_value(); }));
  EXPECT_EQ(shown(**reached), "PONG");
}

TEST(RedisClient, BigValuesGoBothWaysOverEverySocket) {
  ServerOptions options;
  options.tls = true;
  RedisServer server(options);
  std::string value(64u << 20, '\0');
  for (std::size_t i = 0; i < value.size(); ++i) value[i] = static_cast<char>(i * 2654435761u >> 24);
  for (const Address& address : {server.tcp(), server.unix_socket(), server.tls()}) {
    SCOPED_TRACE(address.shown());
    Rig rig;
    Client client(rig.io, address, {});
    ASSERT_TRUE(rig.connect(client)) << client.last_error().message;
    EXPECT_EQ(shown(rig.ask(client, {"SET", "big", value})), "OK");
    EXPECT_EQ(shown(rig.ask(client, {"STRLEN", "big"})), std::to_string(value.size()));
    const auto reply = rig.ask(client, {"GET", "big"});
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_TRUE(reply->text == value);
    EXPECT_EQ(shown(rig.ask(client, {"DEL", "big"})), "1");
  }
}

TEST(RedisClient, RepliesKeepTheirTypes) {
  RedisServer server;
  Rig rig;
  Client client(rig.io, server.tcp(), {});
  ASSERT_TRUE(rig.connect(client));
  const auto type_of = [&](Command command) {
    const auto reply = rig.ask(client, std::move(command));
    return reply ? reply->type : Reply::Type::Nil;
  };
  EXPECT_EQ(shown(rig.ask(client, {"HSET", "h", "a", "1", "b", "2"})), "2");
  EXPECT_EQ(shown(rig.ask(client, {"HGETALL", "h"})), "[a 1 b 2]");
  EXPECT_EQ(type_of({"SET", "k", "v"}), Reply::Type::Status);
  EXPECT_EQ(type_of({"GET", "k"}), Reply::Type::String);
  EXPECT_EQ(shown(rig.ask(client, {"GET", "none"})), "(nil)");
  EXPECT_EQ(type_of({"STRLEN", "k"}), Reply::Type::Integer);
  EXPECT_EQ(shown(rig.ask(client, {"LPUSH", "k", "x"})),
            "(error) WRONGTYPE Operation against a key holding the wrong kind of value");
  EXPECT_EQ(type_of({"ZADD", "z", "INCR", "1.5", "m"}), Reply::Type::Double);
  EXPECT_EQ(type_of({"EVAL", "redis.setresp(3) return true", "0"}), Reply::Type::Bool);
  EXPECT_EQ(shown(rig.ask(client, {"EVAL", "return {1,{'a',false},{err='ERR own'}}", "0"})),
            "[1 [a (nil)] (error) ERR own]");
}

TEST(RedisClient, CommandsSentTogetherStayTogether) {
  RedisServer server;
  Rig rig;
  Client client(rig.io, server.tcp(), {});
  ASSERT_TRUE(rig.connect(client));
  std::optional<Result<std::vector<Reply>>> answer;
  client.send({"SET", "n", "1"}, {});
  client.send_all({{"MULTI"}, {"INCR", "n"}, {"GET", "n"}, {"EXEC"}},
                  [&](Result<std::vector<Reply>> replies) { answer = std::move(replies); });
  const Reached after = rig.send(client, {"INCR", "n"});
  client.flush();
  ASSERT_TRUE(rig.run_until([&] { return answer && after->has_value(); }));
  ASSERT_TRUE(*answer);
  ASSERT_EQ((*answer)->size(), 4u);
  EXPECT_EQ(shown(Result<Reply>((**answer)[3])), "[2 2]");
  EXPECT_EQ(shown(**after), "3");
}

TEST(RedisClient, TheDatabaseOfTheAddressIsUsed) {
  RedisServer server;
  Rig rig;
  Address third = server.tcp();
  third.database = 3;
  Client first(rig.io, server.tcp(), {});
  Client other(rig.io, third, {});
  ASSERT_TRUE(rig.connect(first) && rig.connect(other));
  EXPECT_EQ(shown(rig.ask(other, {"SET", "k", "v"})), "OK");
  EXPECT_EQ(shown(rig.ask(first, {"EXISTS", "k"})), "0");
  EXPECT_EQ(shown(rig.ask(other, {"EXISTS", "k"})), "1");
  third.database = 4711;
  Client none(rig.io, third, {});
  EXPECT_THAT(shown(rig.ask(none, {"PING"})), HasSubstr("has no database 4711 (ERR DB index is out of range)"));
}

TEST(RedisClient, ThePasswordLetsInAndItsLackIsExplained) {
  RedisServer server(with_password());
  Rig rig;
  Client good(rig.io, server.tcp(), {});
  ASSERT_TRUE(rig.connect(good)) << good.last_error().message;
  EXPECT_EQ(shown(rig.ask(good, {"PING"})), "PONG");

  Address none = server.tcp();
  none.password.clear();
  Client without(rig.io, none, {});
  EXPECT_THAT(shown(rig.ask(without, {"PING"})), HasSubstr("asks for a password. Give it in the address"));
  EXPECT_FALSE(without.connected());

  Address wrong = server.tcp();
  wrong.password = "guess";
  Client refused(rig.io, wrong, {});
  const std::string text = shown(rig.ask(refused, {"PING"}));
  EXPECT_THAT(text, HasSubstr("refuses the user or the password of the address (WRONGPASS"));
  EXPECT_THAT(text, Not(HasSubstr("guess")));
}

TEST(RedisClient, AUserOfTheAclIsLetIn) {
  RedisServer server;
  Rig rig;
  Client admin(rig.io, server.tcp(), {});
  ASSERT_TRUE(rig.connect(admin));
  EXPECT_EQ(shown(rig.ask(admin, {"ACL", "SETUSER", "ann", "on", ">pw", "~*", "&*", "+@all"})), "OK");
  Address address = server.tcp();
  address.user = "ann";
  address.password = "pw";
  Client ann(rig.io, address, {});
  ASSERT_TRUE(rig.connect(ann)) << ann.last_error().message;
  EXPECT_EQ(shown(rig.ask(ann, {"ACL", "WHOAMI"})), "ann");
}

TEST(RedisClient, NoauthAndNopermAreRepliesOnceConnected) {
  RedisServer server(with_password());
  Rig rig;
  Client client(rig.io, server.tcp(), {});
  ASSERT_TRUE(rig.connect(client));
  EXPECT_EQ(shown(rig.ask(client, {"RESET"})), "RESET");  // forgets who we are
  EXPECT_EQ(shown(rig.ask(client, {"GET", "k"})), "(error) NOAUTH Authentication required.");
  EXPECT_TRUE(client.connected());
}

TEST(RedisClient, AServerWithoutHelloIsSpokenToInTheOldProtocol) {
  ServerOptions options = with_password();
  options.settings["rename-command"] = "HELLO \"\"";
  RedisServer server(options);
  Rig rig;
  Address address = server.tcp();
  address.database = 2;
  Client client(rig.io, address, {});
  ASSERT_TRUE(rig.connect(client)) << client.last_error().message;
  EXPECT_EQ(shown(rig.ask(client, {"HSET", "h", "a", "1"})), "1");
  EXPECT_EQ(shown(rig.ask(client, {"HGETALL", "h"})), "[a 1]");
  EXPECT_EQ(shown(rig.ask(client, {"GET", "none"})), "(nil)");
  std::vector<std::string> seen;
  bool confirmed = false;
  client.on_message([&](std::string_view channel, std::string_view text) {
    seen.push_back(std::string(channel) + "=" + std::string(text));
  });
  client.subscribe("c", [&](Result<void> result) { confirmed = result.has_value(); });
  ASSERT_TRUE(rig.run_until([&] { return confirmed; }));
  EXPECT_EQ(shown(rig.ask(client, {"PUBLISH", "c", "m"})), "1");
  EXPECT_TRUE(rig.run_until([&] { return !seen.empty(); }));
  EXPECT_THAT(seen, ::testing::ElementsAre("c=m"));
  Address wrong = address;
  wrong.password = "guess";
  Client refused(rig.io, wrong, {});
  EXPECT_THAT(shown(rig.ask(refused, {"PING"})), HasSubstr("refuses the user or the password"));
}

TEST(RedisClient, TlsTrustsNobodyUnknown) {
  ServerOptions options;
  options.settings["bind"] = "127.0.0.1 127.0.0.2";
  options.tls = true;
  RedisServer server(options);
  Rig rig;
  Address stranger = server.tls();
  stranger.ca_file.clear();  // the system's authorities did not sign it
  Client first(rig.io, stranger, {});
  EXPECT_THAT(shown(rig.ask(first, {"PING"})), HasSubstr("certificate verify failed"));

  Address other_name = server.tls();
  other_name.host = "127.0.0.2";  // the same server; its certificate does not name it
  Client second(rig.io, other_name, {});
  EXPECT_THAT(shown(rig.ask(second, {"PING"})), HasSubstr("certificate verify failed"));

  Address by_number = server.tls();
  by_number.host = "127.0.0.1";
  Client third(rig.io, by_number, {});
  EXPECT_TRUE(rig.connect(third)) << third.last_error().message;

  Address no_file = server.tls();
  no_file.ca_file = "/nonexistent/ca.pem";
  Client fourth(rig.io, no_file, {});
  EXPECT_THAT(shown(rig.ask(fourth, {"PING"})), HasSubstr("the CA file /nonexistent/ca.pem cannot be used"));

  Address not_tls = server.tls();
  not_tls.port = server.tcp().port;
  Client fifth(rig.io, not_tls, {.connect_timeout = 500ms});
  EXPECT_THAT(shown(rig.ask(fifth, {"PING"})), StartsWith("(lost) "));
}

}  // namespace
}  // namespace treadle::store::redis::testing

// What a connection does with bytes: split, joined, late, hostile, or not taken.
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/testing.h"

namespace treadle::gateway {
namespace {

using namespace testing;
using ::testing::HasSubstr;

constexpr char kTask[] = "0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13";
constexpr char kStatus[] = "GET /status/0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13 HTTP/1.1\r\nHost: localhost\r\n\r\n";

void add_task(Running& server) {
  server.on_loop([&] { server.store.finish(*TaskId::parse(kTask), kSeven); });
}

std::string chunked(const std::string& path, const std::vector<std::string>& chunks,
                    const std::string& tail = "0\r\n\r\n") {
  std::string out = "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const auto& chunk : chunks) {
    char size[16];
    snprintf(size, sizeof size, "%zx\r\n", chunk.size());
    out += size + chunk + "\r\n";
  }
  return out + tail;
}

TEST(Connection, AnswersAPipelineInOrderThoughTheFirstIsLast) {
  Running server;
  add_task(server);
  server.on_loop([&] { server.store.hold = true; });
  Client client(server.port());
  client.send(std::string(kStatus) + "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" +
              "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n" + post_text("/register_function", function_body()));
  for (int held = 0; held == 0;) server.on_loop([&] { held = static_cast<int>(server.store.held.size()); });
  server.on_loop([&] { server.store.release(); });
  EXPECT_THAT(client.read().body, HasSubstr("COMPLETED"));
  EXPECT_THAT(client.read().body, HasSubstr("alive"));
  EXPECT_EQ(client.read().status, 404);
  EXPECT_THAT(client.read().body, HasSubstr("function_id"));
}

TEST(Connection, UnderstandsARequestCutAtEveryByte) {
  Running server;
  for (const std::string& text :
       {post_text("/register_function", function_body()),
        chunked("/register_function", {function_body().substr(0, 17), function_body().substr(17)}) + kStatus}) {
    for (std::size_t cut = 1; cut < text.size(); ++cut) {
      Client client(server.port());
      client.send(text.substr(0, cut));
      server.settle();  // the first part is seen alone
      client.send(text.substr(cut));
      ASSERT_EQ(client.read().status, 200) << "cut at " << cut;
    }
  }
  Client client(server.port());
  for (const char c : post_text("/register_function", function_body())) {
    client.send({&c, 1});
    server.settle();
  }
  EXPECT_EQ(client.read().status, 200);
}

TEST(Connection, ReadsChunkedBodiesWithExtensionsAndTrailers) {
  Running server;
  Client client(server.port());
  const std::string body = function_body();
  std::vector<std::string> single;
  for (const char c : body) single.emplace_back(1, c);
  client.send(chunked("/register_function", single));
  EXPECT_EQ(client.read().status, 200);
  client.send("POST /register_function HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" +
              std::string("5;a=b\r\n") + body.substr(0, 5) + "\r\n");
  char size[16];
  snprintf(size, sizeof size, "%zX", body.size() - 5);
  client.send(size + std::string("\r\n") + body.substr(5) + "\r\n0\r\nHost: evil.example\r\n\r\n");
  EXPECT_EQ(client.read().status, 200);
  EXPECT_EQ(client.get("/livez").status, 200);  // the connection is still in step
}

TEST(Connection, ServesOldAndClosingClients) {
  Running server;
  {
    Client client(server.port());
    client.send("GET /livez HTTP/1.0\r\n\r\n");
    EXPECT_THAT(client.read_to_end(), HasSubstr("Connection: close\r\n\r\n{\"status\":\"alive\"}"));
  }
  {
    Client client(server.port());
    client.send("GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(client.read().header("Connection"), "keep-alive");
    EXPECT_EQ(client.get("/livez", "Connection: close\r\n").header("Connection"), "close");
    EXPECT_TRUE(client.closed());
  }
  {
    Client client(server.port());  // half-closed after its request
    client.send("\r\n" + std::string(kStatus));
    client.end_sending();
    EXPECT_EQ(client.read().status, 404);
    EXPECT_TRUE(client.closed());
  }
}

TEST(Connection, AnswersHeadAndOptions) {
  Running server;
  Client client(server.port());
  client.send("HEAD /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.read(true).header("Content-Length"), "18");
  client.send("OPTIONS /execute_function/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const Answer options = client.read();
  EXPECT_EQ(options.status, 204);
  EXPECT_EQ(options.header("Allow"), "POST, OPTIONS");
  client.send("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.read().status, 204);
  client.send("BREW /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.read().status, 405);
  EXPECT_EQ(client.get("/livez").status, 200);
}

TEST(Connection, RefusesMalformedRequestsAndCloses) {
  Running server;
  const std::string garbage("\x00\xff\x16\x03\x01 binary garbage \r\n\r\n", 26);
  for (const std::string& text :
       {garbage, std::string("GET\r\n\r\n"), std::string("GET /livez HTTP/3.0\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nHost : a\r\n\r\n")}) {
    Client client(server.port());
    client.send(text);
    const Answer answer = client.read();
    EXPECT_EQ(answer.status, 400) << text;
    EXPECT_EQ(answer.header("Connection"), "close");
    client.end_sending();
    EXPECT_TRUE(client.closed());
  }
  Client client(server.port());
  client.send("GET /livez HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.read().status, 400);  // no Host
  client.send("GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.read().status, 400);
  EXPECT_EQ(client.get("/%zz").status, 400);
  client.send(
      "POST /register_function HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_EQ(client.read().status, 415);
  client.send("POST /register_function HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n");
  EXPECT_EQ(client.read().status, 501);
}

TEST(Connection, LimitsTheHeader) {
  Running server;
  Client fits(server.port());
  EXPECT_EQ(fits.get("/livez", "X: " + std::string(15'000, 'x') + "\r\n").status, 200);
  Client whole(server.port());
  EXPECT_EQ(whole.get("/livez", "X: " + std::string(17'000, 'x') + "\r\n").status, 431);
  Client endless(server.port());
  endless.send("GET /livez HTTP/1.1\r\nX: ");
  for (int i = 0; i < 100 && endless.try_send(std::string(4096, 'x')); ++i) {
  }
  EXPECT_EQ(endless.read().status, 431);
}

TEST(Connection, LimitsTheBodyBeforeAndWhileItIsRead) {
  GatewayConfig config;
  config.max_payload = 1000;
  Running server(config);
  const std::string big(config.max_body() + 1, 'A');
  {
    Client client(server.port());
    client.send("POST /register_function HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\n");
    const Answer answer = client.read();
    EXPECT_EQ(answer.status, 413);
    EXPECT_THAT(answer.body, HasSubstr("--max-payload"));
  }
  {
    Client client(server.port());
    client.send(chunked("/register_function", {function_body().substr(0, 20), big}, ""));
    EXPECT_EQ(client.read().status, 413);
  }
  {
    Client client(server.port());
    const Answer answer = client.post("/register_function", function_body("gASV" + std::string(1600, 'A')));
    EXPECT_EQ(answer.status, 413);
    EXPECT_THAT(answer.body, HasSubstr("1000 bytes"));
    EXPECT_EQ(client.get("/livez").status, 200);
  }
}

std::uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t all = 0, resident = 0;
  statm >> all >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

TEST(Connection, KeepsMemoryFlatUnderBodiesThatWillBeRefused) {
  GatewayConfig config;
  config.max_payload = 64 << 20;
  Running server(config);
  const std::uint64_t before = resident_bytes();
  const std::string piece = "100000\r\n" + std::string(1 << 20, 'A') + "\r\n";
  for (const std::string start : {"", "{\"name\": \"x\", \"payload\": [\"", "{\"name\": \"x\", \"other\": \""}) {
    Client client(server.port());
    client.send(chunked("/register_function", {" " + start}, ""));
    std::uint64_t most = 0;
    int sent = 0;
    for (; sent < 100 && client.try_send(piece); ++sent) most = std::max(most, resident_bytes());
    EXPECT_EQ(client.read().status, 413) << start;
    EXPECT_GT(sent, 85) << start;  // over 1.4 times the limit was really sent
    EXPECT_LT(most, before + (16 << 20)) << start;
  }
}

TEST(Connection, LetsAClientSendAllOfARefusedBodyAndReadTheAnswer) {
  GatewayConfig config;
  config.max_payload = 1000;
  Running server(config);
  Client client(server.port());  // as a simple client does: it sends 64 MiB before it reads
  client.send("POST /register_function HTTP/1.1\r\nHost: localhost\r\nContent-Length: 67108864\r\n\r\n");
  const std::string piece(1 << 20, 'x');
  for (int i = 0; i < 64; ++i) ASSERT_TRUE(client.try_send(piece)) << i;
  EXPECT_EQ(client.read().status, 413);
}

TEST(Connection, TellsAClientThatAsksWhetherToSendItsBody) {
  Running server;
  Client client(server.port());
  const std::string body = function_body();
  const std::string head =
      "POST /register_function HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: ";
  client.send(head + std::to_string(body.size()) + "\r\n\r\n");
  EXPECT_EQ(client.read().status, 100);
  client.send(body);
  EXPECT_EQ(client.read().status, 200);
  client.send(head + "1000000000\r\n\r\n");
  EXPECT_EQ(client.read().status, 413);
}

TEST(Connection, BoundsTheBodiesThatAreReceivedAtOnce) {
  GatewayConfig config;
  config.max_bodies_in_flight = 10'000;
  Running server(config);
  const std::string head = "POST /register_function HTTP/1.1\r\nHost: localhost\r\nContent-Length: ";
  {
    Client first(server.port());
    first.send(head + "6000\r\n\r\nx");
    server.settle();
    Client second(server.port());
    EXPECT_EQ(second.post("/register_function", std::string(6000, ' ')).status, 503);
  }
  server.settle();  // the first has gone: its share is free again
  Client third(server.port());
  EXPECT_EQ(third.post("/register_function", function_body() + std::string(6000, ' ')).status, 200);
}

TEST(Connection, SurvivesJsonAMillionDeep) {
  Running server;
  Client client(server.port());
  for (const std::string& body : {std::string(2'000'000, '['), R"({"a":)" + std::string(1'000'000, '['), [] {
                                    std::string s;
                                    for (int i = 0; i < 500'000; ++i) s += "{\"a\":";
                                    return s;
                                  }()}) {
    const Answer answer = client.post("/execute_function", body);
    EXPECT_EQ(answer.status, 400);
  }
  EXPECT_THAT(client.post("/execute_function", R"({"a":)" + std::string(33, '[')).body, HasSubstr("deeper than 32"));
  EXPECT_EQ(client.get("/livez").status, 200);
}

TEST(Connection, DropsClientsThatAreTooSlow) {
  GatewayConfig config;
  config.header_deadline = 80ms;
  config.body_idle = 80ms;
  config.keep_alive = 80ms;
  Running server(config);
  Client silent(server.port());
  Client header(server.port());
  header.send("GET /livez HTTP/1.1\r\nHo");
  Client body(server.port());
  body.send("POST /register_function HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{");
  Client idle(server.port());
  EXPECT_EQ(idle.get("/livez").status, 200);
  EXPECT_TRUE(silent.closed());
  EXPECT_EQ(header.read().status, 408);
  EXPECT_EQ(body.read().status, 408);
  EXPECT_TRUE(idle.closed());
}

TEST(Connection, DropsAHeaderAndABodyThatTrickle) {
  GatewayConfig config;
  config.header_deadline = 100ms;
  config.body_idle = 100ms;
  Running server(config);
  for (const std::string start :
       {"GET /livez HTTP/1.1\r\nX: ",
        "POST /register_function HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n"}) {
    Client client(server.port());
    client.send(start);
    for (int i = 0; i < 30 && client.try_send("x"); ++i) std::this_thread::sleep_for(10ms);  // never idle, far too slow
    EXPECT_EQ(client.read().status, 408) << start;
  }
}

TEST(Connection, StopsReadingAClientThatTakesNoAnswers) {
  GatewayConfig config;
  config.max_output = 64 << 10;
  Running server(config);
  const std::string task = kTask;
  server.on_loop([&] { server.store.finish(*TaskId::parse(task), std::string(100'000, 'x')); });
  const std::size_t size = Client(server.port()).get("/result/" + task).body.size();
  ASSERT_GT(size, 133'336u);
  Client client(server.port());
  const std::string one = "GET /result/" + task + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
  std::string many;
  for (int i = 0; i < 500; ++i) many += one;
  std::jthread writer([&] { client.send(many); });
  std::this_thread::sleep_for(50ms);
  server.on_loop([&] { EXPECT_LT(server.store.gets, 200); });  // the rest waits in the client's and our socket buffers
  for (int i = 0; i < 500; ++i) ASSERT_EQ(client.read().body.size(), size) << i;
  server.on_loop([&] { EXPECT_EQ(server.store.gets, 501); });
}

TEST(Connection, KeepsOtherAnswersWhenAClientVanishes) {
  Running server;
  add_task(server);
  server.on_loop([&] { server.store.hold = true; });
  auto gone = std::make_unique<Client>(server.port());
  gone->send(std::string(kStatus) + kStatus);
  Client stays(server.port());
  stays.send(kStatus);
  for (int held = 0; held < 3;) server.on_loop([&] { held = static_cast<int>(server.store.held.size()); });
  gone.reset();
  server.settle();
  server.on_loop([&] { server.store.release(); });
  EXPECT_EQ(stays.read().status, 200);
}

TEST(Connection, DrainsGracefully) {
  Running server;
  Client idle(server.port());
  EXPECT_EQ(idle.get("/livez").status, 200);
  Client waiting(server.port());
  const std::string function = member(waiting.post("/register_function", function_body()).body, "function_id");
  const std::string task = member(waiting.post("/execute_function", call_body(function)).body, "task_id");
  waiting.send("GET /result/" + task + "?wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n");
  Client late(server.port());
  const std::string text = post_text("/execute_function", call_body(function));
  late.send(text.substr(0, 30));
  std::size_t waits = 0;
  while (waits == 0) server.on_loop([&] { waits = server.store.waits.size(); });
  server.settle();
  server.on_loop([&] { server.gateway->begin_drain(); });
  EXPECT_TRUE(idle.closed());
  EXPECT_THAT(waiting.read().body, HasSubstr("QUEUED"));
  EXPECT_TRUE(waiting.closed());
  late.send(text.substr(30));
  const Answer refused = late.read();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.header("Connection"), "close");
  EXPECT_EQ(refused.header("Retry-After"), "1");
  late.end_sending();
  EXPECT_TRUE(late.closed());
  EXPECT_THROW(Client(server.port()), std::runtime_error);
  bool drained = false;
  for (int i = 0; i < 100 && !drained; ++i) {
    server.on_loop([&] { drained = server.gateway->drained(); });
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_TRUE(drained);
}

TEST(Connection, LeavesFurtherClientsInTheBacklogAtTheLimit) {
  GatewayConfig config;
  config.max_connections = 2;
  Running server(config);
  auto first = std::make_unique<Client>(server.port());
  Client second(server.port());
  EXPECT_EQ(first->get("/livez").status, 200);
  EXPECT_EQ(second.get("/livez").status, 200);
  Client third(server.port());
  third.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
  first.reset();
  EXPECT_EQ(third.read().status, 200);
}

TEST(Connection, ChecksHostAndOrigin) {
  GatewayConfig config;
  config.allow_hosts = {"box.example"};
  config.allow_origins = {"http://localhost:3000"};
  Running server(config);
  Client client(server.port());
  const auto ask = [&](const std::string& host, const std::string& more = "") {
    client.send("GET /livez HTTP/1.1\r\nHost: " + host + "\r\n" + more + "\r\n");
    return client.read();
  };
  for (const std::string host :
       {"localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "box.example:99", "localhost."})
    EXPECT_EQ(ask(host).status, 200) << host;
  for (const std::string host : {"evil.example", "localhost.evil.example", "127.0.0.2", "[::2]", ""}) {
    const Answer answer = ask(host);
    EXPECT_EQ(answer.status, 421) << host;
    EXPECT_THAT(answer.body, HasSubstr("--allow-host NAME"));
  }
  const Answer foreign = ask("localhost:8000", "Origin: http://evil.example\r\n");
  EXPECT_EQ(foreign.status, 403);
  EXPECT_THAT(foreign.body, HasSubstr("--allow-origin URL"));
  EXPECT_EQ(foreign.header("Access-Control-Allow-Origin"), "");
  EXPECT_EQ(ask("localhost:8000", "Origin: null\r\n").status, 403);
  EXPECT_EQ(ask("localhost:8000", "Origin: http://localhost:8000\r\n").status, 200);
  const Answer allowed = ask("localhost:8000", "Origin: http://localhost:3000\r\n");
  EXPECT_EQ(allowed.status, 200);
  EXPECT_EQ(allowed.header("Access-Control-Allow-Origin"), "http://localhost:3000");
  EXPECT_EQ(allowed.header("Vary"), "Origin");
  client.send(
      "OPTIONS /execute_function HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:3000\r\n"
      "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n");
  const Answer preflight = client.read();
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.header("Access-Control-Allow-Methods"), "POST, OPTIONS");
  EXPECT_THAT(preflight.header("Access-Control-Allow-Headers"), HasSubstr("Content-Type"));
  client.send("GET http://evil.example/livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.read().status, 421);
}

TEST(Connection, RefusesToListenWhereItMayNot) {
  Running server;
  const auto try_to = [&](const std::string& address, std::uint16_t port, bool open) {
    GatewayConfig config;
    config.address = address;
    config.port = port;
    config.insecure_public = open;
    boost::asio::io_context io;
    return Gateway(io, server.store, config, server.status, server.ids, server.clock).listen();
  };
  EXPECT_EQ(try_to("0.0.0.0", 0, false).error().code, Code::Invalid);
  EXPECT_THAT(try_to("0.0.0.0", 0, false).error().message, HasSubstr("--insecure-public"));
  EXPECT_TRUE(try_to("0.0.0.0", 0, true));
  EXPECT_EQ(try_to("127.0.0.1", server.port(), false).error().code, Code::Conflict);
  EXPECT_EQ(try_to("nowhere", 0, false).error().code, Code::Invalid);
}

}  // namespace
}  // namespace treadle::gateway

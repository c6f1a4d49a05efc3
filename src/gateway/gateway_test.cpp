// The seed's API over real sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/base64.h"
#include "gateway/testing.h"

namespace treadle::gateway {
namespace {

using namespace testing;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string registered(Client& client) {
  return member(client.post("/register_function", function_body()).body, "function_id");
}

TEST(Gateway, RegistersExecutesAndShowsATask) {
  Running server;
  Client client(server.port());
  const Answer made = client.post("/register_function", function_body());
  ASSERT_EQ(made.status, 200) << made.body;
  const std::string function = member(made.body, "function_id");
  EXPECT_TRUE(FunctionId::parse(function)) << made.body;
  EXPECT_EQ(made.body, R"({"function_id":")" + function + R"("})");

  const Answer call = client.post("/execute_function", call_body(function));
  ASSERT_EQ(call.status, 200) << call.body;
  const std::string task = member(call.body, "task_id");
  ASSERT_TRUE(TaskId::parse(task));
  EXPECT_THAT(task.back(), AnyOf('0', '1', '2', '3', '4', '5', '6', '7', '8', '9'));

  EXPECT_EQ(client.get("/status/" + task).body, R"({"task_id":")" + task + R"(","status":"QUEUED"})");
  EXPECT_EQ(client.get("/result/" + task).body, R"({"task_id":")" + task + R"(","status":"QUEUED","result":""})");
  server.on_loop([&] {
    ASSERT_EQ(server.store.submissions.size(), 1u);
    EXPECT_EQ(server.store.submissions[0].args.bytes.view().substr(0, 2), "\x80\x04");
    EXPECT_EQ(to_string(server.store.functions.begin()->second.digest).size(), 64u);
    EXPECT_EQ(server.store.functions.begin()->second.name, "add");
    server.store.finish(*TaskId::parse(task), kSeven);
  });
  EXPECT_EQ(client.get("/result/" + task).body,
            R"({"task_id":")" + task + R"(","status":"COMPLETED","result":"gARLBy4=\n"})");
  EXPECT_EQ(client.get("/api/v1/result/" + task + "/").body, client.get("/result/" + task).body);
}

TEST(Gateway, EchoesIdsAsTheyWereSent) {
  Running server;
  Client client(server.port());
  const std::string task = "0193610F-54C2-7B7E-A1B5-0C2F4E8D9A13";
  server.on_loop([&] { server.store.finish(*TaskId::parse(task), kSeven); });
  EXPECT_EQ(member(client.get("/status/" + task).body, "task_id"), task);
  EXPECT_EQ(member(client.get("/result/" + task).body, "task_id"), task);
}

TEST(Gateway, SendsALargeResultInLinesOf76Characters) {
  Running server;
  Client client(server.port());
  const std::string task = "0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13";
  std::string bytes(5'000'001, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7 >> 3);
  server.on_loop([&] { server.store.finish(*TaskId::parse(task), bytes); });
  const std::string text = member(client.get("/result/" + task).body, "result");
  std::string decoded;
  Base64Decoder decoder;
  std::size_t lines = 0;
  for (std::size_t at = 0; at < text.size(); ++lines) {
    const auto end = text.find("\\n", at);
    ASSERT_NE(end, std::string::npos);
    ASSERT_TRUE(end - at == 76 || end + 2 == text.size());
    ASSERT_TRUE(decoder.feed(std::string_view(text).substr(at, end - at), decoded));
    at = end + 2;
  }
  EXPECT_EQ(lines, (bytes.size() + 56) / 57);
  EXPECT_EQ(decoded, bytes);
}

TEST(Gateway, AnswersEachLineOfTheErrorTable) {
  Running server;
  Client client(server.port());
  const std::string function = registered(client);
  const std::string unknown = "71ed469b-bc52-45d5-89ae-b21aa40760c9";
  const auto expect = [&](const std::string& path, const std::string& body, int status, const std::string& text) {
    const Answer answer = client.post(path, body);
    EXPECT_EQ(answer.status, status) << path << " " << body << " -> " << answer.body;
    EXPECT_THAT(answer.body, StartsWith("{\"detail\":\"")) << path << " " << body;
    EXPECT_THAT(answer.body, HasSubstr(text)) << path << " " << body;
  };
  for (const std::string payload : {"payload", "", "not-valid-base64!!!", "not_a_function", "invalid_params"}) {
    expect("/register_function", function_body(payload), 400, "payload");
    expect("/execute_function", call_body(function, payload), 400, "payload");
  }
  expect("/register_function", function_body("gARLBy4=\\n"), 400, "function");
  expect("/execute_function", call_body(unknown), 404, unknown);
  expect("/execute_function", call_body("not-a-uuid"), 400, "function_id");
  expect("/execute_function", call_body(unknown, "bad!"), 400, "payload");
  expect("/register_function", "", 400, "empty");
  expect("/register_function", "{", 400, "JSON");
  expect("/register_function", "nonsense", 400, "JSON");
  expect("/register_function", "[]", 400, "not a list");
  expect("/register_function", "3", 400, "not a number");
  expect("/register_function", "\"text\"", 400, "not a string");
  expect("/register_function", R"({"name": "add"})", 400, R"(\"payload\" is missing)");
  expect("/register_function", R"({"payload": ")" + kAdd + R"("})", 400, R"(\"name\" is missing)");
  expect("/register_function", R"({"name": 3, "payload": ")" + kAdd + R"("})", 400,
         R"(\"name\" must be a string, not a number)");
  expect("/register_function", R"({"name": "x", "payload": null})", 400, R"(\"payload\" must be a string, not null)");
  expect("/register_function", R"({"name": "x", "payload": ["a"]})", 400,
         R"(\"payload\" must be a string, not a list)");
  expect("/register_function", function_body() + "x", 400, "JSON");
  EXPECT_EQ(client.get("/status/" + unknown).status, 404);
  EXPECT_EQ(client.get("/result/" + unknown).status, 404);
  EXPECT_THAT(client.get("/status/17").body, HasSubstr("task_id is not a UUID"));
  EXPECT_EQ(client.get("/result/17").status, 400);
  EXPECT_EQ(client.get("/nowhere").status, 404);
  const Answer wrong = client.get("/execute_function");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.header("Allow"), "POST, OPTIONS");
  EXPECT_EQ(client.post("/status/" + unknown, "{}").header("Allow"), "GET, HEAD, OPTIONS");
}

TEST(Gateway, IgnoresUnknownFieldsAndAcceptsEveryStyleOfBase64) {
  Running server;
  Client client(server.port());
  const std::string function = registered(client);
  for (const std::string payload : {"gASVCwAAAAAAAABLA0sEhpR9lIaULg==", "gASVCwAAAAAA\\nAABLA0sEhpR9lIaULg==\\n",
                                    "gASVCwAAAAAA\\r\\nAABLA0sEhpR9lIaULg==\\r\\n",
                                    " gASVCwAAAA AAAABLA0sE hpR9lIaULg==", "\\u0067ASVCwAAAAAAAABLA0sEhpR9lIaULg=="})
    EXPECT_EQ(client.post("/execute_function/", call_body(function, payload)).status, 200) << payload;
  EXPECT_EQ(client
                .post("/execute_function", R"({"extra": {"payload": 3, "deep": [[1]]}, "payload": ")" + kArgs +
                                               R"(", "function_id": ")" + function + R"(", "more": null})")
                .status,
            200);
  server.on_loop([&] {
    ASSERT_EQ(server.store.submissions.size(), 6u);
    for (const auto& one : server.store.submissions) EXPECT_EQ(one.args.bytes, server.store.submissions[0].args.bytes);
  });
}

TEST(Gateway, ReportsTheStoresTroubleByTheTable) {
  Running server;
  Client client(server.port());
  const std::string function = registered(client);
  const std::pair<Code, int> table[] = {{Code::StoreError, 500}, {Code::StoreAway, 502},    {Code::DiskFull, 507},
                                        {Code::Full, 429},       {Code::Unavailable, 503},  {Code::Internal, 500},
                                        {Code::StoreFull, 500},  {Code::StoreReadOnly, 500}};
  for (const auto& [code, status] : table) {
    server.on_loop([&, code = code] { server.store.broken = fail(code, "store says so"); });
    for (const Answer& answer :
         {client.post("/execute_function", call_body(function)), client.post("/register_function", function_body()),
          client.get("/status/71ed469b-bc52-45d5-89ae-b21aa40760c9"),
          client.get("/result/71ed469b-bc52-45d5-89ae-b21aa40760c9")}) {
      EXPECT_EQ(answer.status, status);
      EXPECT_EQ(answer.body, R"({"detail":"store says so"})");
      EXPECT_EQ(answer.header("Retry-After"), status == 429 || status == 503 ? "1" : "");
    }
  }
}

TEST(Gateway, ForgetsACachedFunctionThatTheStoreNoLongerHas) {
  Running server;
  Client client(server.port());
  const std::string function = registered(client);
  EXPECT_EQ(client.post("/execute_function", call_body(function)).status, 200);
  server.on_loop([&] { server.store.functions.clear(); });
  EXPECT_EQ(client.post("/execute_function", call_body(function)).status, 404);
}

TEST(Gateway, HonoursIdempotencyKeys) {
  Running server;
  Client client(server.port());
  const std::string function = registered(client);
  const Answer first = client.post("/execute_function", call_body(function), "Idempotency-Key: k1\r\n");
  // The same call in another text is the same body.
  const Answer again = client.post("/execute_function", call_body(function, "gASVCwAAAAAAAABLA0sEhpR9lIaULg=="),
                                   "idempotency-key: k1\r\n");
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.body, first.body);
  EXPECT_EQ(client.post("/execute_function", call_body(function, "gARLBy4="), "Idempotency-Key: k1\r\n").status, 409);
  EXPECT_EQ(client.post("/execute_function", call_body(function), "Idempotency-Key: " + std::string(256, 'k') + "\r\n")
                .status,
            400);
}

TEST(Gateway, HoldsAResultUntilTheTaskEnds) {
  Running server;
  Client client(server.port());
  const std::string task = member(client.post("/execute_function", call_body(registered(client))).body, "task_id");
  client.send("GET /result/" + task + "?wait=30 HTTP/1.1\r\nHost: localhost\r\n\r\n");
  for (std::size_t waits = 0; waits == 0;) server.on_loop([&] { waits = server.store.waits.size(); });
  server.on_loop([&] { server.store.finish(*TaskId::parse(task), kSeven); });
  EXPECT_EQ(client.read().body, R"({"task_id":")" + task + R"(","status":"COMPLETED","result":"gARLBy4=\n"})");
  for (const std::string bad : {"x", "-1", "61", "1e1", "", "nan", "1s"})
    EXPECT_EQ(client.get("/result/" + task + "?wait=" + bad).status, 400) << bad;
  for (const std::string good : {"0", "0.5", "60"})
    EXPECT_EQ(client.get("/result/" + task + "?x=1&wait=" + good).status, 200) << good;
}

TEST(Gateway, AnswersCreatedIfAsked) {
  GatewayConfig config;
  config.created_status = 201;
  Running server(config);
  Client client(server.port());
  const Answer made = client.post("/register_function", function_body());
  EXPECT_EQ(made.status, 201);
  EXPECT_EQ(client.post("/execute_function", call_body(member(made.body, "function_id"))).status, 201);
}

TEST(Gateway, SaysWhatItIs) {
  Running server;
  Client client(server.port());
  EXPECT_THAT(client.get("/", "Accept: */*\r\n").body, HasSubstr("MPCSFaaS"));
  const Answer page = client.get("/", "Accept: text/html,application/xhtml+xml\r\n");
  EXPECT_EQ(page.header("Content-Type"), "text/html; charset=utf-8");
  EXPECT_THAT(page.body, HasSubstr("<title>Treadle</title>"));
  EXPECT_EQ(client.get("/livez").body, R"({"status":"alive"})");
  EXPECT_EQ(client.get("/readyz").body, R"({"status":"ready","mode":"local","store":"fake store","durability":"power",)"
                                        R"("slots":4,"slots_free":3,"workers":0})");
  EXPECT_THAT(client.get("/version").body,
              StartsWith(R"({"name":"treadle","version":"0.1.0","commit":"abc123","mode":"local")"));
  server.on_loop([&] { server.status.now.not_ready = "No worker."; });
  const Answer not_ready = client.get("/readyz");
  EXPECT_EQ(not_ready.status, 503);
  EXPECT_EQ(member(not_ready.body, "detail"), "No worker.");
}

}  // namespace
}  // namespace treadle::gateway

// /v1 over real sockets, on a store in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "gateway/json_pickle.h"
#include "gateway/testing.h"
#include "gateway/time_text.h"

namespace treadle::gateway {
namespace {

using namespace testing;
using ::testing::HasSubstr;
namespace json = boost::json;

const std::string kUnknown = "71ed469b-bc52-45d5-89ae-b21aa40760c9";

json::value parsed(const Answer& answer) { return json::parse(answer.body); }

std::string text(const json::value& object, const char* name) {
  const json::string& value = object.at(name).as_string();
  return {value.data(), value.size()};
}

std::string registered(Client& client, const std::string& options = "{}") {
  const Answer made =
      client.post("/v1/functions", R"({"name": "add", "payload": ")" + kAdd + R"(", "options": )" + options + "}");
  EXPECT_EQ(made.status, 201) << made.body;
  return text(parsed(made), "function_id");
}

std::string call(const std::string& function, const std::string& more = "") {
  return R"({"function_id": ")" + function + "\"" + more + "}";
}

// The answer is a problem with this status and code, and `detail` says so.
void expect_problem(const Answer& answer, int status, const std::string& code, const std::string& words) {
  EXPECT_EQ(answer.status, status) << answer.body;
  EXPECT_EQ(answer.header("Content-Type"), "application/problem+json") << answer.body;
  const json::value problem = parsed(answer);
  EXPECT_EQ(problem.at("status").as_int64(), status);
  EXPECT_EQ(text(problem, "code"), code);
  EXPECT_EQ(text(problem, "type"), "urn:treadle:problem:" + code);
  EXPECT_FALSE(text(problem, "title").empty());
  EXPECT_THAT(text(problem, "detail"), HasSubstr(words));
}

TEST(V1, RegistersWithOptionsAndShowsThem) {
  Running server;
  Client client(server.port());
  const Answer made = client.post("/v1/functions/", R"({"name": "add", "payload": ")" + kAdd +
                                                        R"(", "options": {"delivery": "at_most_once", "max_attempts": 5,
      "time_limit": 1.5, "retries": 2, "retry_delay": 0.25, "priority": -7, "queue": "gpu", "isolation": "fresh"}})");
  ASSERT_EQ(made.status, 201) << made.body;
  const std::string id = text(parsed(made), "function_id");
  EXPECT_EQ(made.header("Location"), "/v1/functions/" + id);
  const std::string options =
      R"({"delivery":"at_most_once","max_attempts":5,"time_limit":1.5,"retries":2,"retry_delay":0.25,"priority":-7,)"
      R"("queue":"gpu","isolation":"fresh"})";
  EXPECT_EQ(json::serialize(parsed(made).at("options")), json::serialize(json::parse(options)));
  EXPECT_EQ(client.get("/v1/functions/" + id).body, made.body);
  server.on_loop([&] {
    const core::Options& kept = server.store.functions.at(*FunctionId::parse(id)).options;
    EXPECT_EQ(kept.delivery, core::Delivery::AtMostOnce);
    EXPECT_EQ(kept.isolation, core::Isolation::Fresh);
    EXPECT_EQ(kept.time_limit_ms, 1500u);
    EXPECT_EQ(kept.retry_delay_ms, 250u);
    EXPECT_EQ(kept.priority, -7);
    EXPECT_EQ(kept.queue, "gpu");
  });
  const Answer plain = client.post("/v1/functions", function_body());
  EXPECT_EQ(json::serialize(parsed(plain).at("options").at("time_limit")), "null");
  EXPECT_EQ(text(parsed(plain).at("options"), "queue"), "default");
}

TEST(V1, ListsFunctionsInPages) {
  Running server;
  Client client(server.port());
  registered(client);
  registered(client);
  const json::value page = parsed(client.get("/v1/functions?limit=1"));
  EXPECT_EQ(page.at("functions").as_array().size(), 1u);
  EXPECT_EQ(text(page.at("functions").at(0), "created"), "1970-01-01T00:00:01.000Z");
  EXPECT_EQ(text(page, "next_cursor"), "c0");
  EXPECT_TRUE(parsed(client.get("/v1/functions")).at("next_cursor").is_null());
}

TEST(V1, OptionsOfACallOverrideThoseOfItsFunction) {
  Running server;
  Client client(server.port());
  const std::string id = registered(client, R"({"time_limit": 2, "retries": 1, "priority": 3})");
  EXPECT_EQ(client
                .post("/v1/tasks", call(id, R"(, "options": {"time_limit": 60, "priority": 9, "queue": "default"},
      "delay": 0.5, "queue_ttl": 10, "group": "g", "payload": ")" +
                                                kArgs + "\""))
                .status,
            201);
  EXPECT_EQ(client.post("/v1/tasks", call(id, R"(, "options": {"time_limit": 1}, "args": [3, 4])")).status, 201);
  server.on_loop([&] {
    ASSERT_EQ(server.store.submissions.size(), 2u);
    const store::Submission& first = server.store.submissions[0];
    EXPECT_EQ(first.options.time_limit_ms, 2000u) << "a limit can only be made shorter";
    EXPECT_EQ(first.options.retries, 1);
    EXPECT_EQ(first.options.priority, 9);
    EXPECT_EQ(first.delay_ms, 500);
    EXPECT_EQ(first.queue_ttl_ms, 10'000);
    EXPECT_EQ(first.group, "g");
    EXPECT_EQ(server.store.submissions[1].options.time_limit_ms, 1000u);
  });
}

TEST(V1, ADeadlineIsANumberOfSecondsOrAnInstant) {
  Running server;
  Client client(server.port());
  const std::string id = registered(client, "{}");
  const auto with = [&](const std::string& fields) { return client.post("/v1/tasks", call(id, ", " + fields)); };
  EXPECT_EQ(with(R"("expires_in": 1.5)").status, 201);
  EXPECT_EQ(with(R"("deadline": "2000-01-01T00:00:00Z")").status, 201) << "over already: it ends Expired";
  EXPECT_EQ(with(R"("deadline": "2999-01-01T00:00:00+02:00", "queue_ttl": 3)").status, 201);
  server.on_loop([&] {
    ASSERT_EQ(server.store.submissions.size(), 3u);
    EXPECT_EQ(store::wait_limit_ms(server.store.submissions[0]), 1500);
    EXPECT_EQ(store::wait_limit_ms(server.store.submissions[1]), -1);
    EXPECT_EQ(store::wait_limit_ms(server.store.submissions[2]), 3000) << "the first that is over counts";
  });
  expect_problem(with(R"("expires_in": 1, "deadline": "2999-01-01T00:00:00Z")"), 400, "invalid-request", "excludes");
  expect_problem(with(R"("expires_in": 0)"), 400, "invalid-request", "over 0, up to 31536000, not 0");
  for (const char* wrong : {"tomorrow", "2026-02-30T00:00:00Z", "2026-11-25T18:07:46", "2026-11-25 25:00:00Z",
                            "2026-11-25T18:07:46.Z", "2026-11-25T18:07:46Z and more"}) {
    expect_problem(with(R"("deadline": ")" + std::string(wrong) + "\""), 400, "invalid-request", "RFC 3339");
  }
}

TEST(V1, LimitsCanOnlyBeLoweredAndOnlyThoseThatAreSetAreShown) {
  Running server;
  Client client(server.port());
  const std::string id = registered(client, R"({"memory_limit": 2097152, "cpu_limit": 1.5, "output_limit": 1000})");
  EXPECT_EQ(
      client
          .post("/v1/tasks", call(id, R"(, "options": {"memory_limit": 4194304, "cpu_limit": 0.5, "file_limit": 64,
      "process_limit": 3, "result_limit": 99})"))
          .status,
      201);
  const json::value shown = parsed(client.get("/v1/functions/" + id)).at("options");
  EXPECT_EQ(shown.at("memory_limit").as_int64(), 2097152);
  EXPECT_EQ(shown.at("cpu_limit").as_double(), 1.5);
  EXPECT_EQ(shown.as_object().if_contains("process_limit"), nullptr);
  server.on_loop([&] {
    const core::Options& kept = server.store.submissions.at(0).options;
    EXPECT_EQ(kept.memory_limit, 2097152u);
    EXPECT_EQ(kept.more, R"({"cpu_ms":500,"output_bytes":1000,"result_bytes":99,"open_files":64,"processes":3})");
  });
  expect_problem(client.post("/v1/tasks", call(id, R"(, "options": {"file_limit": 15})")), 400, "invalid-request",
                 "file_limit");
}

TEST(V1, SubmitsAndNamesTheTask) {
  Running server;
  Client client(server.port());
  const std::string id = registered(client);
  const Answer made = client.post("/v1/tasks", call(id));
  ASSERT_EQ(made.status, 201) << made.body;
  const std::string task = text(parsed(made), "task_id");
  EXPECT_EQ(made.header("Location"), "/v1/tasks/" + task);
  EXPECT_EQ(made.header("Idempotency-Replayed"), "");
  EXPECT_EQ(text(parsed(made), "status"), "QUEUED");
  EXPECT_EQ(text(parsed(made), "function_id"), id);
}

TEST(V1, ReplaysAKeyedCallAndRefusesAnother) {
  Running server;
  Client client(server.port());
  const std::string id = registered(client);
  const std::string key = "Idempotency-Key: k1\r\n";
  const Answer first = client.post("/v1/tasks", call(id, R"(, "args": [1])"), key);
  const std::string task = text(parsed(first), "task_id");
  server.on_loop([&] { server.store.finish(*TaskId::parse(task), kSeven); });
  const Answer again = client.post("/v1/tasks", call(id, R"( , "options": {}, "args" : [ 1 ])"), key);
  EXPECT_EQ(again.status, 201);
  EXPECT_EQ(again.header("Idempotency-Replayed"), "true");
  EXPECT_EQ(text(parsed(again), "task_id"), task);
  EXPECT_EQ(text(parsed(again), "status"), "COMPLETED");
  for (const std::string other : {R"(, "args": [2])", R"(, "args": [1], "options": {"priority": 1})",
                                  R"(, "args": [1], "delay": 1)", R"(, "args": [1], "group": "g")"})
    expect_problem(client.post("/v1/tasks", call(id, other), key), 409, "conflict", "Idempotency-Key");
  EXPECT_EQ(client.post("/v1/tasks", call(id, R"(, "args": [2])"), "Idempotency-Key: k2\r\n").status, 201);
}

TEST(V1, RefusesWhatIsMalformedAndNamesIt) {
  Running server;
  Client client(server.port());
  const std::string id = registered(client);
  const auto expect = [&](const std::string& more, const std::string& words) {
    expect_problem(client.post("/v1/tasks", call(id, more)), 400, "invalid-request", words);
  };
  expect(R"(, "optons": {})", R"(There is no field "optons"; did you mean "options"?)");
  expect(R"(, "zebra": 1)", R"(There is no field "zebra"; there are: function_id, payload)");
  expect(R"(, "options": {"max_attemps": 1})", R"("options.max_attemps"; did you mean "max_attempts"?)");
  expect(R"(, "options": {"delivery": "once"})",
         R"("options.delivery" must be "at_least_once" or "at_most_once", not "once")");
  expect(R"(, "options": {"max_attempts": 0})", "integer from 1 to 1000, not 0");
  expect(R"(, "options": {"retries": 1.5})", "integer from 0 to 1000, not 1.5");
  expect(R"(, "options": {"time_limit": 0})", "over 0, up to 2592000, not 0");
  expect(R"(, "options": {"time_limit": "1s"})", "not \"1s\"");
  expect(R"(, "options": {"priority": 1001})", "integer from -1000 to 1000");
  expect(R"(, "options": {"queue": "a b"})", "letters, digits");
  expect(R"(, "options": [])", R"("options" must be an object, not a list)");
  expect(R"(, "delay": -1)", "seconds from 0 to 31536000");
  expect(R"(, "group": "")", "string of 1 to 128 bytes");
  expect(R"(, "args": {})", R"("args" must be a list, not an object)");
  expect(R"(, "kwargs": [1])", R"("kwargs" must be an object, not a list)");
  expect(R"(, "args": [], "payload": ")" + kArgs + "\"", "not both");
  expect(R"(, "payload": "bad!")", "payload is not base64");
  expect_problem(client.post("/v1/tasks", "{}"), 400, "invalid-request", R"("function_id" is missing)");
  expect_problem(client.post("/v1/tasks", call("7")), 400, "invalid-request", "must be a UUID");
  expect_problem(client.post("/v1/tasks", ""), 400, "invalid-request", "empty");
  expect_problem(client.post("/v1/tasks", "[]"), 400, "invalid-request", "not a list");
  expect_problem(client.post("/v1/functions", R"({"name": "x"})"), 400, "invalid-request", R"("payload" is missing)");
  expect_problem(client.post("/v1/functions", R"({"name": 3, "payload": ")" + kAdd + "\"}"), 400, "invalid-request",
                 R"("name" must be a string)");
  expect_problem(client.post("/v1/functions", function_body("gARLBy4=\\n")), 400, "invalid-request", "not a function");
  expect_problem(client.get("/v1/tasks/7"), 400, "invalid-request", "task_id is not a UUID");
  expect_problem(client.get("/v1/tasks?status=FAILED"), 400, "invalid-request", "did you mean \"state\"");
  expect_problem(client.get("/v1/tasks?state=failed"), 400, "invalid-request", "QUEUED, RUNNING, COMPLETED, FAILED");
  expect_problem(client.get("/v1/tasks?limit=0"), 400, "invalid-request", "from 1 to 1000");
  expect_problem(client.get("/v1/tasks/" + kUnknown + "?wait=61"), 400, "invalid-request", "0 to 60");
  server.on_loop([&] { EXPECT_TRUE(server.store.submissions.empty()); });
}

TEST(V1, AnswersProblemsForEverythingUnderIt) {
  Running server;
  Client client(server.port());
  const std::string id = registered(client);
  expect_problem(client.post("/v1/tasks", call(kUnknown)), 404, "not-found", kUnknown);
  expect_problem(client.get("/v1/tasks/" + kUnknown), 404, "not-found", kUnknown);
  expect_problem(client.get("/v1/functions/" + kUnknown), 404, "not-found", kUnknown);
  expect_problem(client.remove("/v1/tasks/" + kUnknown), 404, "not-found", kUnknown);
  expect_problem(client.get("/v1/nowhere"), 404, "not-found", "/v1/nowhere");
  const Answer wrong = client.remove("/v1/tasks");
  expect_problem(wrong, 405, "method-not-allowed", "POST, GET");
  EXPECT_EQ(wrong.header("Allow"), "POST, GET, HEAD, OPTIONS");
  const std::tuple<Code, int, std::string, std::string> table[] = {
      {Code::StoreError, 500, "store-error", ""},   {Code::StoreAway, 503, "store-away", "2"},
      {Code::DiskFull, 507, "disk-full", ""},       {Code::Full, 429, "limit-reached", "1"},
      {Code::Unavailable, 503, "unavailable", "1"}, {Code::Internal, 500, "internal-error", ""}};
  for (const auto& [code, status, name, retry_after] : table) {
    server.on_loop([&, code = code] { server.store.broken = fail(code, "store says so"); });
    for (const Answer& answer :
         {client.post("/v1/tasks", call(id)), client.post("/v1/functions", function_body()),
          client.post("/v1/tasks:batch", R"({"tasks": [)" + call(id) + "]}"), client.get("/v1/tasks/" + kUnknown),
          client.get("/v1/tasks"), client.get("/v1/functions"), client.get("/v1/functions/" + kUnknown),
          client.remove("/v1/tasks/" + kUnknown), client.get("/v1/workers")}) {
      expect_problem(answer, status, name, "store says so");
      EXPECT_EQ(answer.header("Retry-After"), retry_after);
    }
  }
  // The root routes keep their form.
  EXPECT_EQ(client.get("/status/" + kUnknown).body, R"({"detail":"store says so"})");
}

}  // namespace
}  // namespace treadle::gateway

// /v1 over real sockets, on a store in memory: functions by name and deleted, results and arguments as raw bytes,
// figures.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "gateway/testing.h"

namespace treadle::gateway {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace json = boost::json;

const std::string kArguments("\x80\x04]\x94K\x01\x61}\x94\x86\x94.", 12);  // ([1], {}): a pair whose first is a list

std::string text(const json::value& object, const char* name) {
  const json::string& value = object.at(name).as_string();
  return {value.data(), value.size()};
}

class More : public ::testing::Test {
 protected:
  std::string registered(const std::string& name) {
    const Answer made = client_.post("/v1/functions", function_body(kAdd, name));
    EXPECT_EQ(made.status, 201) << made.body;
    return text(json::parse(made.body), "function_id");
  }
  std::vector<std::string> ids(const std::string& path) {
    const Answer answer = client_.get(path);
    EXPECT_EQ(answer.status, 200) << answer.body;
    std::vector<std::string> found;
    const json::value page = json::parse(answer.body);
    for (const auto& one : page.at("functions").as_array()) found.push_back(text(one, "function_id"));
    return found;
  }
  std::string code(const Answer& answer, int status) {
    EXPECT_EQ(answer.status, status) << answer.body;
    return text(json::parse(answer.body), "code");
  }
  std::string submitted() {
    const Answer answer = client_.post("/v1/tasks", R"({"function_id": ")" + registered("f") + "\"}");
    EXPECT_EQ(answer.status, 201) << answer.body;
    return text(json::parse(answer.body), "task_id");
  }
  void finish(const std::string& task, const std::string& pickle) {
    server_.on_loop([&] { server_.store.finish(*TaskId::parse(task), pickle); });
  }
  std::size_t submissions() {
    std::size_t count = 0;
    server_.on_loop([&] { count = server_.store.submissions.size(); });
    return count;
  }

  Running server_;
  Client client_{server_.port()};
};

TEST_F(More, FunctionsAreListedByName) {
  const std::string first = registered("add"), other = registered("other"), second = registered("add");
  EXPECT_THAT(ids("/v1/functions?name=add"), ElementsAre(second, first));
  EXPECT_THAT(ids("/v1/functions/add/versions"), ElementsAre(second, first));
  EXPECT_THAT(ids("/v1/functions/add/versions?limit=1"), ElementsAre(second));
  EXPECT_THAT(ids("/v1/functions"), ElementsAre(first, other, second));
  EXPECT_THAT(ids("/v1/functions?name=nobody"), ElementsAre());
  EXPECT_EQ(code(client_.get("/v1/functions/nobody/versions"), 404), "not-found");
  EXPECT_THAT(client_.get("/v1/functions?name=").body, HasSubstr("name is empty"));
}

TEST_F(More, ADeletedFunctionTakesNoCalls) {
  const std::string first = registered("add"), second = registered("add");
  EXPECT_EQ(client_.post("/v1/tasks", R"({"function_id": ")" + second + "\"}").status, 201) << "it is cached now";
  const Answer gone = client_.remove("/v1/functions/" + second);
  EXPECT_EQ(gone.status, 204);
  EXPECT_EQ(gone.body, "");
  EXPECT_EQ(code(client_.post("/v1/tasks", R"({"function_id": ")" + second + "\"}"), 404), "not-found");
  EXPECT_EQ(code(client_.get("/v1/functions/" + second), 404), "not-found");
  EXPECT_EQ(code(client_.remove("/v1/functions/" + second), 404), "not-found");
  EXPECT_EQ(code(client_.remove("/v1/functions/add"), 400), "invalid-request");
  EXPECT_THAT(ids("/v1/functions?name=add"), ElementsAre(first));
}

TEST_F(More, AResultIsBytesThatMayBeKept) {
  const std::string task = submitted(), path = "/v1/tasks/" + task + "/result";
  const Answer early = client_.get(path);
  EXPECT_EQ(early.status, 202) << early.body;
  EXPECT_EQ(early.header("Location"), "/v1/tasks/" + task);
  EXPECT_EQ(early.header("ETag"), "");
  finish(task, kSeven);
  const Answer bytes = client_.get(path);
  EXPECT_EQ(bytes.status, 200);
  EXPECT_EQ(bytes.header("Content-Type"), "application/octet-stream");
  EXPECT_EQ(bytes.body, kSeven);
  EXPECT_EQ(bytes.header("Treadle-Status"), "COMPLETED");
  EXPECT_EQ(bytes.header("ETag"), '"' + task + '"');
  EXPECT_EQ(bytes.header("Cache-Control"), "private, max-age=31536000, immutable");
  EXPECT_EQ(bytes.header("Vary"), "Accept");
  const Answer known = client_.get(path, "If-None-Match: " + bytes.header("ETag") + "\r\n");
  EXPECT_EQ(known.status, 304);
  EXPECT_EQ(known.body, "");

  const Answer as_json = client_.get(path, "Accept: application/json\r\n");
  EXPECT_EQ(as_json.status, 200) << as_json.body;
  EXPECT_EQ(json::parse(as_json.body).at("result"), json::value(7));
  EXPECT_NE(as_json.header("ETag"), bytes.header("ETag")) << "other bytes, other tag";
  EXPECT_EQ(client_.get(path, "Accept: application/json\r\nIf-None-Match: " + bytes.header("ETag") + "\r\n").status,
            200);

  server_.on_loop([&] { server_.store.tasks[*TaskId::parse(task)].state = core::TaskState::Failed; });
  EXPECT_EQ(client_.get(path).header("Treadle-Status"), "FAILED");
  const Answer failed = client_.get(path, "Accept: application/json\r\n");
  EXPECT_EQ(failed.status, 422);
  EXPECT_EQ(failed.header("ETag"), "");
  EXPECT_EQ(client_.get("/v1/tasks/71ed469b-bc52-45d5-89ae-b21aa40760c9/result").status, 404);
  EXPECT_EQ(client_.get("/v1/tasks/x/result").status, 400);
}

TEST_F(More, ArgumentsMayBeTheBodyItself) {
  const std::string id = registered("add");
  const std::string bytes = "Content-Type: application/octet-stream; x=y\r\n";
  const Answer made = client_.post(
      "/v1/tasks?function_id=" + id + "&group=g%20h&delay=1.5&options=%7B%22priority%22%3A7%7D", kArguments, bytes);
  ASSERT_EQ(made.status, 201) << made.body;
  server_.on_loop([&] {
    const store::Submission& one = server_.store.submissions.back();
    EXPECT_EQ(one.args.bytes.view(), kArguments);
    EXPECT_EQ(one.group, "g h");
    EXPECT_EQ(one.delay_ms, 1500);
    EXPECT_EQ(one.options.priority, 7);
  });
  // The digest of a keyed call is that of the same arguments in base64.
  const std::string key = "Idempotency-Key: k\r\n";
  EXPECT_EQ(
      client_
          .post("/v1/tasks?function_id=" + id, std::string("\x80\x04K\x03K\x04\x86\x94}\x94\x86\x94.", 13), bytes + key)
          .status,
      201);
  const std::size_t before = submissions();
  for (const auto& [query, body, words] :
       {std::tuple("", kArguments, "function_id"), std::tuple("?function_id=x", kArguments, "UUID"),
        std::tuple("?delay=soon", kArguments, "delay must be a number"),
        std::tuple("?optoins=1", kArguments, "did you mean"),
        std::tuple("?options=%7B", kArguments, "options must be a JSON object"),
        std::tuple("?group=g", std::string("hello"), "pickle"), std::tuple("?group=g", std::string(), "empty")}) {
    const Answer bad = client_.post("/v1/tasks" + std::string(query), body, bytes);
    EXPECT_EQ(bad.status, 400) << bad.body;
    EXPECT_THAT(bad.body, HasSubstr(words));
  }
  EXPECT_EQ(submissions(), before);
  EXPECT_EQ(client_.post("/v1/functions", kArguments, bytes).status, 400) << "a route that takes no raw bodies";
}

TEST_F(More, StatsTellOfTheWholeService) {
  store::WorkerReport ready, lost;
  ready.state = "ready";
  ready.info.slots = 4;
  ready.free_slots = 1;
  lost.state = "lost";
  lost.info.slots = 8;
  server_.on_loop([&] {
    server_.store.reports = {ready, ready, lost};
    server_.store.figures.queued = 12;
    server_.store.figures.delayed = 2;
    server_.store.figures.running = 6;
    server_.store.figures.submitted = 100;
    server_.store.figures.queued_bytes = 4711;
  });
  const Answer answer = client_.get("/v1/stats");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(
      answer.body,
      R"({"tasks":{"queued":12,"claimed":0,"running":6,"delayed":2},)"
      R"("ever":{"submitted":100,"completed":0,"failed":0,"requeued":0},"queue":{"length":10,"bytes":4711,"oldest_seconds":null},)"
      R"("slots":{"total":8,"free":2},"workers":{"ready":2,"draining":0,"lost":1},"requests_waiting":0})");
  server_.on_loop([&] { server_.store.broken = fail(Code::StoreAway, "away"); });
  EXPECT_EQ(code(client_.get("/v1/stats"), 503), "store-away");
}

}  // namespace
}  // namespace treadle::gateway

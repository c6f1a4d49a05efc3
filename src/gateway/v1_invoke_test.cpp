// /v1/functions/{name_or_id}/invoke over real sockets, on a store in memory: JSON in, JSON out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "gateway/testing.h"

namespace treadle::gateway {
namespace {

using namespace testing;
using ::testing::HasSubstr;
namespace json = boost::json;

std::string text(const json::value& object, const char* name) {
  const json::string& value = object.at(name).as_string();
  return {value.data(), value.size()};
}

std::string registered(Client& client, const std::string& name) {
  const Answer made = client.post("/v1/functions", function_body(kAdd, name));
  EXPECT_EQ(made.status, 201) << made.body;
  return text(json::parse(made.body), "function_id");
}

// A server, and a client whose request waits for the task that it made.
class Invoke : public ::testing::Test {
 protected:
  void begin(const std::string& path, const std::string& body = "{}", const std::string& headers = "") {
    client_.send(post_text(path, body, headers));
    while (!waits()) server_.settle();
  }
  bool waits() {
    bool any = false;
    server_.on_loop([&] { any = !server_.store.waits.empty(); });
    return any;
  }
  TaskId task() {
    TaskId id;
    server_.on_loop([&] { id = server_.store.submissions.back().id; });
    return id;
  }
  void finish(const std::string& pickle) {
    const TaskId id = task();
    server_.on_loop([&] { server_.store.finish(id, pickle); });
  }

  Running server_;
  Client client_{server_.port()};
};

TEST_F(Invoke, AnswersTheResultAsJson) {
  const std::string id = registered(client_, "add");
  for (const std::string& name : {std::string("add"), id}) {
    begin("/v1/functions/" + name + "/invoke", R"({"args": [3, 4], "kwargs": {"x": null}})");
    finish(kSeven);
    const Answer answer = client_.read();
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(answer.header("Content-Type"), "application/json");
    const json::value body = json::parse(answer.body);
    EXPECT_EQ(body.at("result"), json::value(7));
    EXPECT_EQ(text(body, "task_id"), to_string(task()));
    EXPECT_EQ(text(body, "function_id"), id);
    EXPECT_EQ(text(body, "status"), "COMPLETED");
  }
}

TEST_F(Invoke, ANameIsItsNewestRegistration) {
  registered(client_, "add");
  const std::string newest = registered(client_, "add");
  registered(client_, "other");
  const Answer answer = client_.post("/v1/functions/add/invoke?wait=0", "{}");
  EXPECT_EQ(answer.status, 202) << answer.body;
  EXPECT_EQ(text(json::parse(answer.body), "function_id"), newest);
  const Answer unknown = client_.post("/v1/functions/nobody/invoke", "{}");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_THAT(unknown.body, HasSubstr(R"(no function called \"nobody\")"));
  const Answer no_id = client_.post("/v1/functions/71ed469b-bc52-45d5-89ae-b21aa40760c9/invoke", "{}");
  EXPECT_EQ(no_id.status, 404);
  EXPECT_EQ(text(json::parse(no_id.body), "code"), "not-found");
}

TEST_F(Invoke, WhoDoesNotWaitIsToldWhereTheTaskIs) {
  registered(client_, "add");
  for (const auto& [query, prefer, applied] :
       {std::tuple("?wait=0", "", ""), std::tuple("", "Prefer: respond-async\r\n", "respond-async"),
        std::tuple("?wait=0", "Prefer: wait=50\r\n", "")}) {
    const Answer answer = client_.post(std::string("/v1/functions/add/invoke") + query, "{}", prefer);
    EXPECT_EQ(answer.status, 202) << answer.body;
    EXPECT_EQ(answer.header("Location"), "/v1/tasks/" + to_string(task()));
    EXPECT_EQ(answer.header("Retry-After"), "1");
    EXPECT_EQ(answer.header("Preference-Applied"), applied);
    EXPECT_EQ(text(json::parse(answer.body), "status"), "QUEUED");
  }
  EXPECT_EQ(client_.post("/v1/functions/add/invoke?wait=61", "{}").status, 400);
  EXPECT_EQ(client_.post("/v1/functions/add/invoke?wiat=1", "{}").status, 400);
}

TEST_F(Invoke, APreferenceIsAppliedAsFarAsItMayBe) {
  registered(client_, "add");
  begin("/v1/functions/add/invoke", "{}", "Prefer: handling=lenient, wait=\"600\"\r\n");
  finish(kSeven);
  const Answer answer = client_.read();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("Preference-Applied"), "wait=60");
}

TEST_F(Invoke, AFailureIsAProblemWithItsTraceback) {
  registered(client_, "add");
  begin("/v1/functions/add/invoke");
  const TaskId id = task();
  server_.on_loop([&] {
    store::TaskStory& story = server_.store.stories[id];
    story.error_type = "ValueError";
    story.error_message = "no luck";
    story.traceback = "Traceback ...\n";
    server_.store.finish(id, kSeven);
  });
  EXPECT_EQ(client_.read().status, 200);
  server_.on_loop([&] {
    server_.store.tasks[id].state = core::TaskState::Failed;
    server_.store.tasks[id].error_kind = core::ErrorKind::FunctionFailed;
  });
  const std::string key = "Idempotency-Key: k\r\n";
  EXPECT_EQ(client_.post("/v1/functions/add/invoke?wait=0", "{}", key).status, 202);
  const TaskId keyed = task();
  server_.on_loop([&] {
    server_.store.stories[keyed] = server_.store.stories[id];
    server_.store.tasks[keyed].state = core::TaskState::Failed;
    server_.store.tasks[keyed].error_kind = core::ErrorKind::FunctionFailed;
  });
  const Answer answer = client_.post("/v1/functions/add/invoke", "{}", key);
  EXPECT_EQ(answer.status, 422) << answer.body;
  EXPECT_EQ(answer.header("Content-Type"), "application/problem+json");
  EXPECT_EQ(answer.header("Idempotency-Replayed"), "true");
  const json::value problem = json::parse(answer.body);
  EXPECT_EQ(text(problem, "code"), "function-failed");
  EXPECT_EQ(text(problem, "detail"), "ValueError: no luck");
  EXPECT_EQ(text(problem, "task_id"), to_string(keyed));
  EXPECT_EQ(text(problem.at("error"), "type"), "ValueError");
  EXPECT_EQ(text(problem.at("error"), "message"), "no luck");
  EXPECT_EQ(text(problem.at("error"), "traceback"), "Traceback ...\n");
}

TEST_F(Invoke, WhatJsonCannotCarryIsAProblemWithALink) {
  registered(client_, "add");
  begin("/v1/functions/add/invoke");
  finish(std::string("\x80\x04]C\x01xa.", 8));  // [b"x"]
  const Answer answer = client_.read();
  EXPECT_EQ(answer.status, 406) << answer.body;
  const json::value problem = json::parse(answer.body);
  EXPECT_EQ(text(problem, "code"), "result-not-json");
  EXPECT_THAT(text(problem, "detail"), HasSubstr("result[0] is bytes"));
  const std::string url = "/v1/tasks/" + to_string(task()) + "/result";
  EXPECT_EQ(text(problem, "result_url"), url);
  EXPECT_THAT(answer.header("Link"), HasSubstr("<" + url + ">; rel=\"alternate\""));
}

TEST_F(Invoke, BadArgumentsAreToldBeforeAnythingRuns) {
  registered(client_, "add");
  EXPECT_THAT(client_.post("/v1/functions/add/invoke", R"({"args": 3})").body, HasSubstr("args"));
  EXPECT_THAT(client_.post("/v1/functions/add/invoke", R"({"function_id": "x"})").body, HasSubstr("function_id"));
  EXPECT_EQ(client_.post("/v1/functions/add/invoke", "[").status, 400);
  EXPECT_EQ(client_.get("/v1/functions/add/invoke").status, 405);
  server_.on_loop([&] { EXPECT_TRUE(server_.store.submissions.empty()); });
}

TEST_F(Invoke, AStopAnswersThoseWhoWait) {
  registered(client_, "add");
  begin("/v1/functions/add/invoke");
  server_.on_loop([&] { server_.gateway->begin_drain(); });
  EXPECT_EQ(client_.read().status, 202);
}

}  // namespace
}  // namespace treadle::gateway

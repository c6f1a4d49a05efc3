// What /v1 tells of tasks and workers, cancelling, and batches; and the helpers that they stand on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "gateway/json_pickle.h"
#include "gateway/story_json.h"
#include "gateway/testing.h"
#include "gateway/time_text.h"

namespace treadle::gateway {
namespace {

using namespace testing;
using ::testing::HasSubstr;
namespace json = boost::json;

const std::string kTask = "0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13";
const std::string kUnknown = "71ed469b-bc52-45d5-89ae-b21aa40760c9";

json::value parsed(const Answer& answer) { return json::parse(answer.body); }

std::string text(const json::value& object, const char* name) {
  const json::string& value = object.at(name).as_string();
  return {value.data(), value.size()};
}

std::string registered(Client& client) {
  return text(parsed(client.post("/v1/functions", function_body())), "function_id");
}

json::value story_text(const store::TaskStory& story, WallMs now, const store::LiveView& live = {}) {
  JsonWriter writer;
  writer.begin_object();
  write_story(writer, story, live, now);
  return json::parse(writer.end_object().take());
}

store::TaskStory failed_story() {
  store::TaskStory story;
  story.view.id = *TaskId::parse(kTask);
  story.view.state = core::TaskState::Failed;
  story.view.error_kind = core::ErrorKind::FunctionFailed;
  story.view.attempt = 2;
  story.losses = 1;
  story.kills = 1;
  story.worker = "w";
  story.last_error = "WorkerLost";
  story.error_type = "ValueError";
  story.error_message = "no \"5\"";
  story.traceback = "Traceback";
  story.output = "last\nwords";
  story.accepted = {1'000'000};
  story.claimed = {1'000'250};
  story.finished = {1'003'000};
  story.measures.started_ns = 5'000'000'000;
  story.measures.finished_ns = 7'500'000'000;
  story.measures.signal = 9;
  story.group = "g";
  return story;
}

TEST(Story, TellsAllOfATaskAndItsSegmentsAddUp) {
  const json::value told = story_text(failed_story(), {9'999'999});
  EXPECT_EQ(json::serialize(told.at("error")),
            R"({"kind":"FunctionFailed","type":"ValueError","message":"no \"5\"","traceback":"Traceback",)"
            R"("ended_by":"user_code"})");
  EXPECT_EQ(
      json::serialize(told.at("timeline")),
      R"({"accepted":"1970-01-01T00:16:40.000Z","not_before":null,"expires":null,"claimed":"1970-01-01T00:16:40.250Z",)"
      R"("started":"1970-01-01T00:16:40.500Z","finished":"1970-01-01T00:16:43.000Z"})");
  EXPECT_EQ(json::serialize(told.at("durations")), R"({"waiting":2.5E-1,"starting":2.5E-1,"running":2.5E0,"total":3})");
  EXPECT_EQ(json::serialize(told.at("measures")), R"({"run_seconds":2.5E0,"signal":9,"signal_name":"SIGKILL"})");
  EXPECT_EQ(text(told, "status"), "FAILED");
  EXPECT_EQ(text(told, "output"), "last\nwords");
  EXPECT_EQ(text(told, "last_error"), "WorkerLost");
  EXPECT_EQ(text(told, "worker"), "w");
  EXPECT_EQ(text(told, "group"), "g");
  EXPECT_EQ(told.at("losses").as_int64(), 1);
}

TEST(Story, OfATaskThatGoesOnEndsNow) {
  store::TaskStory story = failed_story();
  story.view.state = core::TaskState::Claimed;
  story.view.error_kind = core::ErrorKind::None;
  story.measures = {};
  story.finished = {};
  json::value told = story_text(story, {1'002'000});
  EXPECT_EQ(text(told, "status"), "QUEUED");
  EXPECT_TRUE(told.at("error").is_null());
  EXPECT_TRUE(told.at("timeline").at("started").is_null());
  EXPECT_EQ(json::serialize(told.at("durations")), R"({"waiting":2.5E-1,"starting":1.75E0,"running":0,"total":2})");
  // The wall clock was set back meanwhile: no segment is below zero.
  told = story_text(story, {900'000});
  EXPECT_EQ(json::serialize(told.at("durations")), R"({"waiting":0,"starting":0,"running":0,"total":0})");
  story.claimed = {};
  told = story_text(story, {1'002'000});
  EXPECT_EQ(json::serialize(told.at("durations")), R"({"waiting":2,"starting":0,"running":0,"total":2})");
}

TEST(TimeText, IsRfc3339InUtc) {
  EXPECT_EQ(rfc3339({0}), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(rfc3339({1'795'631'866'007}), "2026-11-25T18:37:46.007Z");
  EXPECT_EQ(parse_rfc3339("2026-11-25T18:37:46.0079Z"), WallMs{1'795'631'866'007});
  EXPECT_EQ(parse_rfc3339("2026-11-25t19:37:46.007+01:00"), WallMs{1'795'631'866'007});
  EXPECT_EQ(parse_rfc3339("2026-11-25T15:07:46-03:30"), WallMs{1'795'631'866'000});
  EXPECT_EQ(parse_rfc3339("1970-01-01T00:00:00Z"), WallMs{0});
}

TEST(TimeText, ReadsWhatItWrites) {
  for (const std::int64_t ms : {0ll, 1'795'630'066'123ll, 951'782'400'000ll})
    EXPECT_EQ(parse_rfc3339(rfc3339(WallMs{ms}))->ms, ms);
  EXPECT_EQ(parse_rfc3339("2026-11-25T18:07:46.123456Z")->ms % 1000, 123);
  EXPECT_EQ(parse_rfc3339("2026-11-25T00:30:00+01:00")->ms, parse_rfc3339("2026-11-24T23:30:00Z")->ms);
  EXPECT_EQ(parse_rfc3339("2026-11-25T00:30:00-00:30")->ms, parse_rfc3339("2026-11-25T01:00:00Z")->ms);
  for (const char* text :
       {"", "2026-11-25", "2026-11-25T18:07:46", "2026-13-25T18:07:46Z", "2026-11-25T24:07:46Z",
        "2026-11-25T18:07:46.Z", "2026-11-25T18:07:46Zx", "2026-02-29T18:07:46Z", "+026-11-25T18:07:46Z"})
    EXPECT_FALSE(parse_rfc3339(text)) << text;
}

TEST(JsonPickle, WritesWhatPythonReads) {
  const json::value args =
      json::parse(R"([1, -1, 4294967296, 18446744073709551615, 2.5, "a", true, null, [2], {"k": 3}])");
  const json::value kwargs = json::parse(R"({"x": false})");
  const auto pickle = pickle_arguments(&args.as_array(), &kwargs.as_object());
  ASSERT_TRUE(pickle) << pickle.error().message;
  using namespace std::string_literals;
  EXPECT_EQ(pickle->bytes.view(),
            "\x80\x04(J\x01\0\0\0J\xff\xff\xff\xff\x8a\x08\0\0\0\0\x01\0\0\0"
            "\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\0G\x40\x04\0\0\0\0\0\0\x8c\x01"
            "a\x88N](J\x02\0\0\0e}(\x8c\x01kJ\x03\0\0\0ut}(\x8c\x01x\x89u\x86."s);
  EXPECT_EQ(pickle_arguments(nullptr, nullptr)->bytes.view(), "\x80\x04(t}(u\x86."s);
}

TEST(V1Tasks, ShowATaskWithItsResultIfAsked) {
  Running server;
  Client client(server.port());
  server.on_loop([&] {
    server.store.finish(*TaskId::parse(kTask), kSeven);
    server.store.stories[*TaskId::parse(kTask)].output = "hello";
  });
  const json::value told = parsed(client.get("/v1/tasks/" + kTask));
  EXPECT_EQ(text(told, "task_id"), kTask);
  EXPECT_EQ(text(told, "status"), "COMPLETED");
  EXPECT_EQ(text(told, "output"), "hello");
  EXPECT_EQ(told.at("result_bytes").as_int64(), 5);
  EXPECT_EQ(told.as_object().if_contains("result"), nullptr);
  const json::value whole = parsed(client.get("/v1/tasks/" + kTask + "/?result=1&wait=5"));
  EXPECT_EQ(text(whole, "result"), "gARLBy4=\n");
  EXPECT_EQ(text(whole, "output"), "hello");
}

TEST(V1Tasks, HoldTheAnswerUntilTheTaskEnds) {
  Running server;
  Client client(server.port());
  const std::string id = registered(client);
  const std::string task = text(parsed(client.post("/v1/tasks", R"({"function_id": ")" + id + "\"}")), "task_id");
  EXPECT_EQ(parsed(client.get("/v1/tasks/" + task + "?result=1")).as_object().if_contains("result"), nullptr);
  client.send("GET /v1/tasks/" + task + "?wait=30&result=1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
  for (std::size_t waits = 0; waits == 0;) server.on_loop([&] { waits = server.store.waits.size(); });
  server.on_loop([&] { server.store.finish(*TaskId::parse(task), kSeven); });
  const json::value told = parsed(client.read());
  EXPECT_EQ(text(told, "status"), "COMPLETED");
  EXPECT_EQ(text(told, "result"), "gARLBy4=\n");
}

TEST(V1Tasks, AreListedByFilterAndPage) {
  Running server;
  Client client(server.port());
  server.on_loop([&] {
    server.store.tasks[*TaskId::parse(kTask)].id = *TaskId::parse(kTask);
    server.store.tasks[*TaskId::parse(kTask)].error_kind = core::ErrorKind::Timeout;
  });
  const json::value page =
      parsed(client.get("/v1/tasks?state=FAILED&function_id=" + kUnknown + "&group=a%20b&limit=1&cursor=9"));
  EXPECT_EQ(text(page.at("tasks").at(0), "task_id"), kTask);
  EXPECT_EQ(text(page.at("tasks").at(0), "error_kind"), "Timeout");
  EXPECT_EQ(text(page, "next_cursor"), "7");
  EXPECT_TRUE(parsed(client.get("/v1/tasks")).at("next_cursor").is_null());
  server.on_loop([&] {
    const store::ListFilter& filter = server.store.lists.at(0);
    EXPECT_EQ(filter.state, core::TaskState::Failed);
    EXPECT_EQ(to_string(*filter.function), kUnknown);
    EXPECT_EQ(filter.group, "a b");
    EXPECT_EQ(filter.limit, 1u);
    EXPECT_EQ(filter.cursor, "9");
    EXPECT_EQ(server.store.lists.at(1).limit, 100u);
  });
}

TEST(V1Tasks, AreCancelledOrEndedOrTooLate) {
  Running server;
  Client client(server.port());
  const TaskId task = *TaskId::parse(kTask);
  server.on_loop([&] { server.store.tasks[task].id = task; });
  const Answer queued = client.remove("/v1/tasks/" + kTask);
  EXPECT_EQ(queued.status, 200) << queued.body;
  EXPECT_EQ(text(parsed(queued).at("error"), "kind"), "Cancelled");
  const Answer late = client.remove("/v1/tasks/" + kTask);
  EXPECT_EQ(late.status, 409);
  EXPECT_THAT(text(parsed(late), "detail"), HasSubstr("has ended already"));
  server.on_loop([&] { server.store.tasks[task].state = core::TaskState::Running; });
  const Answer running = client.post("/v1/tasks/" + kTask + "/terminate", "");
  EXPECT_EQ(running.status, 202) << running.body;
  EXPECT_EQ(text(parsed(running), "status"), "RUNNING");
  EXPECT_TRUE(parsed(running).at("cancel_requested").as_bool());
}

TEST(V1Tasks, LogsAreWhatWasKeptOfTheOutput) {
  Running server;
  Client client(server.port());
  const TaskId task = *TaskId::parse(kTask);
  server.on_loop([&] {
    server.store.tasks[task].id = task;
    server.store.tasks[task].state = core::TaskState::Completed;
    server.store.stories[task].output = "one\ntwo\n";
  });
  const Answer there = client.get("/v1/tasks/" + kTask + "/logs?wait=1");
  EXPECT_EQ(there.status, 200) << there.body;
  EXPECT_EQ(there.body, R"({"task_id":")" + kTask +
                            R"(","status":"COMPLETED","attempts":0,"output":"one\ntwo\n",)"
                            R"("final":true})");
  EXPECT_EQ(client.get("/v1/tasks/" + kUnknown + "/logs").status, 404);
  EXPECT_EQ(client.get("/v1/tasks/" + kTask + "/logs?follow=2").status, 400);
  EXPECT_EQ(client.get("/v1/tasks/17/logs").status, 400);
}

std::string batch(const std::vector<std::string>& calls) {
  std::string body = R"({"tasks": [)";
  for (const std::string& call : calls) body += (body.back() == '[' ? "" : ", ") + call;
  return body + "]}";
}

TEST(V1Batch, AcceptsAllWithOneCall) {
  Running server;
  Client client(server.port());
  const std::string id = registered(client);
  std::vector<std::string> calls;
  for (int i = 0; i < 300; ++i)
    calls.push_back(R"({"function_id": ")" + id + R"(", "args": [)" + std::to_string(i) +
                    R"(], "options": {"priority": )" + std::to_string(i) + "}}");
  const Answer made = client.post("/v1/tasks:batch", batch(calls));
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(parsed(made).at("accepted").as_int64(), 300);
  server.on_loop([&] {
    ASSERT_EQ(server.store.submissions.size(), 300u);
    for (std::size_t i = 0; i < 300; ++i) {
      EXPECT_EQ(server.store.submissions[i].options.priority, static_cast<int>(i));
      EXPECT_EQ(to_string(server.store.submissions[i].id), text(parsed(made).at("tasks").at(i), "task_id"));
    }
  });
}

TEST(V1Batch, AcceptsNothingIfOneCallIsWrong) {
  Running server;
  Client client(server.port());
  const std::string good = R"({"function_id": ")" + registered(client) + "\"}";
  const auto refused = [&](const std::string& body, int status, const std::string& words) {
    const Answer answer = client.post("/v1/tasks:batch", body);
    EXPECT_EQ(answer.status, status) << answer.body;
    EXPECT_THAT(text(parsed(answer), "detail"), HasSubstr(words));
  };
  refused(batch({good, R"({"function_id": "7"})"}), 400, R"("tasks[1].function_id" must be a UUID)");
  refused(batch({good, good, "3"}), 400, "tasks[2] must be an object");
  refused(batch({good, R"({"function_id": ")" + kUnknown + "\"}"}), 404, "tasks[1]: there is no function " + kUnknown);
  refused(batch({R"({"payload": "bad!", "function_id": ")" + kUnknown + "\"}"}), 400, "tasks[0].payload is not base64");
  refused(batch({R"({"payload": 3, "function_id": ")" + kUnknown + "\"}"}), 400,
          R"("tasks[0].payload" must be a string, not 3)");
  refused(batch({R"({"options": {"dely": 3}, "function_id": ")" + kUnknown + "\"}"}), 400, "tasks[0].options.dely");
  refused(batch({}), 400, "1 to 10000 calls, not of 0");
  refused("{}", 400, R"("tasks" is missing)");
  refused(R"({"tasks": 3})", 400, R"("tasks" must be a list)");
  std::string many = R"({"tasks": [3)";
  for (int i = 0; i < 10'000; ++i) many += ",3";
  refused(many + "]}", 400, "not of 10001");
  refused(R"({"tasks": [")" + std::string(16u << 20, 'x') + "\"]}", 413, "16777216 bytes");
  server.on_loop([&] { EXPECT_TRUE(server.store.submissions.empty()); });
}

TEST(V1Batch, KeysAreOfEachItemOrOfTheWhole) {
  Running server;
  Client client(server.port());
  const std::string id = registered(client);
  const auto keyed = [&](int argument, const std::string& key) {
    return R"({"function_id": ")" + id + R"(", "args": [)" + std::to_string(argument) + R"(], "idempotency_key": ")" +
           key + "\"}";
  };
  const json::value first = parsed(client.post("/v1/tasks:batch", batch({keyed(1, "a"), keyed(2, "b")})));
  const json::value second =
      parsed(client.post("/v1/tasks:batch", batch({keyed(1, "a"), keyed(3, "b"), keyed(4, "c")})));
  EXPECT_EQ(second.at("tasks").at(0).at("task_id"), first.at("tasks").at(0).at("task_id"));
  EXPECT_TRUE(second.at("tasks").at(0).at("replayed").as_bool());
  EXPECT_EQ(text(second.at("tasks").at(1).at("error"), "code"), "conflict");
  EXPECT_FALSE(second.at("tasks").at(2).at("replayed").as_bool());
  EXPECT_EQ(second.at("accepted").as_int64(), 2);
  EXPECT_EQ(client.post("/v1/tasks:batch", batch({keyed(9, "a")})).status, 409);

  const std::string plain = R"({"function_id": ")" + id + "\"}";
  const Answer once = client.post("/v1/tasks:batch", batch({plain, plain}), "Idempotency-Key: whole\r\n");
  const Answer again = client.post("/v1/tasks:batch", batch({plain, plain}), "Idempotency-Key: whole\r\n");
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(parsed(again).at("tasks").at(i).at("task_id"), parsed(once).at("tasks").at(i).at("task_id"));
    EXPECT_TRUE(parsed(again).at("tasks").at(i).at("replayed").as_bool());
  }
  server.on_loop([&] { EXPECT_EQ(server.store.submissions.size(), 5u); });
}

TEST(V1Workers, AreShownAsReported) {
  Running server;
  Client client(server.port());
  EXPECT_EQ(client.get("/v1/workers").body, R"({"workers":[]})");
  server.on_loop([&] {
    store::WorkerReport report;
    report.id = *WorkerId::parse(kUnknown);
    report.dispatcher = "d1";
    report.mode = core::Mode::Push;
    report.state = "lost";
    report.lost_why = "silent for 10 s";
    report.info = {"box", 4711, 4, {{3, 11, 2}}, {"", "gpu"}, {"a100"}, {}, false};
    report.load = 2;
    report.running = 1;
    report.free_slots = 3;
    report.last_heartbeat = {1'000};
    report.current_tasks = {*TaskId::parse(kTask)};
    server.store.reports = {report};
  });
  EXPECT_EQ(
      client.get("/v1/workers").body,
      R"({"workers":[{"worker_id":")" + kUnknown +
          R"(","state":"lost","lost_why":"silent for 10 s","dispatcher":"d1","mode":"push","host":"box","pid":4711,)"
          R"("python":["3.11.2"],"queues":["default","gpu"],"labels":["a100"],"slots":4,"slots_free":3,"load":2,"running":1,)"
          R"("last_heartbeat":"1970-01-01T00:00:01.000Z","current_task":")" +
          kTask + R"(","current_tasks":[")" + kTask + R"("]}]})");
}

TEST(Story, TellsTheProgressOfTheAttemptThatRuns) {
  store::TaskStory story = failed_story();
  EXPECT_TRUE(story_text(story, {2'000'000}).at("progress").is_null());
  store::LiveView live;
  live.attempt = 2;
  live.progress = {250'000, "a quarter"};
  live.at = {1'500'000};
  const json::value told = story_text(story, {2'000'000}, live).at("progress");
  EXPECT_EQ(told.at("fraction").as_double(), 0.25);
  EXPECT_EQ(text(told, "note"), "a quarter");
  EXPECT_EQ(text(told, "at"), "1970-01-01T00:25:00.000Z");
  live.progress = {-1, "no number"};
  EXPECT_TRUE(story_text(story, {2'000'000}, live).at("progress").at("fraction").is_null());
}

}  // namespace
}  // namespace treadle::gateway

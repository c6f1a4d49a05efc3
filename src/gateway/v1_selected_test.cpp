// What is done to many tasks that filters match, the retry of one task, and queues.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "core/limits.h"
#include "gateway/testing.h"

namespace treadle::gateway {
namespace {

using namespace testing;
using ::testing::HasSubstr;
namespace json = boost::json;

json::value parsed(const Answer& answer) { return json::parse(answer.body); }
std::string text(const json::value& value) { return {value.as_string().data(), value.as_string().size()}; }

struct Selected : ::testing::Test {
  Running server;
  Client client{server.port()};
  std::string function = member(client.post("/register_function", function_body()).body, "function_id");

  std::vector<std::string> submitted(int count, const std::string& more = "") {
    std::vector<std::string> ids;
    for (int i = 0; i < count; ++i)
      ids.push_back(
          member(client.post("/v1/tasks", R"({"function_id": ")" + function + "\"" + more + "}").body, "task_id"));
    return ids;
  }
  store::ListFilter last_filter() {
    store::ListFilter filter;
    server.on_loop([&] { filter = server.store.lists.back(); });
    return filter;
  }
  void fail_task(const std::string& id) { EXPECT_EQ(client.remove("/v1/tasks/" + id).status, 200); }
  std::size_t tasks() {
    std::size_t count = 0;
    server.on_loop([&] { count = server.store.tasks.size(); });
    return count;
  }
};

TEST_F(Selected, CancelTellsWhatBecameOfEach) {
  const auto ids = submitted(4);
  fail_task(ids[0]);
  server.on_loop([&] { server.store.tasks.at(*TaskId::parse(ids[1])).state = core::TaskState::Running; });
  const Answer answer = client.post("/v1/tasks:cancel", R"({"group": "night"})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const json::value told = parsed(answer);
  EXPECT_EQ(told.at("matched").as_int64(), 4);
  EXPECT_EQ(told.at("cancelled").as_int64(), 2);
  EXPECT_EQ(told.at("requested").as_int64(), 1);
  EXPECT_EQ(told.at("ended").as_int64(), 1);
  EXPECT_FALSE(told.at("dry_run").as_bool());
  EXPECT_TRUE(told.at("next_cursor").is_null());
  const auto filter = last_filter();
  EXPECT_TRUE(filter.live && filter.any_order && !filter.state);
  EXPECT_EQ(filter.group, "night");
}

TEST_F(Selected, FiltersAreHandedToTheStore) {
  submitted(1);
  const Answer answer = client.post(
      "/v1/tasks:cancel",
      R"({"status": "QUEUED", "queue": "gpu", "function_id": ")" + function +
          R"(", "created_after": "2026-11-25T18:07:46Z", "created_before": "2026-11-25T19:07:46.5+01:00"})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const auto filter = last_filter();
  EXPECT_EQ(filter.state, core::TaskState::Queued);
  EXPECT_EQ(filter.queue, "gpu");
  EXPECT_EQ(to_string(*filter.function), function);
  EXPECT_EQ(filter.accepted_from.ms, 1'795'630'066'000);
  EXPECT_EQ(filter.accepted_before.ms, 1'795'630'066'500);
  EXPECT_EQ(client.get("/v1/tasks?queue=gpu&created_after=2026-11-25T18:07:46Z").status, 200);
  EXPECT_EQ(last_filter().accepted_from.ms, 1'795'630'066'000);
  EXPECT_EQ(last_filter().queue, "gpu");
}

TEST_F(Selected, APreviewOnlyCounts) {
  const auto ids = submitted(3);
  const json::value told = parsed(client.post("/v1/tasks:cancel", R"({"all": true, "dry_run": true})"));
  EXPECT_EQ(told.at("matched").as_int64(), 3);
  EXPECT_EQ(told.at("cancelled").as_int64(), 0);
  EXPECT_TRUE(told.at("dry_run").as_bool());
  EXPECT_EQ(text(parsed(client.get("/v1/tasks/" + ids[0])).at("status")), "QUEUED");
  const json::value retry = parsed(client.post("/v1/tasks:retry", R"({"all": true, "dry_run": true})"));
  EXPECT_EQ(retry.at("matched").as_int64(), 3) << "the store of this test does not filter";
  EXPECT_EQ(tasks(), 3u);
}

TEST_F(Selected, ARequestActsOnALimitedNumberAndSaysWhereToGoOn) {
  submitted(5);
  const json::value told = parsed(client.post("/v1/tasks:cancel", R"({"all": true, "limit": 2})"));
  EXPECT_EQ(told.at("matched").as_int64(), 2);
  EXPECT_EQ(text(told.at("next_cursor")), "7");
  EXPECT_EQ(last_filter().limit, 2u);
  client.post("/v1/tasks:cancel", R"({"all": true, "limit": 2, "cursor": "7"})");
  EXPECT_EQ(last_filter().cursor, "7");
}

TEST_F(Selected, RetrySubmitsTheSameCallAsANewTaskOnce) {
  const auto ids = submitted(1, R"(, "group": "night", "args": [3, 4], "options": {"priority": 5})");
  const Answer early = client.post("/v1/tasks/" + ids[0] + "/retry", "");
  EXPECT_EQ(early.status, 409);
  EXPECT_THAT(early.body, HasSubstr("has not ended"));
  fail_task(ids[0]);
  const Answer answer = client.post("/v1/tasks/" + ids[0] + "/retry", "");
  ASSERT_EQ(answer.status, 201) << answer.body;
  const json::value told = parsed(answer);
  const std::string again = text(told.at("new_task_id"));
  EXPECT_EQ(text(told.at("task_id")), ids[0]);
  EXPECT_NE(again, ids[0]);
  EXPECT_FALSE(told.at("repeated").as_bool());
  EXPECT_EQ(answer.header("Location"), "/v1/tasks/" + again);
  server.on_loop([&] {
    const auto& first = server.store.submissions.at(0);
    const auto& second = server.store.submissions.at(1);
    EXPECT_EQ(second.args.bytes.view(), first.args.bytes.view());
    EXPECT_EQ(second.options.priority, 5);
    EXPECT_EQ(second.group, "night");
  });
  EXPECT_EQ(text(parsed(client.get("/v1/tasks/" + ids[0])).at("status")), "FAILED") << "how it ended stays";
  const Answer twice = client.post("/v1/tasks/" + ids[0] + "/retry", "");
  EXPECT_EQ(text(parsed(twice).at("new_task_id")), again);
  EXPECT_TRUE(parsed(twice).at("repeated").as_bool());
  EXPECT_EQ(twice.header("Idempotency-Replayed"), "true");
  EXPECT_EQ(tasks(), 2u);
  fail_task(again);
  EXPECT_FALSE(parsed(client.post("/v1/tasks/" + again + "/retry", "")).at("repeated").as_bool());
}

TEST_F(Selected, RetryOfManyTellsBothIdsAndWhatWasRefused) {
  const auto ids = submitted(3);
  fail_task(ids[0]);
  fail_task(ids[1]);
  const json::value told = parsed(client.post("/v1/tasks:retry", R"({"status": "FAILED"})"));
  EXPECT_EQ(told.at("matched").as_int64(), 3) << "the store of this test does not filter";
  EXPECT_EQ(told.at("retried").as_int64(), 2);
  EXPECT_EQ(told.at("refused").as_int64(), 1);
  EXPECT_THAT(text(told.at("error")), HasSubstr("has not ended"));
  ASSERT_EQ(told.at("tasks").as_array().size(), 2u);
  EXPECT_EQ(tasks(), 5u);
  const auto filter = last_filter();
  EXPECT_EQ(filter.state, core::TaskState::Failed);
  EXPECT_FALSE(filter.live);
  const Answer gone = client.post("/v1/tasks/71ed469b-bc52-45d5-89ae-b21aa40760c9/retry", "");
  EXPECT_EQ(gone.status, 404);
}

TEST_F(Selected, ATaskWhoseFunctionWasDeletedIsNotRetried) {
  const auto ids = submitted(1);
  fail_task(ids[0]);
  EXPECT_EQ(client.remove("/v1/functions/" + function).status, 204);
  const Answer answer = client.post("/v1/tasks/" + ids[0] + "/retry", "");
  EXPECT_EQ(answer.status, 409);
  EXPECT_THAT(answer.body, HasSubstr("was deleted"));
}

TEST_F(Selected, RefusesWhatIsMalformed) {
  const auto refused = [&](const std::string& path, const std::string& body, const std::string& words) {
    const Answer answer = client.post(path, body);
    EXPECT_EQ(answer.status, 400) << answer.body;
    EXPECT_THAT(answer.body, HasSubstr(words));
  };
  for (const std::string path : {"/v1/tasks:cancel", "/v1/tasks:retry"}) {
    refused(path, "{}", "Name at least one of");
    refused(path, R"({"dry_run": true})", "Name at least one of");
    refused(path, R"({"grup": "x"})", "Name at least one of");
    refused(path, R"({"grup": "x", "queue": "q"})", "did you mean");
    refused(path, R"({"group": "x", "limit": 10001})", "10000");
    refused(path, R"({"created_after": "yesterday"})", "2026-11-25T18:07:46Z");
    refused(path, R"({"created_after": "2026-02-30T00:00:00Z"})", "RFC 3339");
    refused(path, R"({"queue": "a b"})", "letters");
    refused(path, R"({"function_id": "f"})", "UUID");
  }
  refused("/v1/tasks:cancel", R"({"status": "FAILED"})", "QUEUED");
  refused("/v1/tasks:retry", R"({"status": "QUEUED"})", "FAILED");
  EXPECT_EQ(client.post("/v1/tasks/7/retry", "").status, 400);
}

// ---- queues ----

TEST_F(Selected, QueuesAreToldAndPaused) {
  server.on_loop([&] {
    server.store.queue_reports = {{"default", 12, 4, WallMs{server.clock.wall().ms - 3'000}, false},
                                  {"gpu", 0, 0, WallMs{}, true}};
  });
  const json::value told = parsed(client.get("/v1/queues"));
  const json::value& first = told.at("queues").at(0);
  EXPECT_EQ(text(first.at("name")), "default");
  EXPECT_EQ(first.at("queued").as_int64(), 12);
  EXPECT_EQ(first.at("running").as_int64(), 4);
  EXPECT_NEAR(first.at("oldest_seconds").to_number<double>(), 3, 1);
  EXPECT_TRUE(told.at("queues").at(1).at("oldest_seconds").is_null());
  EXPECT_TRUE(told.at("queues").at(1).at("paused").as_bool());
  EXPECT_NEAR(parsed(client.get("/v1/stats")).at("queue").at("oldest_seconds").to_number<double>(), 3, 1);
  const Answer paused = client.post("/v1/queues/default/pause", "");
  EXPECT_EQ(paused.status, 200);
  EXPECT_EQ(paused.body, R"({"name":"default","paused":true})");
  EXPECT_EQ(client.post("/v1/queues/gpu/resume", "").body, R"({"name":"gpu","paused":false})");
  server.on_loop([&] {
    EXPECT_TRUE(server.store.queue_reports[0].paused);
    EXPECT_FALSE(server.store.queue_reports[1].paused);
  });
  const Answer bad = client.post("/v1/queues/a%20b/pause", "");
  EXPECT_EQ(bad.status, 400);
  EXPECT_THAT(bad.body, HasSubstr("letters"));
}

}  // namespace
}  // namespace treadle::gateway

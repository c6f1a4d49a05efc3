// Many tasks in one request: what tasks:lookup and tasks:wait answer, and when.
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
namespace limits = core::limits;

const std::string kUnknown = "71ed469b-bc52-45d5-89ae-b21aa40760c9";

json::value parsed(const Answer& answer) { return json::parse(answer.body); }

std::string text(const json::value& value) { return {value.as_string().data(), value.as_string().size()}; }

std::string ids_body(const std::vector<std::string>& ids, const std::string& more = "") {
  std::string body = R"({"task_ids": [)";
  for (const std::string& id : ids) body += (body.back() == '[' ? "\"" : ", \"") + id + '"';
  return body + "]" + more + "}";
}

struct Many : ::testing::Test {
  Running server;
  Client client{server.port()};

  std::vector<std::string> submitted(int count) {
    const std::string function = member(client.post("/register_function", function_body()).body, "function_id");
    std::vector<std::string> ids;
    for (int i = 0; i < count; ++i)
      ids.push_back(member(client.post("/execute_function", call_body(function)).body, "task_id"));
    return ids;
  }
  void finish(const std::vector<std::string>& ids, const std::string& result = kSeven) {
    server.on_loop([&] {
      for (const std::string& id : ids) server.store.finish(*TaskId::parse(id), result);
    });
  }
  std::size_t waits() {
    std::size_t count = 0;
    server.on_loop([&] { count = server.store.waits.size(); });
    return count;
  }
  // Returns when so many tasks are waited for at the store.
  void when_waits(std::size_t wanted) {
    for (int i = 0; i < 2000 && waits() != wanted; ++i) std::this_thread::sleep_for(1ms);
    ASSERT_EQ(waits(), wanted);
  }
};

TEST_F(Many, LookupTellsStatesInOrderAndWhatIsMissing) {
  const auto ids = submitted(3);
  finish({ids[1]});
  const Answer answer = client.post("/v1/tasks:lookup", ids_body({ids[2], kUnknown, ids[1], ids[0], ids[1]}));
  ASSERT_EQ(answer.status, 200) << answer.body;
  const json::value told = parsed(answer);
  std::vector<std::string> rows;
  for (const json::value& row : told.at("tasks").as_array())
    rows.push_back(text(row.at("task_id")) + " " + text(row.at("status")));
  EXPECT_EQ(rows, (std::vector<std::string>{ids[2] + " QUEUED", ids[1] + " COMPLETED", ids[0] + " QUEUED"}));
  EXPECT_EQ(json::serialize(told.at("missing")), "[\"" + kUnknown + "\"]");
}

TEST_F(Many, WaitAnswersWhatHasEndedAtOnceWithResults) {
  const auto ids = submitted(200);  // more than one batch of the store
  finish({ids[150], ids[3]});
  const json::value told = parsed(client.post("/v1/tasks:wait", ids_body(ids, R"(, "results": true, "wait": 20)")));
  ASSERT_EQ(told.at("tasks").as_array().size(), 2u);
  EXPECT_EQ(text(told.at("tasks").at(0).at("task_id")), ids[3]);
  EXPECT_EQ(text(told.at("tasks").at(1).at("result")), "gARLBy4=");
  EXPECT_EQ(told.at("tasks").at(1).at("result_bytes").as_int64(), 5);
  EXPECT_EQ(told.at("waiting").as_int64(), 198);
  EXPECT_EQ(waits(), 0u);
  const json::value bare = parsed(client.post("/v1/tasks:wait", ids_body({ids[3], kUnknown})));
  EXPECT_EQ(bare.at("tasks").at(0).as_object().count("result"), 0u);
  EXPECT_EQ(text(bare.at("missing").at(0)), kUnknown);
  EXPECT_EQ(bare.at("waiting").as_int64(), 0);
}

TEST_F(Many, WaitGathersWhatEndsInOneTurnAndAsksTheStoreOnceForEachTask) {
  const auto ids = submitted(5);
  client.send(post_text("/v1/tasks:wait", ids_body(ids, R"(, "results": true)")));
  when_waits(5);
  finish({ids[4], ids[2]});
  const json::value told = parsed(client.read());
  ASSERT_EQ(told.at("tasks").as_array().size(), 2u);
  EXPECT_EQ(text(told.at("tasks").at(0).at("task_id")), ids[4]);
  EXPECT_EQ(text(told.at("tasks").at(1).at("result")), "gARLBy4=");
  EXPECT_EQ(told.at("waiting").as_int64(), 3);
  client.send(post_text("/v1/tasks:wait", ids_body({ids[0], ids[1], ids[3]})));
  server.settle();
  EXPECT_EQ(waits(), 3u) << "the questions of the first request serve the second";
  finish({ids[0]});
  EXPECT_EQ(text(parsed(client.read()).at("tasks").at(0).at("task_id")), ids[0]);
}

TEST_F(Many, WaitEndsEmptyAtItsTime) {
  const auto ids = submitted(2);
  const json::value now = parsed(client.post("/v1/tasks:wait", ids_body(ids, R"(, "wait": 0)")));
  EXPECT_TRUE(now.at("tasks").as_array().empty());
  EXPECT_EQ(now.at("waiting").as_int64(), 2);
  const Instant begun = server.clock.now();
  const json::value later = parsed(client.post("/v1/tasks:wait", ids_body(ids, R"(, "wait": 0.2)")));
  EXPECT_TRUE(later.at("tasks").as_array().empty());
  EXPECT_GE(server.clock.now() - begun, 200ms);
  EXPECT_LT(server.clock.now() - begun, 5s);
}

TEST_F(Many, TheNextWaitOfAConnectionReleasesTheOneBefore) {
  const auto ids = submitted(2);
  Client other(server.port());
  other.send(post_text("/v1/tasks:wait", ids_body({ids[0]})));
  client.send(post_text("/v1/tasks:wait", ids_body({ids[0]})));
  when_waits(1);
  client.send(post_text("/v1/tasks:wait", ids_body(ids)));
  EXPECT_EQ(parsed(client.read()).at("waiting").as_int64(), 1);
  when_waits(2);
  finish({ids[1]});
  EXPECT_EQ(text(parsed(client.read()).at("tasks").at(0).at("task_id")), ids[1]);
  finish({ids[0]});
  EXPECT_EQ(text(parsed(other.read()).at("tasks").at(0).at("task_id")), ids[0]) << "the other's was left alone";
}

TEST_F(Many, AnswersHoldABoundedAmountOfResults) {
  const auto ids = submitted(80);
  const std::string large(limits::kInline - 5, 'x');
  finish(ids, large);
  std::vector<std::string> left = ids;
  int answers = 0;
  while (!left.empty()) {
    const json::value told = parsed(client.post("/v1/tasks:wait", ids_body(left, R"(, "results": true)")));
    const json::array& rows = told.at("tasks").as_array();
    ASSERT_GT(rows.size(), 0u);
    ASSERT_LE(rows.size(), limits::kMaxWaitResults / limits::kInline + 1);
    left.erase(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(rows.size()));
    EXPECT_EQ(told.at("waiting").as_int64(), static_cast<std::int64_t>(left.size()));
    ++answers;
  }
  EXPECT_EQ(answers, 3);
  finish({ids[0]}, large + "123456");
  const json::value over = parsed(client.post("/v1/tasks:wait", ids_body({ids[0]}, R"(, "results": true)")));
  EXPECT_TRUE(over.at("tasks").at(0).at("result").is_null());
  EXPECT_EQ(over.at("tasks").at(0).at("result_bytes").as_int64(), static_cast<std::int64_t>(limits::kInline + 1));
}

TEST_F(Many, AStopReleasesWhatWaits) {
  const auto ids = submitted(1);
  client.send(post_text("/v1/tasks:wait", ids_body(ids)));
  when_waits(1);
  server.on_loop([&] { server.gateway->begin_drain(); });
  EXPECT_EQ(parsed(client.read()).at("waiting").as_int64(), 1);
}

TEST_F(Many, RefusesWhatIsMalformed) {
  const auto refused = [&](const std::string& path, const std::string& body, const std::string& words) {
    const Answer answer = client.post(path, body);
    EXPECT_EQ(answer.status, 400) << answer.body;
    EXPECT_THAT(answer.body, HasSubstr(words));
  };
  for (const std::string path : {"/v1/tasks:lookup", "/v1/tasks:wait"}) {
    refused(path, "{}", "task_ids\\\" is missing");
    refused(path, R"({"task_ids": []})", "1 to 10000 ids, not of 0");
    refused(path, ids_body(std::vector<std::string>(10'001, kUnknown)), "not of 10001");
    refused(path, ids_body({kUnknown, "7"}), "task_ids[1] is not a UUID");
    refused(path, R"({"task_ids": [7]})", "task_ids[0] is not a UUID");
    refused(path, ids_body({kUnknown}, R"(, "weit": 1)"), "weit");
  }
  refused("/v1/tasks:wait", ids_body({kUnknown}, R"(, "wait": 61)"), "60");
  refused("/v1/tasks:wait", ids_body({kUnknown}, R"(, "results": 1)"), "true or false");
  server.on_loop([&] { server.store.broken = fail(Code::StoreAway, "store says so"); });
  for (const std::string path : {"/v1/tasks:lookup", "/v1/tasks:wait"}) {
    const Answer answer = client.post(path, ids_body({kUnknown}));
    EXPECT_EQ(answer.status, 503);
    EXPECT_THAT(answer.body, HasSubstr("store says so"));
  }
}

TEST_F(Many, RefusesMoreThanItCanWatch) {
  std::vector<std::unique_ptr<Client>> clients;
  const auto ids = submitted(1);
  server.on_loop([&] {  // tasks that nobody submitted, so that the test is short
    for (std::uint64_t i = 0; i < limits::kMaxWatched + 1; ++i) {
      const TaskId id(Uuid{1, i});
      server.store.tasks[id].id = id;
    }
  });
  std::uint64_t next = 0;
  const auto some = [&](std::size_t count) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < count; ++i) out.push_back(to_string(TaskId(Uuid{1, next++})));
    return ids_body(out);
  };
  for (std::size_t i = 0; i < limits::kMaxWatched / limits::kMaxLookupTasks; ++i) {
    clients.push_back(std::make_unique<Client>(server.port()));
    clients.back()->send(post_text("/v1/tasks:wait", some(limits::kMaxLookupTasks)));
  }
  when_waits(limits::kMaxWatched);
  const Answer full = client.post("/v1/tasks:wait", some(1));
  EXPECT_EQ(full.status, 429) << full.body;
  EXPECT_THAT(full.body, HasSubstr("50000 is the limit"));
}

}  // namespace
}  // namespace treadle::gateway

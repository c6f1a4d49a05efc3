// The stream of a group's results: what comes when, how it goes on, what it holds in memory.
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

std::string text(const json::value& value) { return {value.as_string().data(), value.as_string().size()}; }

struct Groups : ::testing::Test {
  Running server;
  Client client{server.port()};
  std::string function = member(client.post("/register_function", function_body()).body, "function_id");

  std::vector<std::string> submitted(int count, const std::string& group = "night") {
    Client by(server.port());  // the other one may be reading a stream
    std::vector<std::string> ids;
    for (int i = 0; i < count; ++i) {
      const std::string body = R"({"function_id": ")" + function + R"(", "group": ")" + group + "\"}";
      ids.push_back(member(by.post("/v1/tasks", body).body, "task_id"));
    }
    return ids;
  }
  void finish(const std::vector<std::string>& ids, const std::string& result = kSeven) {
    server.on_loop([&] {
      for (const std::string& id : ids) server.store.finish(*TaskId::parse(id), result);
    });
  }
  void ask(const std::string& path, const std::string& headers = "") {
    client.send("GET " + path + " HTTP/1.1\r\nHost: " + server.host() + "\r\n" + headers + "\r\n");
  }
  // The lines of the stream up to its end, without empty ones.
  std::vector<json::value> lines() {
    std::string all;
    while (true) {
      const std::string chunk = client.read_chunk();
      if (chunk.empty()) break;
      all += chunk;
    }
    return lines_of(all);
  }
  static std::vector<json::value> lines_of(const std::string& all) {
    std::vector<json::value> out;
    for (std::size_t at = 0; at < all.size();) {
      const std::size_t end = all.find('\n', at);
      if (end > at) out.push_back(json::parse(all.substr(at, end - at)));
      at = end + 1;
    }
    return out;
  }
};

const std::string kResults = "/v1/groups/night/results";

TEST_F(Groups, TheStreamTellsEveryEndInOrderAndEndsWithTheGroup) {
  const auto ids = submitted(4);
  submitted(1, "other");
  finish({ids[2], ids[0]});
  ask(kResults);
  const Answer head = client.read(true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("Content-Type"), "application/x-ndjson");
  EXPECT_EQ(head.header("Transfer-Encoding"), "chunked");
  const auto first = lines_of(client.read_chunk());
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(text(first[0].at("task_id")), ids[2]);
  EXPECT_EQ(text(first[1].at("task_id")), ids[0]);
  EXPECT_EQ(text(first[0].at("status")), "COMPLETED");
  EXPECT_EQ(text(first[0].at("result")), "gARLBy4=");
  EXPECT_EQ(first[0].at("result_bytes").as_int64(), 5);
  EXPECT_TRUE(first[0].at("error").is_null());
  finish({ids[1]});
  EXPECT_EQ(text(lines_of(client.read_chunk()).at(0).at("task_id")), ids[1]);
  finish({ids[3]});
  const auto rest = lines();
  ASSERT_EQ(rest.size(), 2u);
  EXPECT_EQ(text(rest[0].at("task_id")), ids[3]);
  EXPECT_EQ(text(rest[1].at("end")), "finished");
  EXPECT_EQ(text(rest[1].at("cursor")), text(rest[0].at("cursor")));
  ask(kResults + "?cursor=" + text(first[1].at("cursor")));
  client.read(true);
  const auto again = lines();
  ASSERT_EQ(again.size(), 3u);
  EXPECT_EQ(text(again[0].at("task_id")), ids[1]);
  EXPECT_EQ(text(again[1].at("task_id")), ids[3]);
  EXPECT_EQ(client.get("/livez").status, 200) << "the connection goes on";
}

TEST_F(Groups, FailuresAreTold) {
  const auto ids = submitted(1);
  finish(ids, "pickled exception");
  server.on_loop([&] {
    auto& view = server.store.tasks.at(*TaskId::parse(ids[0]));
    view.state = core::TaskState::Failed;
    view.error_kind = core::ErrorKind::FunctionFailed;
  });
  ask(kResults);
  client.read(true);
  const auto told = lines();
  EXPECT_EQ(text(told.at(0).at("status")), "FAILED");
  EXPECT_EQ(text(told.at(0).at("error").at("kind")), "FunctionFailed");
  EXPECT_EQ(told.at(0).at("result_bytes").as_int64(), 17);
}

TEST_F(Groups, LargeResultsAreNamedAndNotSent) {
  const auto ids = submitted(1);
  finish(ids, std::string(limits::kInline + 1, 'x'));
  ask(kResults);
  client.read(true);
  const json::value line = lines().at(0);
  EXPECT_TRUE(line.at("result").is_null());
  EXPECT_EQ(text(line.at("result_url")), "/v1/tasks/" + ids[0] + "/result");
  EXPECT_EQ(line.at("result_bytes").as_int64(), static_cast<std::int64_t>(limits::kInline + 1));
}

TEST_F(Groups, EventsCarryTheCursorAsTheirId) {
  const auto ids = submitted(2);
  finish(ids);
  ask(kResults, "Accept: text/event-stream\r\n");
  EXPECT_EQ(client.read(true).header("Content-Type"), "text/event-stream");
  std::string all;
  for (std::string chunk = client.read_chunk(); !chunk.empty(); chunk = client.read_chunk()) all += chunk;
  EXPECT_THAT(all, ::testing::StartsWith("id: 1\nevent: task\ndata: {\"task_id\":\"" + ids[0]));
  EXPECT_THAT(all, HasSubstr("}\n\nid: 2\nevent: task\n"));
  EXPECT_THAT(all, HasSubstr("id: 2\nevent: end\ndata: {\"end\":\"finished\",\"cursor\":\"2\"}\n\n"));
  ask(kResults, "Accept: text/event-stream\r\nLast-Event-ID: 1\r\n");
  client.read(true);
  const std::string rest = client.read_chunk();
  EXPECT_THAT(rest, ::testing::StartsWith("id: 2\nevent: task\ndata: {\"task_id\":\"" + ids[1]));
  for (std::string chunk = "x"; !chunk.empty();) chunk = client.read_chunk();
  ask(kResults, "Accept: text/event-stream\r\nLast-Event-ID: 2\r\n");
  EXPECT_EQ(client.read(true).status, 204) << "so that a browser asks no more";
}

TEST_F(Groups, FollowGoesOnForTasksToCome) {
  ask(kResults + "?follow=1");
  EXPECT_EQ(client.read(true).status, 200) << "also before the first task is there";
  const auto ids = submitted(1);
  finish(ids);
  EXPECT_EQ(text(lines_of(client.read_chunk()).at(0).at("task_id")), ids[0]);
  server.on_loop([&] { server.gateway->begin_drain(); });
  const auto rest = lines();
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(text(rest[0].at("end")), "stopping");
  EXPECT_EQ(text(rest[0].at("cursor")), "1");
}

TEST_F(Groups, AClientThatReadsSlowlyHoldsTheReadingBack) {
  const int count = 400;
  const auto ids = submitted(count);
  finish(ids, std::string(60'000, 'x'));  // 24 MB in all, 32 as text
  ask(kResults);
  client.read(true);
  std::size_t pages = 0, most = 0;
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(10ms);
    server.on_loop([&] { pages = server.store.pages.size(); });
    most = std::max(most, pages);
  }
  const std::size_t all_pages = count * 60'000 / limits::kStreamBytes;
  EXPECT_LT(most, all_pages / 2) << "what the socket and the outbox hold, and one page more";
  const auto told = lines();
  ASSERT_EQ(told.size(), static_cast<std::size_t>(count) + 1);
  for (int i = 0; i < count; ++i)
    EXPECT_EQ(text(told[static_cast<std::size_t>(i)].at("task_id")), ids[static_cast<std::size_t>(i)]);
}

TEST_F(Groups, AStreamWhoseClientIsGoneIsForgotten) {
  submitted(1);
  {
    Client other(server.port());
    other.send("GET " + kResults + " HTTP/1.1\r\nHost: " + server.host() + "\r\n\r\n");
    other.read(true);
    bool listens = false;
    server.on_loop([&] { listens = static_cast<bool>(server.store.end_hint); });
    EXPECT_TRUE(listens);
  }
  finish(submitted(1));  // what is written to it shows that it is gone
  bool listens = true;
  for (int i = 0; i < 500 && listens; ++i) {
    std::this_thread::sleep_for(5ms);
    if (i % 20 == 0) finish(submitted(1));
    server.on_loop([&] { listens = static_cast<bool>(server.store.end_hint); });
  }
  EXPECT_FALSE(listens);
}

TEST_F(Groups, RefusesWhatIsWrong) {
  const Answer unknown = client.get("/v1/groups/nobody/results");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_THAT(unknown.body, HasSubstr("follow=1"));
  EXPECT_EQ(client.get(kResults + "?folow=1").status, 400);
  EXPECT_EQ(client.get(kResults + "?follow=2").status, 400);
  EXPECT_EQ(client.get("/v1/groups/" + std::string(129, 'x') + "/results").status, 400);
  server.on_loop([&] { server.store.broken = fail(Code::StoreAway, "store says so"); });
  EXPECT_EQ(client.get(kResults).status, 503);
}

TEST_F(Groups, NoMoreStreamsThanTheLimit) {
  submitted(1);
  std::vector<std::unique_ptr<Client>> streams;
  for (std::size_t i = 0; i < limits::kMaxStreams; ++i) {
    streams.push_back(std::make_unique<Client>(server.port()));
    streams.back()->send("GET " + kResults + " HTTP/1.1\r\nHost: " + server.host() + "\r\n\r\n");
    ASSERT_EQ(streams.back()->read(true).status, 200);
  }
  const Answer over = client.get(kResults);
  EXPECT_EQ(over.status, 429);
  EXPECT_THAT(over.body, HasSubstr("256 streams"));
}

}  // namespace
}  // namespace treadle::gateway

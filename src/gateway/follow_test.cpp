// What a client sees that follows a task's output.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/limits.h"
#include "gateway/follow.h"
#include "gateway/testing.h"

namespace treadle::gateway {
namespace {

using namespace testing;
using ::testing::HasSubstr;

const TaskId kTask = *TaskId::parse("0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13");

struct Sink final : public ResponseSink {
  void answer(std::uint64_t, Response) override {}
  bool gone() const override { return left; }
  void more_to_send() override { ++woken; }
  bool left = false;
  int woken = 0;
};

struct StepClock final : public Clock {
  Instant at{1'000'000'000};
  Instant now() const override { return at; }
  WallMs wall() const override { return {at.ns / 1'000'000}; }
};

// One client of one task.
struct Scene {
  Scene() {
    state(core::TaskState::Running, 1);
    follow = std::make_shared<Follow>(store, clock, kTask, sink);
  }
  void state(core::TaskState state, std::uint32_t attempt) {
    store.tasks[kTask].id = kTask;
    store.tasks[kTask].state = state;
    store.tasks[kTask].attempt = attempt;
  }
  void show(std::uint32_t attempt, std::uint64_t from, std::string text) {
    store::LiveView& view = store.shown[kTask];
    view.attempt = attempt;
    view.from = from;
    view.text = std::move(text);
  }
  void end(std::string output, std::uint32_t attempt = 1) {
    state(core::TaskState::Completed, attempt);
    store.stories[kTask].output = std::move(output);
  }
  // What the client gets until it has to wait.
  std::string next() {
    clock.at = clock.at + core::limits::kLiveEach;
    follow->look(clock.at);
    std::string out;
    more = follow->read(out, 1u << 20);
    return out;
  }

  FakeStore store;
  StepClock clock;
  std::shared_ptr<Sink> sink = std::make_shared<Sink>();
  std::shared_ptr<Follow> follow;
  bool more = true;
};

TEST(Follow, ShowsEachByteOnceAndEndsWithTheTask) {
  Scene scene;
  EXPECT_EQ(scene.next(), "");
  scene.show(1, 0, "one ");
  EXPECT_EQ(scene.next(), "one ");
  EXPECT_EQ(scene.sink->woken, 1);
  EXPECT_EQ(scene.next(), "");
  scene.show(1, 0, "one two ");
  EXPECT_EQ(scene.next(), "two ");
  EXPECT_TRUE(scene.more);
  scene.show(1, 4, "two three");
  scene.end("one two three");
  EXPECT_EQ(scene.next(), "three");
  EXPECT_FALSE(scene.more);
  EXPECT_FALSE(scene.follow->look(scene.clock.at));
}

TEST(Follow, AddsFromWhatIsKeptWhatGotLostOnItsWay) {
  Scene scene;
  scene.show(1, 0, "one two ");
  EXPECT_EQ(scene.next(), "one two ");
  scene.end("ne two three four");
  EXPECT_EQ(scene.next(), "three four");
  Scene gap;
  gap.show(1, 0, "one two ");
  EXPECT_EQ(gap.next(), "one two ");
  gap.end("much later");
  EXPECT_EQ(gap.next(), "\n[treadle: some output is left out]\nmuch later");
  Scene unseen;
  unseen.end("all of it");
  EXPECT_EQ(unseen.next(), "all of it") << "it was too short to be followed";
  EXPECT_FALSE(unseen.more);
}

TEST(Follow, NamesWhatIsMissingAndNewAttempts) {
  Scene scene;
  scene.show(1, 0, "one");
  scene.next();
  scene.show(1, 100, "far");
  EXPECT_EQ(scene.next(), "\n[treadle: 97 bytes are left out]\nfar");
  scene.state(core::TaskState::Running, 2);
  scene.show(2, 0, "again");
  EXPECT_EQ(scene.next(), "\n[treadle: attempt 2]\nagain");
  scene.end("third", 3);
  EXPECT_EQ(scene.next(), "\n[treadle: attempt 3]\nthird");
}

TEST(Follow, AsksTheDispatchersAgainNowAndThen) {
  Scene scene;
  for (int i = 0; i < 51; ++i) scene.next();  // each 200 ms
  EXPECT_EQ(scene.store.followed.size(), 6u);
}

TEST(Follow, WaitsForASlowClient) {
  Scene scene;
  scene.show(1, 0, std::string(core::limits::kLiveText, 'x'));
  scene.follow->look(scene.clock.at);
  const std::size_t asked = scene.store.followed.size();
  scene.show(1, 500'000, std::string(core::limits::kLiveText, 'y'));
  for (int i = 0; i < 100; ++i) {
    scene.clock.at = scene.clock.at + 1s;
    EXPECT_TRUE(scene.follow->look(scene.clock.at));
  }
  EXPECT_EQ(scene.store.followed.size(), asked) << "nothing is asked for that it cannot take";
  EXPECT_EQ(scene.next(), std::string(core::limits::kLiveText, 'x'));
  EXPECT_THAT(scene.next(), HasSubstr("bytes are left out]\nyyy"));
}

TEST(Follow, EndsWithItsClientItsTaskAndTheService) {
  Scene scene;
  scene.sink->left = true;
  EXPECT_FALSE(scene.follow->look(scene.clock.at));
  Scene deleted;
  deleted.store.tasks.clear();
  EXPECT_EQ(deleted.next(), "");
  EXPECT_FALSE(deleted.more);
  Scene stopped;
  Follows follows;
  ASSERT_TRUE(follows.add(stopped.follow));
  follows.stop_all();
  EXPECT_THAT(stopped.next(), HasSubstr("the service stops"));
  EXPECT_FALSE(stopped.more);
  EXPECT_TRUE(follows.empty());
}

TEST(Follow, HasALimit) {
  Scene scene;
  Follows follows;
  std::vector<std::shared_ptr<Follow>> all;
  for (std::size_t i = 0; i < core::limits::kMaxFollows; ++i) {
    all.push_back(std::make_shared<Follow>(scene.store, scene.clock, kTask, scene.sink));
    ASSERT_TRUE(follows.add(all.back()));
  }
  EXPECT_EQ(follows.add(scene.follow).error().code, Code::Full);
  all.pop_back();
  EXPECT_TRUE(follows.add(scene.follow));
}

TEST(Follow, OverHttp) {
  Running gateway;
  gateway.on_loop([&] {
    store::TaskView& view = gateway.store.tasks[kTask];
    view.id = kTask;
    view.state = core::TaskState::Running;
    view.attempt = 1;
    gateway.store.shown[kTask] = {1, {}, {}, 0, "so far\n"};
  });
  Client client(gateway.port());
  EXPECT_EQ(client.get("/v1/tasks/71ed469b-bc52-45d5-89ae-b21aa40760c9/logs?follow=1").status, 404);
  EXPECT_EQ(client.get("/v1/tasks/" + to_string(kTask) + "/logs?follow=2").status, 400);
  Client other(gateway.port());
  other.send("GET /v1/tasks/" + to_string(kTask) + "/logs?follow=1 HTTP/1.0\r\nHost: " + gateway.host() + "\r\n\r\n");
  gateway.settle();
  gateway.on_loop([&] {
    gateway.store.shown[kTask].text += "the end\n";
    gateway.store.tasks[kTask].state = core::TaskState::Completed;
    gateway.store.stories[kTask].output = "so far\nthe end\n";
  });
  const std::string all = other.read_to_end();
  EXPECT_THAT(all, HasSubstr("Content-Type: text/plain; charset=utf-8\r\n"));
  EXPECT_THAT(all, HasSubstr("Connection: close\r\n\r\nso far\nthe end\n"));
}

}  // namespace
}  // namespace treadle::gateway

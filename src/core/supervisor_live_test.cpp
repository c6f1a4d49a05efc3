// What running tasks show of themselves: progress, and output of those that are followed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/supervisor_rig.h"

namespace treadle::core {
namespace {

using namespace testing_rig;

Rig running(std::uint64_t attempts = 1) {
  Rig rig = Rig::started(local_config(2));
  for (std::uint64_t n = 1; n <= attempts; ++n) rig.give({attempt(n)});
  rig.give_body(1);
  rig.advance(10ms);
  rig.said.clear();
  return rig;
}

void tell(Rig& rig, std::uint64_t n, std::int32_t ppm, std::string note) {
  const std::uint32_t no = rig.runner(n);
  rig.step(ExecutorEvent{event::TaskProgress{ExecutorNo{no}, rig.task(n).seq, {ppm, std::move(note)}}});
  rig.turn();
}

void follow(Rig& rig, std::uint64_t n) {
  DispatcherMessage m = rig.message();
  m.follows.push_back({TaskId{Uuid{1, n}}, Token{n}});
  rig.say(std::move(m));
}

std::vector<LiveReport> shown(Rig& rig) {
  std::vector<LiveReport> all;
  for (const WorkerMessage& m : rig.said) all.insert(all.end(), m.live.begin(), m.live.end());
  return all;
}

std::string text_of(Rig& rig) {
  std::string text;
  for (const LiveReport& report : shown(rig)) {
    EXPECT_EQ(report.from, text.size()) << "no gap";
    text += report.text;
  }
  return text;
}

TEST(SupervisorLive, TellsTheNewestProgressAFewTimesASecond) {
  Rig rig = running();
  for (std::int32_t i = 1; i <= 50; ++i) {
    tell(rig, 1, i * 1000, "step " + std::to_string(i));
    rig.advance(10ms);
  }
  const auto reports = shown(rig);
  EXPECT_GE(reports.size(), 2u);
  EXPECT_LE(reports.size(), 4u) << "500 ms";
  EXPECT_EQ(reports[0].attempt, (Held{TaskId{Uuid{1, 1}}, Token{1}}));
  EXPECT_EQ(reports[0].progress, (Progress{1000, "step 1"}));
  rig.advance(200ms);
  EXPECT_EQ(shown(rig).back().progress, (Progress{50'000, "step 50"}));
  const std::size_t before = rig.said.size();
  rig.advance(500ms);
  EXPECT_EQ(shown(rig).size(), reports.size() + 1) << "nothing is said twice";
  EXPECT_GE(rig.said.size(), before);
}

TEST(SupervisorLive, ProgressOfATaskThatIsNotThereIsNobodys) {
  Rig rig = running();
  rig.step(ExecutorEvent{event::TaskProgress{ExecutorNo{rig.runner(1)}, 77, {1, "x"}}});
  rig.step(ExecutorEvent{event::TaskProgress{ExecutorNo{99}, 1, {1, "x"}}});
  rig.advance(1s);
  EXPECT_TRUE(shown(rig).empty());
}

TEST(SupervisorLive, ReadsTheOutputOfATaskThatIsFollowed) {
  Rig rig = running();
  const std::uint64_t seq = rig.task(1).seq;
  rig.written[seq] = "one\n";
  rig.advance(1s);
  EXPECT_TRUE(shown(rig).empty()) << "nobody wants to see it";
  follow(rig, 1);
  EXPECT_EQ(text_of(rig), "one\n");
  rig.written[seq] += "two\n";
  rig.advance(limits::kLiveEach);
  EXPECT_EQ(text_of(rig), "one\ntwo\n");
  event::TaskDone done;
  done.unread = {8, 14, "three\n"};
  rig.finish(rig.runner(1), 1ms, done);
  EXPECT_EQ(text_of(rig), "one\ntwo\nthree\n");
  ASSERT_EQ(rig.said.back().outcomes.size(), 1u);
  ASSERT_EQ(rig.said.back().live.size(), 1u) << "its end leaves with its outcome";
  EXPECT_EQ(rig.said.back().live[0].text, "three\n");
}

TEST(SupervisorLive, StopsReadingWhenNobodyFollowsAnyMore) {
  Rig rig = running();
  const std::uint64_t seq = rig.task(1).seq;
  follow(rig, 1);
  for (int i = 0; i < 100; ++i) {
    rig.written[seq] += "x";
    rig.advance(100ms);
  }
  const std::string text = text_of(rig);
  EXPECT_GE(text.size(), 58u);
  EXPECT_LE(text.size(), 63u) << "six seconds";
  follow(rig, 1);
  EXPECT_EQ(text_of(rig).size(), 100u) << "and goes on where it was";
}

TEST(SupervisorLive, OfAProcessThatDiesTheLastWordsAreShownToo) {
  Rig rig = running();
  follow(rig, 1);
  event::ExecutorDied died;
  died.unread = {0, 5, "dying"};
  rig.die(rig.runner(1), 9, died);
  EXPECT_EQ(text_of(rig), "dying");
}

TEST(SupervisorLive, AWaitingTaskIsFollowedFromItsStart) {
  SupervisorConfig config = local_config(1);
  Rig rig = Rig::started(config);
  rig.give({attempt(1), attempt(2)});
  rig.give_body(1);
  follow(rig, 2);
  const std::uint32_t first = rig.runner(1) != 0 ? rig.runner(1) : rig.runner(2);
  rig.advance(20ms);
  const std::uint64_t running = rig.runner(1) != 0 ? 1 : 2;
  EXPECT_TRUE(text_of(rig).empty());
  rig.finish(first, 1ms);
  if (running == 2) GTEST_SKIP() << "it was first";
  if (rig.runner(2) == 0) GTEST_SKIP() << "it was given back meanwhile";
  rig.written[rig.task(2).seq] = "begun";
  rig.advance(limits::kLiveEach);
  EXPECT_EQ(text_of(rig), "begun");
}

TEST(SupervisorLive, FollowsOnlySoManyAndIgnoresStrangers) {
  Rig rig = running();
  DispatcherMessage m = rig.message();
  m.follows.assign(200, {TaskId{Uuid{1, 5}}, Token{5}});
  rig.say(std::move(m));
  EXPECT_TRUE(shown(rig).empty());
  rig.written[rig.task(1).seq] = std::string(3 * limits::kLiveText, 'y');
  follow(rig, 1);
  ASSERT_EQ(shown(rig).size(), 1u);
  EXPECT_EQ(shown(rig)[0].text.size(), 3 * limits::kLiveText) << "how much is read at once is the pool's matter";
}

}  // namespace
}  // namespace treadle::core

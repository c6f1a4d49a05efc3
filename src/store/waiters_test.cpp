#include "store/waiters.h"

#include <gtest/gtest.h>

namespace treadle::store {
namespace {

TEST(Waiters, AreTakenByTaskOrWhenTheyAreLateAndNeverTwice) {
  Waiters waiters;
  std::string log;
  const TaskId a(Uuid{0, 1}), b(Uuid{0, 2});
  const auto say = [&log](char c) { return [&log, c](Result<TaskView>) { log += c; }; };
  waiters.add(a, Instant{30}, say('1'));
  waiters.add(a, Instant{10}, say('2'));
  waiters.add(b, Instant{20}, say('3'));
  EXPECT_EQ(waiters.next_deadline(), Instant{10});
  for (auto& [id, answer] : waiters.take_late(Instant{10})) answer(TaskView{id});
  EXPECT_EQ(log, "2");
  for (auto& answer : waiters.take(a)) answer(TaskView{a});
  EXPECT_EQ(log, "21");
  EXPECT_EQ(waiters.size(), 1u);
  EXPECT_TRUE(waiters.take(a).empty());
  for (auto& [id, answer] : waiters.take_late(Instant{99})) answer(TaskView{id});
  EXPECT_EQ(log, "213");
  EXPECT_EQ(waiters.next_deadline(), Instant::never());
}

}  // namespace
}  // namespace treadle::store

#include "store/live_table.h"

#include <gtest/gtest.h>

namespace treadle::store {
namespace {

const TaskId kTask{Uuid{1, 1}};

core::LiveItem output(std::uint32_t number, std::uint64_t from, std::string text, TaskId task = kTask) {
  core::LiveItem item;
  item.number = number;
  item.report.attempt.task = task;
  item.report.from = from;
  item.report.text = std::move(text);
  return item;
}

TEST(LiveTable, PutsOutputTogether) {
  LiveTable table;
  EXPECT_EQ(table.find(kTask).attempt, 0u);
  table.add(output(1, 0, "one "), {5});
  table.add(output(1, 4, "two "), {6});
  table.add(output(1, 4, "two "), {7});  // said again
  EXPECT_EQ(table.find(kTask).from, 0u);
  EXPECT_EQ(table.find(kTask).text, "one two ");
  EXPECT_EQ(table.find(kTask).at.ms, 0) << "that is of progress";
}

TEST(LiveTable, BeginsAnewBehindAGapAndWithANewAttempt) {
  LiveTable table;
  table.add(output(1, 0, "one"), {5});
  table.add(output(1, 100, "far"), {6});
  EXPECT_EQ(table.find(kTask).from, 100u);
  EXPECT_EQ(table.find(kTask).text, "far");
  core::LiveItem progress = output(2, 0, "");
  progress.report.has_progress = true;
  progress.report.progress = {500'000, "half"};
  table.add(progress, {9});
  table.add(output(1, 103, "late"), {10});  // of the attempt before
  const LiveView view = table.find(kTask);
  EXPECT_EQ(view.attempt, 2u);
  EXPECT_EQ(view.text, "");
  EXPECT_EQ(view.progress, (core::Progress{500'000, "half"}));
  EXPECT_EQ(view.at.ms, 9);
}

TEST(LiveTable, KeepsTheNewestOutputFromTheBeginOfACharacter) {
  LiveTable table;
  const std::string euro = "\xE2\x82\xAC";
  std::string text = euro;
  while (text.size() + euro.size() <= core::limits::kLiveText) text += euro;
  table.add(output(1, 0, text), {1});
  table.add(output(1, text.size(), "xy"), {1});
  const LiveView view = table.find(kTask);
  EXPECT_LE(view.text.size(), core::limits::kLiveText);
  EXPECT_EQ(view.from % euro.size(), 0u);
  EXPECT_EQ(view.from + view.text.size(), text.size() + 2);
  EXPECT_EQ(view.text.substr(0, euro.size()), euro);
  EXPECT_TRUE(view.text.ends_with(euro + "xy"));
}

TEST(LiveTable, ForgetsWhatWasNotAskedForWhenThereIsTooMuch) {
  LiveTable table(100'000);
  for (std::uint64_t n = 1; n <= 3; ++n) table.add(output(1, 0, std::string(40'000, 'x'), TaskId{Uuid{1, n}}), {1});
  EXPECT_EQ(table.find(kTask).attempt, 0u);
  EXPECT_EQ(table.find(TaskId{Uuid{1, 3}}).text.size(), 40'000u);
}

}  // namespace
}  // namespace treadle::store

#include "store/ready_queue.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/rng.h"
#include "store/task_index.h"

namespace treadle::store {
namespace {

// A ready queue and the plainest thing that does the same: a sorted set.
class Pair {
 public:
  Pair() : queue_("", entries_, [this](std::uint32_t slot) { release(slot); }) {}

  void push_new(std::int16_t priority) {
    const std::uint32_t slot = entries_.take();
    Entry& entry = entries_[slot];
    entry = {};
    entry.id = TaskId(Uuid{1, ++seq_});
    entry.seq = seq_;
    ++slots_;
    push(slot, priority);
  }
  void push(std::uint32_t slot, std::int16_t priority) {
    entries_[slot].state = core::TaskState::Queued;
    priority_[slot] = priority;
    queue_.push(slot, priority);
    model_.insert({-priority, entries_[slot].seq, slot});
  }
  std::uint32_t pop() {
    const std::uint32_t slot = queue_.pop();
    if (model_.empty()) {
      EXPECT_EQ(slot, TaskIndex::kNone);
      return slot;
    }
    EXPECT_EQ(slot, std::get<2>(*model_.begin()));
    model_.erase(model_.begin());
    entries_[slot].state = core::TaskState::Claimed;
    held_.insert(slot);
    return slot;
  }
  // Out of the middle, as re-assertion does (`ends` false), or as cancel does.
  void take_any(Rng& rng, bool ends) {
    if (model_.empty()) return;
    auto it = model_.begin();
    std::advance(it, rng.below(model_.size()));
    const std::uint32_t slot = std::get<2>(*it);
    model_.erase(it);
    queue_.remove(slot, priority_[slot]);
    entries_[slot].state = core::TaskState::Claimed;
    ends ? end(slot) : static_cast<void>(held_.insert(slot));
  }
  void return_any(Rng& rng, bool ends) {
    if (held_.empty()) return;
    auto it = held_.begin();
    std::advance(it, rng.below(held_.size()));
    const std::uint32_t slot = *it;
    held_.erase(it);
    ends ? end(slot) : push(slot, priority_[slot]);
  }
  void end(std::uint32_t slot) {
    if (entries_[slot].where == Where::Fifo) {
      entries_[slot].flags = Entry::kGone;
      queue_.bury(priority_[slot]);
    } else {
      release(slot);
    }
  }
  void release(std::uint32_t slot) {
    --slots_;
    entries_.give_back(slot);
  }

  Entries entries_;
  ReadyQueue queue_;
  std::set<std::tuple<int, std::uint64_t, std::uint32_t>> model_;
  std::map<std::uint32_t, std::int16_t> priority_;
  std::set<std::uint32_t> held_;
  std::uint64_t seq_ = 0;
  std::uint64_t slots_ = 0;  // taken and not released
};

TEST(ReadyQueue, IsPriorityThenAgeWhateverLeavesAndComesBack) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Rng rng(seed);
    Pair both;
    for (int step = 0; step < 3000; ++step) {
      const std::uint64_t dice = rng.below(10);
      if (dice < 4) both.push_new(static_cast<std::int16_t>(rng.below(3)));
      if (dice == 4) both.take_any(rng, true);
      if (dice == 5) both.take_any(rng, false);
      if (dice == 6) both.return_any(rng, true);
      if (dice == 7) both.return_any(rng, false);
      if (dice > 7) both.pop();
      ASSERT_EQ(both.queue_.size(), both.model_.size());
    }
    while (!both.model_.empty()) both.pop();
    while (!both.held_.empty()) both.return_any(rng, true);
    both.pop();
    EXPECT_TRUE(both.queue_.clean()) << seed;
    EXPECT_EQ(both.slots_, 0u) << "slots leak";
  }
}

TEST(ReadyQueue, DeadNodesDoNotPileUpWhenNobodyClaims) {
  Pair both;
  Rng rng(1);
  both.push_new(0);
  for (int i = 0; i < 20'000; ++i) {
    both.push_new(0);
    const std::uint32_t slot = std::get<2>(*both.model_.rbegin());
    both.model_.erase(std::prev(both.model_.end()));
    both.queue_.remove(slot, 0);
    both.entries_[slot].state = core::TaskState::Claimed;
    both.end(slot);
  }
  EXPECT_LT(both.entries_.slots(), 3'000u);
}

TEST(ReadyQueue, LooksAheadAtEachTaskOnce) {
  Pair both;
  for (int i = 0; i < 1000; ++i) both.push_new(0);
  std::vector<std::uint32_t> named;
  for (int i = 0; i < 1000; ++i) {
    both.queue_.look_ahead(64, [&](std::uint32_t slot) { named.push_back(slot); });
    const std::uint32_t slot = both.pop();
    ASSERT_GT(named.size(), static_cast<std::size_t>(i));
    EXPECT_EQ(named[static_cast<std::size_t>(i)], slot) << "named before it was taken, in the same order";
  }
  EXPECT_EQ(named.size(), 1000u);
}

}  // namespace
}  // namespace treadle::store

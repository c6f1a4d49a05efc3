#include "store/ready_queue.h"

#include "base/assert.h"
#include "store/task_index.h"

namespace treadle::store {
namespace {

constexpr std::size_t kDeadNodesWorthASweep = 1024;

}  // namespace

void ReadyQueue::push(std::uint32_t slot, std::int16_t priority) {
  Entry& entry = entries_[slot];
  TREADLE_ASSERT(entry.claimable());
  ++size_;
  if (entry.where == Where::Fifo) return;  // its old node still stands where it belongs
  Level& level = levels_[priority];
  if (level.fifo.empty() || entries_[level.fifo.back()].seq < entry.seq) {
    level.fifo.push_back(slot);
    entry.where = Where::Fifo;
  } else {
    level.returned.emplace(entry.seq, slot);
    entry.where = Where::Returned;
  }
}

void ReadyQueue::drop_front(Level& level) {
  const std::uint32_t slot = level.fifo.front();
  level.fifo.pop_front();
  if (level.seen > 0) --level.seen;
  Entry& entry = entries_[slot];
  entry.where = Where::Nowhere;
  if (!entry.is(Entry::kGone)) return;
  --level.dead;
  release_(slot);
}

void ReadyQueue::skip_dead(Level& level) {
  while (!level.fifo.empty() && !entries_[level.fifo.front()].claimable()) drop_front(level);
}

std::uint32_t ReadyQueue::pop() {
  for (auto it = levels_.begin(); it != levels_.end();) {
    Level& level = it->second;
    skip_dead(level);
    if (level.fifo.empty() && level.returned.empty()) {
      it = levels_.erase(it);
      continue;
    }
    std::uint32_t slot = TaskIndex::kNone;
    if (level.fifo.empty() ||
        (!level.returned.empty() && level.returned.begin()->first < entries_[level.fifo.front()].seq)) {
      slot = level.returned.begin()->second;
      level.returned.erase(level.returned.begin());
      entries_[slot].where = Where::Nowhere;
    } else {
      slot = level.fifo.front();
      drop_front(level);
    }
    --size_;
    return slot;
  }
  return TaskIndex::kNone;
}

void ReadyQueue::remove(std::uint32_t slot, std::int16_t priority) {
  Entry& entry = entries_[slot];
  --size_;
  if (entry.where != Where::Returned) return;  // its node in the line is skipped when its turn comes
  levels_.at(priority).returned.erase({entry.seq, slot});
  entry.where = Where::Nowhere;
}

void ReadyQueue::bury(std::int16_t priority) {
  const auto at = levels_.find(priority);
  TREADLE_ASSERT(at != levels_.end());
  Level& level = at->second;
  ++level.dead;
  const bool all = level.dead == level.fifo.size();
  if (all || (level.dead > kDeadNodesWorthASweep && level.dead * 2 > level.fifo.size())) sweep(level);
  if (level.fifo.empty() && level.returned.empty()) levels_.erase(at);
}

void ReadyQueue::sweep(Level& level) {
  std::deque<std::uint32_t> living;
  std::size_t seen = 0;
  for (std::size_t i = 0; i < level.fifo.size(); ++i) {
    const std::uint32_t slot = level.fifo[i];
    if (entries_[slot].is(Entry::kGone)) {
      release_(slot);
      continue;
    }
    if (i < level.seen) ++seen;
    living.push_back(slot);
  }
  level.fifo = std::move(living);
  level.seen = seen;
  level.dead = 0;
}

}  // namespace treadle::store

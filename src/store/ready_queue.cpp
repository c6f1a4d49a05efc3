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

// The level of the first claimable one, with that in front of its line or of those that came back; end(): there is
// none.
ReadyQueue::Levels::iterator ReadyQueue::first_level() {
  auto it = levels_.begin();
  for (; it != levels_.end(); it = levels_.erase(it)) {
    skip_dead(it->second);
    if (!it->second.fifo.empty() || !it->second.returned.empty()) break;
  }
  return it;
}

bool ReadyQueue::returned_first(const Level& level) const {
  if (level.returned.empty()) return false;
  return level.fifo.empty() || level.returned.begin()->first < entries_[level.fifo.front()].seq;
}

std::optional<ReadyQueue::Head> ReadyQueue::head() {
  const auto first = first_level();
  if (first == levels_.end()) return std::nullopt;
  const Level& level = first->second;
  const std::uint64_t seq = returned_first(level) ? level.returned.begin()->first : entries_[level.fifo.front()].seq;
  return Head{first->first, seq};
}

std::uint32_t ReadyQueue::pop() {
  const auto first = first_level();
  if (first == levels_.end()) return TaskIndex::kNone;
  Level& level = first->second;
  std::uint32_t slot = TaskIndex::kNone;
  if (returned_first(level)) {
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

std::uint32_t ReadyQueue::oldest() {
  std::uint32_t slot = TaskIndex::kNone;
  const auto consider = [&](std::uint32_t one) {
    if (slot == TaskIndex::kNone || entries_[one].seq < entries_[slot].seq) slot = one;
  };
  for (auto& [priority, level] : levels_) {
    skip_dead(level);
    if (!level.fifo.empty()) consider(level.fifo.front());
    if (!level.returned.empty()) consider(level.returned.begin()->second);
  }
  return slot;
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

// One named queue: what may be claimed now, by priority, then age. Four bytes for each task that waits in line.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "store/entries.h"

namespace treadle::store {

// A task that ends while it stands in line leaves its node behind (taking it out of the middle would cost a search);
// such dead nodes are skipped, and swept when they are most of the line. Slots of swept nodes are handed to `release`.
class ReadyQueue {
 public:
  ReadyQueue(std::string name, Entries& entries, std::function<void(std::uint32_t slot)> release)
      : name_(std::move(name)), entries_(entries), release_(std::move(release)) {}

  const std::string& name() const { return name_; }
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  bool clean() const { return levels_.empty(); }  // no node is left, not even a dead one

  // The entry is claimable; sets its `where`.
  void push(std::uint32_t slot, std::int16_t priority);
  struct Head {
    std::int16_t priority = 0;
    std::uint64_t seq = 0;
    bool before(const Head& other) const {
      return priority != other.priority ? priority > other.priority : seq < other.seq;
    }
  };
  // Of the first one; nothing: there is none.
  std::optional<Head> head();
  // The first one, taken out, or TaskIndex::kNone.
  std::uint32_t pop();
  // The slot of the one that was accepted first, whatever its priority, or TaskIndex::kNone.
  std::uint32_t oldest();
  // Takes a claimable entry out of its place; call before its state changes.
  void remove(std::uint32_t slot, std::int16_t priority);
  // The entry was removed, and its task has ended: its slot is released when its node goes.
  void bury(std::int16_t priority);

  // Slots among the next ones to be claimed that were not named to `visit` before; looks at `most` at a time.
  template <class Visit>
  void look_ahead(std::size_t most, Visit visit);

 private:
  struct Level {
    std::deque<std::uint32_t> fifo;                              // in order of seq
    std::set<std::pair<std::uint64_t, std::uint32_t>> returned;  // (seq, slot)
    std::size_t seen = 0;                                        // nodes at the front of fifo that look_ahead has named
    std::size_t dead = 0;                                        // buried nodes in fifo
  };
  using Levels = std::map<std::int16_t, Level, std::greater<>>;
  Levels::iterator first_level();
  bool returned_first(const Level& level) const;
  void drop_front(Level& level);
  void skip_dead(Level& level);
  void sweep(Level& level);

  std::string name_;
  Entries& entries_;
  std::function<void(std::uint32_t)> release_;
  Levels levels_;         // no level is without nodes
  std::size_t size_ = 0;  // claimable entries
};

template <class Visit>
void ReadyQueue::look_ahead(std::size_t most, Visit visit) {
  for (auto& [priority, level] : levels_) {
    if (level.seen * 2 >= most) return;  // far enough ahead: come back when half of it is taken
    for (; level.seen < level.fifo.size() && most > 0; ++level.seen, --most) {
      const std::uint32_t slot = level.fifo[level.seen];
      if (entries_[slot].claimable()) visit(slot);
    }
    if (most == 0) return;
  }
}

}  // namespace treadle::store

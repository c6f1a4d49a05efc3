// The ledger's lines: who may take from which, and tasks that wait beside theirs for one with the same concurrency key.
#include <algorithm>

#include "base/assert.h"
#include "store/ledger.h"

namespace treadle::store {

// ---- lines ----

// The queue's own, and those of its tasks that ask for labels which the claimer has.
std::vector<Ledger::Queue*> Ledger::lines_for(const std::string& queue, const std::vector<std::string>& labels) {
  std::vector<Queue*> lines{queues_[queue_named(queue)].get()};
  if (labelled_lines_ > 0) {
    const std::string_view name = core::queue_of_line(queue);
    for (const auto& line : queues_) {
      if (!line || core::labels_of_line(line->ready.name()).empty()) continue;
      if (core::queue_of_line(line->ready.name()) != name) continue;
      if (core::has_labels(labels, core::labels_of_line(line->ready.name()))) lines.push_back(line.get());
    }
  }
  for (Queue* line : lines) line->claimed = true;
  return lines;
}

// The line whose first task comes first; null: all are empty.
Ledger::Queue* Ledger::first_of(const std::vector<Queue*>& lines) {
  if (lines.size() == 1) return lines[0]->ready.empty() ? nullptr : lines[0];
  Queue* first = nullptr;
  ReadyQueue::Head best;
  for (Queue* line : lines) {
    const auto head = line->ready.head();
    if (!head || (first && !head->before(best))) continue;
    first = line;
    best = *head;
  }
  return first;
}

// ---- limits ----

Limiters::Group Ledger::group_of(std::uint32_t slot) const {
  const Profile& p = profile(entries_[slot]);
  return {p.queue, p.limit};
}

Limiters::Rank Ledger::rank_of(std::uint32_t slot) const {
  const Entry& entry = entries_[slot];
  return {-std::int32_t{profile(entry).options.priority}, entry.seq, slot};
}

// True: as many of its key are held as may be. It waits beside its line until one of them is let go.
bool Ledger::park_if_full(std::uint32_t slot) {
  const Profile& p = profile(entries_[slot]);
  if (p.limiter == Limiters::kNone || !limiters_.is_full(p.limiter, p.limit)) return false;
  limiters_.park(p.limiter, group_of(slot), rank_of(slot));
  entries_[slot].where = Where::Parked;
  return true;
}

// One that was parked may have its turn: something of this task's key was let go, or left the line.
void Ledger::wake_parked(std::uint32_t slot) {
  const std::uint32_t limiter = profile(entries_[slot]).limiter;
  if (limiter == Limiters::kNone) return;
  for (const std::uint32_t woken : limiters_.wake(limiter)) {
    entries_[woken].where = Where::Nowhere;
    push_ready(woken);
  }
}

void Ledger::hold_limit(std::uint32_t slot) {
  if (const std::uint32_t limiter = profile(entries_[slot]).limiter; limiter != Limiters::kNone)
    limiters_.hold(limiter);
}

void Ledger::let_go_limit(std::uint32_t slot) {
  const std::uint32_t limiter = profile(entries_[slot]).limiter;
  if (limiter == Limiters::kNone) return;
  limiters_.let_go(limiter);
  wake_parked(slot);
}

}  // namespace treadle::store

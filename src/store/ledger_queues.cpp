// The ledger's queues as people see and stop them.
#include <algorithm>
#include <map>

#include "store/ledger.h"

namespace treadle::store {

std::vector<Ledger::QueueFigures> Ledger::queues() {
  std::map<std::string, QueueFigures> all;
  const auto of = [&](const Queue& line) -> QueueFigures& {
    return all[std::string(core::queue_of_line(line.ready.name()))];
  };
  std::map<const QueueFigures*, std::uint64_t> oldest;  // by their seq
  for (const auto& line : queues_) {
    if (!line) continue;
    QueueFigures& one = of(*line);
    one.queued += line->ready.size();
    const std::uint32_t slot = line->ready.oldest();
    if (slot == kNone) continue;
    const auto [known, is_first] = oldest.try_emplace(&one, entries_[slot].seq);
    if (!is_first && known->second < entries_[slot].seq) continue;
    known->second = entries_[slot].seq;
    one.oldest = entries_[slot].id;
  }
  for (const auto& [slot, holding] : holdings_) {
    if (entries_[slot].held()) ++of(*queues_[profile(entries_[slot]).queue]).running;
  }
  for (const std::string& name : paused_) all[name].paused = true;
  std::vector<QueueFigures> figures;
  for (auto& [name, one] : all) {
    one.name = name;
    figures.push_back(std::move(one));
  }
  return figures;
}

void Ledger::pause(const std::string& queue, bool paused, Now now, Decisions& out) {
  const std::string& name = is_default_queue(queue) ? std::string() : queue;
  paused ? void(paused_.insert(name)) : void(paused_.erase(name));
  out.changes.push_back(change::PauseQueue{name, paused ? now.wall : WallMs{}});
  if (paused) return;
  for (const auto& line : queues_)
    if (line && core::queue_of_line(line->ready.name()) == name && !line->ready.empty()) work_hint_ = true;
}

}  // namespace treadle::store

// Requests that wait for a task to end, and when each gives up.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "store/store.h"

namespace treadle::store {

class Waiters {
 public:
  using Answer = Done<Result<TaskView>>;

  std::size_t size() const { return by_deadline_.size(); }
  void add(TaskId id, Instant deadline, Answer answer) {
    const auto it = by_deadline_.emplace(deadline, Waiter{id, std::move(answer)});
    by_task_.emplace(id, it);
  }
  std::vector<Answer> take(TaskId id) {
    std::vector<Answer> answers;
    const auto [from, to] = by_task_.equal_range(id);
    for (auto it = from; it != to; ++it) {
      answers.push_back(std::move(it->second->second.answer));
      by_deadline_.erase(it->second);
    }
    by_task_.erase(from, to);
    return answers;
  }
  std::vector<std::pair<TaskId, Answer>> take_late(Instant now) {
    std::vector<std::pair<TaskId, Answer>> late;
    while (!by_deadline_.empty() && by_deadline_.begin()->first <= now) {
      const auto first = by_deadline_.begin();
      const auto [from, to] = by_task_.equal_range(first->second.task);
      for (auto it = from; it != to; ++it) {
        if (it->second != first) continue;
        by_task_.erase(it);
        break;
      }
      late.emplace_back(first->second.task, std::move(first->second.answer));
      by_deadline_.erase(first);
    }
    return late;
  }
  bool contains(TaskId id) const { return by_task_.contains(id); }
  std::vector<TaskId> tasks() const {  // each once
    std::vector<TaskId> ids;
    for (auto it = by_task_.begin(); it != by_task_.end(); it = by_task_.equal_range(it->first).second)
      ids.push_back(it->first);
    return ids;
  }
  Instant next_deadline() const { return by_deadline_.empty() ? Instant::never() : by_deadline_.begin()->first; }

 private:
  struct Waiter {
    TaskId task;
    Answer answer;
  };
  using ByDeadline = std::multimap<Instant, Waiter>;
  ByDeadline by_deadline_;
  std::unordered_multimap<TaskId, ByDeadline::iterator> by_task_;
};

}  // namespace treadle::store

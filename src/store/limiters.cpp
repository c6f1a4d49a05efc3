#include "store/limiters.h"

#include "base/assert.h"

namespace treadle::store {

std::uint32_t Limiters::acquire(const std::string& key) {
  if (const auto known = numbers_.find(key); known != numbers_.end()) {
    ++all_[known->second].profiles;
    return known->second;
  }
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(all_.size()));
    all_.emplace_back();
  }
  const std::uint32_t number = free_.back();
  free_.pop_back();
  all_[number].key = key;
  all_[number].profiles = 1;
  numbers_.emplace(key, number);
  return number;
}

void Limiters::release(std::uint32_t number) {
  Limiter& limiter = all_[number];
  if (--limiter.profiles > 0) return;
  TREADLE_ASSERT(limiter.held == 0 && limiter.parked.empty());
  numbers_.erase(limiter.key);
  limiter = {};
  free_.push_back(number);
}

void Limiters::unpark(std::uint32_t number, Group group, Rank rank) {
  auto& parked = all_[number].parked;
  const auto at = parked.find(group);
  TREADLE_ASSERT(at != parked.end() && at->second.erase(rank) == 1);
  if (at->second.empty()) parked.erase(at);
}

std::vector<std::uint32_t> Limiters::wake(std::uint32_t number) {
  Limiter& limiter = all_[number];
  std::vector<std::uint32_t> woken;
  for (auto at = limiter.parked.begin(); at != limiter.parked.end();) {
    auto& [group, waiting] = *at;
    if (limiter.held < group.limit) {
      woken.push_back(waiting.begin()->slot);
      waiting.erase(waiting.begin());
    }
    at = waiting.empty() ? limiter.parked.erase(at) : std::next(at);
  }
  return woken;
}

}  // namespace treadle::store

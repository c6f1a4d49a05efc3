#include "store/profiles.h"

#include <functional>
#include <string>
#include <tuple>

namespace treadle::store {
namespace {

auto members(const core::Options& o) {
  return std::tie(o.delivery, o.isolation, o.max_attempts, o.retries, o.retry_delay_ms, o.time_limit_ms, o.priority,
                  o.memory_limit, o.queue, o.environment, o.more);
}

std::size_t hash_of(std::uint64_t function_no, const core::Options& options) {
  std::size_t hash = function_no;
  const auto mix = [&hash]<class T>(const T& value) { hash = (hash ^ std::hash<T>{}(value)) * 0x9e3779b97f4a7c15; };
  std::apply([&](const auto&... member) { (mix(member), ...); }, members(options));
  return hash;
}

}  // namespace

bool same_options(const core::Options& a, const core::Options& b) { return members(a) == members(b); }

std::uint32_t Profiles::acquire(const FunctionRef& function, const core::Options& options, bool& is_new) {
  const std::size_t hash = hash_of(function->no, options);
  const auto [from, to] = by_content_.equal_range(hash);
  for (auto it = from; it != to; ++it) {
    Profile& known = all_[it->second];
    if (known.function->no != function->no || !same_options(known.options, options)) continue;
    ++known.tasks;
    is_new = false;
    return it->second;
  }
  is_new = true;
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(all_.size()));
    all_.emplace_back();
  }
  const std::uint32_t number = free_.back();
  free_.pop_back();
  all_[number] = Profile{.function = function, .options = options, .tasks = 1};
  by_content_.emplace(hash, number);
  return number;
}

bool Profiles::release(std::uint32_t number) {
  Profile& profile = all_[number];
  if (--profile.tasks > 0) return false;
  const auto [from, to] = by_content_.equal_range(hash_of(profile.function->no, profile.options));
  for (auto it = from; it != to; ++it) {
    if (it->second != number) continue;
    by_content_.erase(it);
    break;
  }
  profile = {};
  free_.push_back(number);
  return true;
}

}  // namespace treadle::store

// Tasks that share a concurrency key: how many of them are held, and which wait for one of those to end.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace treadle::store {

// A task that finds its limit reached when its turn comes leaves its line and is parked, so that it holds up nobody
// behind it. Each time one of its key is let go, or leaves the line for another reason, the first of each group goes
// back to its line: a group is what has the same line and the same limit, so that one which nobody claims from holds up
// no other. More may be woken than can be taken; those are parked again.
class Limiters {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;

  struct Group {
    std::uint32_t line = 0;
    std::uint32_t limit = 0;
    friend auto operator<=>(const Group&, const Group&) = default;
  };
  struct Rank {              // priority first, then age
    std::int32_t below = 0;  // the priority, negated
    std::uint64_t seq = 0;
    std::uint32_t slot = 0;
    friend auto operator<=>(const Rank&, const Rank&) = default;
  };

  // One more profile of tasks has this key; the number of its limiter.
  std::uint32_t acquire(const std::string& key);
  void release(std::uint32_t number);

  bool is_full(std::uint32_t number, std::uint32_t limit) const { return all_[number].held >= limit; }
  void hold(std::uint32_t number) { ++all_[number].held; }
  void let_go(std::uint32_t number) { --all_[number].held; }
  void park(std::uint32_t number, Group group, Rank rank) { all_[number].parked[group].insert(rank); }
  void unpark(std::uint32_t number, Group group, Rank rank);
  // Takes the first out of each group whose limit is not reached; their slots.
  std::vector<std::uint32_t> wake(std::uint32_t number);

 private:
  struct Limiter {
    std::string key;
    std::uint32_t held = 0;
    std::uint32_t profiles = 0;
    std::map<Group, std::set<Rank>> parked;  // no group is empty
  };
  std::vector<Limiter> all_;
  std::vector<std::uint32_t> free_;
  std::unordered_map<std::string, std::uint32_t> numbers_;
};

}  // namespace treadle::store

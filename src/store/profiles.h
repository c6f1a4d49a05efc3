// What many tasks have in common, stored once: their function and their options. A task entry holds only a number.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "store/changes.h"
#include "store/limiters.h"

namespace treadle::store {

bool same_options(const core::Options& a, const core::Options& b);

struct Profile {
  FunctionRef function;
  core::Options options;
  std::uint32_t queue = 0;  // number of its ready queue
  std::uint32_t limiter = Limiters::kNone;
  std::uint32_t limit = 0;    // of tasks of the limiter
  std::uint64_t keep_ms = 0;  // after their ends; 0 = as others
  std::uint32_t tasks = 0;    // that refer to it
};

class Profiles {
 public:
  // Adds one reference. `is_new` tells that the caller must set `queue` and `limiter`.
  std::uint32_t acquire(const FunctionRef& function, const core::Options& options, bool& is_new);
  // True: it was the last reference, and the profile is gone.
  bool release(std::uint32_t number);

  Profile& operator[](std::uint32_t number) { return all_[number]; }
  const Profile& operator[](std::uint32_t number) const { return all_[number]; }

 private:
  std::vector<Profile> all_;
  std::vector<std::uint32_t> free_;
  std::unordered_multimap<std::size_t, std::uint32_t> by_content_;  // hash of function and options -> number
};

}  // namespace treadle::store

// How long tasks run, and what follows from it: how many may be waiting where.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.h"
#include "core/limits.h"

namespace treadle::core {

// A mean that forgets: each sample counts an eighth. One sample is cut at a second: longer ones are "long" all the
// same, and a function that slept once is soon known as quick again.
class RunMean {
 public:
  bool known() const { return mean_ >= Duration{0}; }
  Duration value() const { return mean_; }  // only if known()
  void add(Duration ran) {
    ran = std::clamp(ran, Duration{0}, Duration{1s});
    mean_ = known() ? mean_ + (ran - mean_) / 8 : ran;
  }

 private:
  Duration mean_{-1};
};

// Attempts that may wait in this worker for one slot. `age` is how long the task in that slot has run already: it
// counts as a sample, so that one long task stops the prefetch for its slot at once.
inline std::uint32_t prefetch_for(const RunMean& mean, Duration age) {
  if (!mean.known()) return 0;
  const Duration expected = std::max({mean.value(), age, Duration{1}});
  if (expected > limits::kLongTask) return 0;
  const auto wanted = (limits::kPrefetchWork + expected - Duration{1}) / expected;
  return static_cast<std::uint32_t>(std::min<std::int64_t>(wanted, limits::kMaxPrefetchPerSlot));
}

}  // namespace treadle::core

// The real clocks and the real randomness: the only place where they are read.
#pragma once

#include "base/rng.h"
#include "base/time.h"

namespace treadle::runtime {

class SystemClock final : public Clock {
 public:
  Instant now() const override;  // CLOCK_MONOTONIC
  WallMs wall() const override;  // CLOCK_REALTIME
};

Rng::Seed os_seed();  // from getrandom(2)
std::uint64_t os_random();

}  // namespace treadle::runtime

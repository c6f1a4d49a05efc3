// Two kinds of time that never mix: Instant (monotonic; deadlines, leases) and WallMs (stored and shown; decides
// nothing).
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>

namespace treadle {

using Duration = std::chrono::nanoseconds;
using namespace std::chrono_literals;

// Nanoseconds of CLOCK_MONOTONIC. Passed in, never read, below `runtime`.
struct Instant {
  std::int64_t ns = 0;
  static constexpr Instant never() { return {std::numeric_limits<std::int64_t>::max()}; }
  friend constexpr auto operator<=>(const Instant&, const Instant&) = default;
  friend constexpr Duration operator-(Instant a, Instant b) { return Duration(a.ns - b.ns); }
  friend constexpr Instant operator+(Instant a, Duration d) {
    const bool ends = d.count() > 0 ? a.ns > never().ns - d.count() : a == never();
    return ends ? never() : Instant{a.ns + d.count()};
  }
  friend constexpr Instant operator-(Instant a, Duration d) { return Instant{a.ns - d.count()}; }
};

// Milliseconds since 1970 of the wall clock.
struct WallMs {
  std::int64_t ms = 0;
  friend constexpr auto operator<=>(const WallMs&, const WallMs&) = default;
};

// The only way for a store to learn the time; runtime/system_clock.h is the real one, tests bring their own.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant now() const = 0;
  virtual WallMs wall() const = 0;
};

}  // namespace treadle

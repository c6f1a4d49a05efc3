// Simulated time: a heap of things that will happen. One seed gives one history.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/callback.h"
#include "base/rng.h"
#include "base/time.h"

namespace treadle::sim {

class World final : public Clock {
 public:
  explicit World(std::uint64_t seed) : rng(seed) {}

  Instant now() const override { return now_; }
  WallMs wall() const override { return {1'700'000'000'000 + wall_step_ms_ + now_.ns / 1'000'000}; }
  void step_wall_clock(std::int64_t ms) { wall_step_ms_ += ms; }

  void at(Instant when, Callback<void()> what) {
    heap_.push_back({std::max(when, now_), next_++, std::move(what)});
    std::push_heap(heap_.begin(), heap_.end());
  }
  void after(Duration delay, Callback<void()> what) { at(now_ + delay, std::move(what)); }
  // Runs the next thing; false: nothing is left.
  bool step() {
    if (heap_.empty()) return false;
    std::pop_heap(heap_.begin(), heap_.end());
    Entry entry = std::move(heap_.back());
    heap_.pop_back();
    now_ = entry.when;
    ++events;
    entry.what();
    return true;
  }
  Duration between(Duration least, Duration most) {
    return least +
           Duration(static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>((most - least).count() + 1))));
  }

  Rng rng;
  std::uint64_t events = 0;

 private:
  struct Entry {
    Instant when;
    std::uint64_t order;  // of equal times, the first asked for comes first
    Callback<void()> what;
    bool operator<(const Entry& other) const { return when != other.when ? when > other.when : order > other.order; }
  };
  std::vector<Entry> heap_;
  Instant now_{1'000'000'000};
  std::uint64_t next_ = 0;
  std::int64_t wall_step_ms_ = 0;
};

}  // namespace treadle::sim

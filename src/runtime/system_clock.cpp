#include "runtime/system_clock.h"

#include <sys/random.h>
#include <time.h>

#include "base/assert.h"

namespace treadle::runtime {
namespace {

timespec read_clock(clockid_t which) {
  timespec t{};
  clock_gettime(which, &t);
  return t;
}

void fill(void* out, std::size_t size) {
  const ssize_t got = getrandom(out, size, 0);  // up to 256 bytes come whole
  TREADLE_ASSERT_MSG(got == static_cast<ssize_t>(size), "getrandom gave no randomness");
}

}  // namespace

Instant SystemClock::now() const {
  const timespec t = read_clock(CLOCK_MONOTONIC);
  return {t.tv_sec * 1'000'000'000 + t.tv_nsec};
}

WallMs SystemClock::wall() const {
  const timespec t = read_clock(CLOCK_REALTIME);
  return {t.tv_sec * 1000 + t.tv_nsec / 1'000'000};
}

Rng::Seed os_seed() {
  Rng::Seed seed;
  fill(seed.data(), sizeof seed);
  return seed;
}

std::uint64_t os_random() {
  std::uint64_t value = 0;
  fill(&value, sizeof value);
  return value;
}

}  // namespace treadle::runtime

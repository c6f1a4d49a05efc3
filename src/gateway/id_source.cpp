#include "gateway/id_source.h"

#include <sys/random.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace treadle::gateway {

std::uint64_t IdSource::random64() {
  if (used_ == pool_.size()) {
    auto* at = reinterpret_cast<char*>(pool_.data());
    std::size_t missing = sizeof pool_;
    while (missing > 0) {  // more than 256 bytes may come in parts
      const ssize_t got = getrandom(at, missing, 0);
      TREADLE_ASSERT_MSG(got > 0, "getrandom failed");
      at += got;
      missing -= static_cast<std::size_t>(got);
    }
    used_ = 0;
  }
  return std::exchange(pool_[used_++], 0);
}

FunctionId IdSource::function_id() {
  Uuid id;
  id.hi = (random64() & ~0xf000ull) | 0x4000ull;
  id.lo = (random64() & ~(3ull << 62)) | (2ull << 62);
  return FunctionId(id);
}

TaskId IdSource::task_id() {
  // RFC 9562, 6.2 method 1: a 12-bit counter below the milliseconds, which borrows from the future when it overflows.
  const auto now = static_cast<std::uint64_t>(std::max<std::int64_t>(clock_.wall().ms, 0)) << 12;
  last_ = std::max(now, last_ + 1);
  const std::uint64_t random = random64();
  Uuid id;
  id.hi = (last_ >> 12) << 16 | 0x7000ull | (last_ & 0xfff);
  id.lo = 2ull << 62 | (random >> 2 & ~0xfull) | (random % 10);
  return TaskId(id);
}

}  // namespace treadle::gateway

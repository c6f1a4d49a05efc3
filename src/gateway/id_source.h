// Makes the ids that clients see: random (UUIDv4) for functions, in order of time (UUIDv7) for tasks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/ids.h"
#include "base/time.h"

namespace treadle::gateway {

// One per thread. Entropy comes from getrandom(2), read in blocks.
class IdSource {
 public:
  explicit IdSource(const Clock& clock) : clock_(clock) {}

  FunctionId function_id();
  // Later calls give greater ids, also when the wall clock steps back. The last hex digit is 0 to 9: some clients of
  // the seed compute int(task_id[-1]).
  TaskId task_id();

 private:
  std::uint64_t random64();

  const Clock& clock_;
  std::uint64_t last_ = 0;  // milliseconds << 12 | counter of the last task id
  std::array<std::uint64_t, 256> pool_{};
  std::size_t used_ = pool_.size();  // words of pool_ that were given away (and wiped)
};

}  // namespace treadle::gateway

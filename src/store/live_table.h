// What running tasks showed of themselves last, in memory: lost with the process, and forgotten when there is too much.
#pragma once

#include <cstdint>
#include <string>

#include "base/ids.h"
#include "core/limits.h"
#include "store/byte_lru.h"
#include "store/store.h"

namespace treadle::store {

class LiveTable {
 public:
  explicit LiveTable(std::uint64_t max_bytes = core::limits::kLiveKept) : tasks_(max_bytes) {}

  const LiveView& add(const core::LiveItem& item, WallMs now);
  // As it was last shown; an empty one (attempt 0) if nothing is known.
  LiveView find(TaskId task);

 private:
  ByteLru<TaskId, LiveView> tasks_;
  LiveView last_;  // what add() made
};

}  // namespace treadle::store

// The embedded engine, and the default: one file, no server. See docs/storage.md.
#pragma once

#include <memory>

#include "base/result.h"
#include "base/time.h"
#include "store/sqlite/config.h"

namespace treadle::store {

// Takes the data directory (one process at a time), recovers what the last one left, and starts the store's threads.
// The error is one sentence for the person who started it. `clock` may be asked from several threads.
Result<std::unique_ptr<Store>> open_sqlite(SqliteConfig config, const Clock& clock);

}  // namespace treadle::store

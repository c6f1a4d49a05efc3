// The tables of treadle.db. docs/storage.md explains them and says how to change them.
#pragma once

#include <string>

#include "base/result.h"
#include "store/sqlite/database.h"

namespace treadle::store {

inline constexpr int kSchemaVersion = 3;

// Makes the tables of a new file, or brings an older file forward. A newer file is refused in one sentence.
Result<void> migrate(Database& db, const std::string& path);

}  // namespace treadle::store

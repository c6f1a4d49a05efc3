// How the SQLite engine is opened.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "store/ledger_store.h"

namespace treadle::store {

enum class Durability : std::uint8_t {
  Strict,  // survives power loss: every commit is synced
  Fast,    // survives kill -9: nothing waits for the disk
  None,    // never syncs: power loss may leave nothing readable
};
std::optional<Durability> parse_durability(std::string_view name);
std::string_view name_of(Durability durability);

struct SqliteConfig {
  std::string dir = "treadle-data";
  Durability durability = Durability::Strict;
  FailureWriter failure;
  // Above 0: attempts whose start was recorded wait so long for a worker outside this process to claim them again.
  Duration adoption_window{0};
  std::int64_t keep_completed_ms = core::limits::kKeepCompletedMs;  // 0: for ever
  std::int64_t keep_failed_ms = core::limits::kKeepFailedMs;
  std::uint64_t keep_bytes = core::limits::kKeepBytes;  // of database and blobs; finished tasks go, oldest first
  Duration purge_every{60s};                            // how often an idle store looks for what is too old
  bool keep_args = false;                               // arguments of completed tasks too
  std::uint64_t reserve_bytes = 0;                      // 0: 64 MiB, less on a small file system
  LedgerStoreConfig store;                              // limits and caches; failure and window above go into it
  // The disk failed: nothing that was promised can be kept by going on. Ends the process unless a test replaces it.
  std::function<void(const std::string& what)> fatal;
  // Tests only: a planted bug, to see that the power-loss test notices it.
  std::string planted_synchronous;
};

}  // namespace treadle::store

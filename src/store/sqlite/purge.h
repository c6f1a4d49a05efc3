// Forgets finished tasks that are older than they are kept, or that together take too much room, oldest first, in small
// steps; and bodies of deleted functions that no task needs any more.
#pragma once

#include <cstdint>
#include <unordered_set>
#include <vector>

#include "store/sqlite/blobs.h"
#include "store/sqlite/config.h"
#include "store/sqlite/database.h"

namespace treadle::store {

class Purge {
 public:
  Purge(Database& db, const Blobs& blobs, const SqliteConfig& config);

  // Looks at the next 500 tasks, inside a transaction that the caller has begun. False: the round is over. Files that
  // are to go when the transaction is durable are added to `dead`.
  bool step(WallMs wall, bool over_size, std::vector<BlobName>& dead);
  // Of those with a time of their own, up to 500 whose time is over, in the same way. The time of the next one; 0:
  // there is none.
  std::int64_t drop_due(WallMs wall, std::vector<BlobName>& dead);
  // Database pages in use and blobs, less the arguments of waiting tasks.
  std::uint64_t finished_bytes(std::int64_t live_bytes);
  std::uint64_t reusable_bytes();  // free pages inside the database
  std::uint64_t purged() const { return purged_; }

 private:
  void drop(std::int64_t seq);
  void drop_bodies();

  const Blobs& blobs_;
  std::int64_t keep_completed_ms_, keep_failed_ms_;
  std::int64_t from_ = 0;                  // of this round
  WallMs began_;                           // this round
  std::unordered_set<std::int64_t> used_;  // numbers of functions that its tasks need
  std::uint64_t purged_ = 0;
  std::int64_t page_bytes_;
  Statement look_, due_, next_due_, deleted_, delete_body_, delete_task_, delete_args_, delete_result_, page_count_,
      free_count_;
};

}  // namespace treadle::store

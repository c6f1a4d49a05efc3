// Writes changes as rows through prepared statements, inside a transaction that the caller has begun.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/changes.h"
#include "store/sqlite/blobs.h"
#include "store/sqlite/database.h"

namespace treadle::store {

class RowWriter {
 public:
  // `keep_args`: arguments of completed tasks stay until the task is purged.
  RowWriter(Database& db, bool keep_args);

  // Throws SqliteError; the caller rolls back. The same change may be written again after that.
  void write(const Change& change, Report& report);

  // What goes back with the transaction.
  struct Totals {
    std::uint64_t finish_seq = 0;  // of the last task that ended
    std::uint64_t finish_seq_max =
        0;                        // up to here numbers are set aside in the file: none is used twice, whatever happens
    std::int64_t live_bytes = 0;  // of arguments of tasks that are not terminal
    std::int64_t next_keep = 0;   // wall clock, ms: a task is to go then, and none that ended since is to go earlier
    std::vector<BlobName> dead_blobs;  // files that nobody needs when the transaction is durable
  };
  Totals& totals() { return totals_; }

 private:
  void write_one(const change::Insert& insert, Report& report);
  void write_one(const change::Claim& claim, Report& report);
  void write_one(const change::Start& start, Report& report);
  void write_one(const change::Finish& finish, Report& report);
  void write_one(const change::Requeue& requeue, Report& report);
  void write_one(const change::RequestCancel& cancel, Report& report);
  void write_one(const change::PutFunction& put, Report& report);
  void write_one(const change::DeleteFunction& gone, Report& report);
  void write_one(const change::PauseQueue& pause, Report& report);
  std::uint64_t next_finish_seq();
  void report_clash(const change::Insert& insert, Report& report);

  Database& db_;
  bool keep_args_;
  Totals totals_;
  Statement insert_task_, insert_args_, claim_, start_, finish_, insert_result_, delete_args_, requeue_,
      request_cancel_;
  Statement insert_function_, delete_function_, insert_body_, find_key_, find_id_, set_meta_, drop_meta_;
};

}  // namespace treadle::store

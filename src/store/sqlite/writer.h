// Makes commits durable, in order: all that came while the last transaction was under way become one transaction (group
// commit). On a thread of its own; small batches may be written by the caller instead (`fast`).
//
// When the disk is full, new things are refused and everything else waits until it fits: what was accepted is never
// lost.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "store/sqlite/checkpointer.h"
#include "store/sqlite/config.h"
#include "store/sqlite/mailbox.h"
#include "store/sqlite/purge.h"
#include "store/sqlite/reserve.h"
#include "store/sqlite/row_writer.h"

namespace treadle::store {

class Writer {
 public:
  Writer(const SqliteConfig& config, const Clock& clock, Database& db, Blobs& blobs, Checkpointer& checkpointer,
         Mailbox& mailbox);
  ~Writer();

  // Loop thread and blob thread.
  void push(std::vector<Commit> commits);
  // Loop thread. Writes the batch at once if nothing is under way; false: it was not, and `commits` is untouched.
  bool write_here(std::vector<Commit>& commits, std::vector<Report>& reports);
  std::optional<Error> refuses_new() const;
  // Any thread: a payload did not fit. New things are refused from now on, and the reserve is given up.
  void note_full();
  bool full() const { return full_; }
  // Writes what it has, waits a little for what does not fit, and ends the thread.
  void close();

 private:
  enum class Sync : std::uint8_t { Off, Normal, Full };

  void run();
  bool wait_for_work(std::vector<Commit>& batch);
  std::vector<Report> write_batch(std::vector<Commit>& batch);
  bool try_transaction(const std::vector<Commit>& commits, std::vector<Report>& reports);
  void roll_back() noexcept;
  void give_up(const SqliteError& error);
  Sync sync_for(const std::vector<Commit>& commits) const;
  void set_sync(Sync sync);
  void after_commit();
  void reuse_wal(bool must);
  void refuse_new(std::vector<Commit>& commits, const Error& error, std::vector<Report>& reports);
  void do_chores();
  void look_for_room();
  void purge_some();
  void drop_due();

  const SqliteConfig& config_;
  const Clock& clock_;
  Database& db_;
  Blobs& blobs_;
  Checkpointer& checkpointer_;
  Mailbox& mailbox_;
  Reserve reserve_;
  std::int64_t wal_reuse_bytes_, wal_most_bytes_;

  std::mutex db_mutex_;  // everything up to `queue_mutex_`
  RowWriter rows_;
  Purge purge_;
  Statement begin_, commit_, rollback_;
  std::optional<Sync> sync_;   // as the connection has it; nothing: not set yet
  std::vector<Commit> stuck_;  // decided, and there is no room for it yet; no new things
  int wal_frames_ = 0;
  int wal_tried_at_ = 0;  // frames when reuse was tried last
  std::chrono::steady_clock::time_point purge_at_, size_at_, drop_at_;
  bool over_size_ = false;

  std::mutex queue_mutex_;
  std::condition_variable work_;
  std::vector<Commit> queue_;
  bool writing_ = false;
  bool sleeping_ = false;
  bool stop_ = false;
  std::atomic<std::int64_t> next_keep_{0};  // of the rows' totals, as of the last commit
  std::atomic<bool> full_{false};
  std::atomic<bool> failed_{false};     // the disk failed, and `fatal` came back
  std::atomic<bool> has_stuck_{false};  // as of the last batch
  std::atomic<bool> too_much_kept_{
      false};  // finished tasks that may not be purged yet take all the room they are given
  std::thread thread_;
};

}  // namespace treadle::store

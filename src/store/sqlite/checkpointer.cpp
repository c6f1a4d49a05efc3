#include "store/sqlite/checkpointer.h"

#include <sqlite3.h>

namespace treadle::store {

Checkpointer::Checkpointer(const std::string& path, bool synced) : db_(path, Database::Mode::ReadWrite) {
  db_.run(synced ? "PRAGMA synchronous = NORMAL" : "PRAGMA synchronous = OFF");
  db_.run("PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -2000");
  db_.integer("SELECT count(*) FROM sqlite_schema");  // reads the header now: a checkpoint needs the page size
  thread_ = std::thread([this] { run(); });
}

Checkpointer::~Checkpointer() { stop(); }

void Checkpointer::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Checkpointer::grown_to(int frames) {
  bool due;
  {
    const std::lock_guard lock(mutex_);
    if (frames < frames_) done_at_ = 0;  // SQLite began at the front again by itself
    frames_ = frames;
    due = frames_ - done_at_ >= kEvery;
  }
  if (due) changed_.notify_one();
}

void Checkpointer::started_over() {
  const std::lock_guard lock(mutex_);
  frames_ = done_at_ = 0;
  copied_ = 0;
}

void Checkpointer::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stop_ || frames_ - done_at_ >= kEvery; });
    if (stop_) return;
    done_at_ = frames_;
    lock.unlock();
    int log = 0, copied = 0;
    // Busy or failing: the next thousand frames try again, and the writer makes sure of the rest.
    std::unique_lock copying(copying_);
    const int code = sqlite3_wal_checkpoint_v2(db_.raw(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &log, &copied);
    copying.unlock();
    lock.lock();
    if (code == SQLITE_OK && copied >= 0) copied_ = copied;
  }
}

}  // namespace treadle::store

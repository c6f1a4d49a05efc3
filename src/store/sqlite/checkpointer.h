// Copies the WAL back into the database on a thread of its own, so that commits need not. It never makes the WAL start
// over: while a writer is busy only the writer itself can do that (Writer::reuse_wal).
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "store/sqlite/database.h"

namespace treadle::store {

class Checkpointer {
 public:
  static constexpr int kEvery = 1000;  // frames

  // `synced` false: never waits for the disk.
  Checkpointer(const std::string& path, bool synced);
  ~Checkpointer();

  // Any thread. The WAL has so many frames now.
  void grown_to(int frames);
  int copied() const { return copied_; }  // frames from the beginning of the WAL that are in the database
  void started_over();                    // the WAL is used from its beginning again
  // Held while frames are copied. SQLite turns away who comes meanwhile instead of letting him wait, so the writer
  // takes this first when it starts the WAL over.
  std::mutex& copying() { return copying_; }
  void stop();

 private:
  void run();

  Database db_;
  std::mutex copying_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int frames_ = 0;
  int done_at_ = 0;  // frames_ when the last copying began
  bool stop_ = false;
  std::atomic<int> copied_{0};
  std::thread thread_;
};

}  // namespace treadle::store

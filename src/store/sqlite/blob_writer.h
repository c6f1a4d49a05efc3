// Writes big payloads to their files on a thread of its own, and lets their rows go on to the writer when the files are
// safe.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "store/sqlite/config.h"
#include "store/sqlite/mailbox.h"
#include "store/sqlite/writer.h"

namespace treadle::store {

class BlobWriter {
 public:
  BlobWriter(const SqliteConfig& config, const Blobs& blobs, Writer& writer, Mailbox& mailbox);
  ~BlobWriter();
  void push(Commit commit);
  // Writes what it has, waits a little for what does not fit, and ends the thread. Before Writer::close().
  void close();

 private:
  void run();
  bool write(Commit& commit);
  Result<void> write_files(const Commit& commit) const;

  const SqliteConfig& config_;
  const Blobs& blobs_;
  Writer& writer_;
  Mailbox& mailbox_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<Commit> queue_;
  bool stop_ = false;
  int tries_left_ = 8;  // once it is to stop
  std::thread thread_;
};

}  // namespace treadle::store

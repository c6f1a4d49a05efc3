// Reads on a thread of its own, so that no read from the disk ever holds up the loop. One job at a time, in order.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "store/sqlite/mailbox.h"
#include "store/sqlite/queries.h"

namespace treadle::store {

class Reader {
 public:
  // Runs on the reader's thread; what it returns runs on the loop thread.
  using Job = Callback<Callback<void()>(Queries&)>;

  Reader(const std::string& path, const Blobs& blobs, Mailbox& mailbox);
  ~Reader();
  void ask(Job job);
  void close();  // does what was asked, and ends the thread

 private:
  void run();

  Queries queries_;
  Mailbox& mailbox_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<Job> jobs_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace treadle::store

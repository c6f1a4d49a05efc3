// From the store's own threads to the loop thread: reports and finished reads, with an eventfd that is written once per
// batch, however much is put in before the loop looks.
#pragma once

#include <atomic>
#include <mutex>
#include <utility>
#include <vector>

#include "base/callback.h"
#include "store/changes.h"

namespace treadle::store {

class Mailbox {
 public:
  Mailbox();
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;

  int fd() const { return fd_; }

  // Any thread.
  void put(std::vector<Report> reports);
  void put(Callback<void()> read);

  // Loop thread.
  std::vector<Report> take_reports();
  std::vector<Callback<void()>> take_reads();

 private:
  void wake();
  void rest();

  int fd_;
  std::mutex mutex_;
  std::vector<Report> reports_;
  std::vector<Callback<void()>> reads_;
  bool awake_ = false;             // the eventfd was written, and the loop has not emptied the box since
  std::atomic<bool> full_{false};  // there is something in it
};

}  // namespace treadle::store

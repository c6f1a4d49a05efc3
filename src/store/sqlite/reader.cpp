#include "store/sqlite/reader.h"

#include <utility>

namespace treadle::store {

Reader::Reader(const std::string& path, const Blobs& blobs, Mailbox& mailbox)
    : queries_(path, blobs), mailbox_(mailbox) {
  thread_ = std::thread([this] { run(); });
}

Reader::~Reader() { close(); }

void Reader::ask(Job job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  work_.notify_one();
}

void Reader::close() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Reader::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    mailbox_.put(job(queries_));
    lock.lock();
  }
}

}  // namespace treadle::store

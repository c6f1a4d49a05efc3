#include "store/sqlite/mailbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <iterator>

#include "base/assert.h"

namespace treadle::store {

Mailbox::Mailbox() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { TREADLE_ASSERT_MSG(fd_ >= 0, "no eventfd"); }
Mailbox::~Mailbox() { close(fd_); }

// Under the mutex.
void Mailbox::wake() {
  full_.store(true, std::memory_order_release);
  if (std::exchange(awake_, true)) return;
  const std::uint64_t one = 1;
  TREADLE_ASSERT(write(fd_, &one, sizeof one) == sizeof one);
}

// Under the mutex.
void Mailbox::rest() {
  if (!reports_.empty() || !reads_.empty()) return;
  full_.store(false, std::memory_order_relaxed);
  if (!std::exchange(awake_, false)) return;
  std::uint64_t count;
  TREADLE_ASSERT(read(fd_, &count, sizeof count) == sizeof count);
}

void Mailbox::put(std::vector<Report> reports) {
  if (reports.empty()) return;
  const std::lock_guard lock(mutex_);
  if (reports_.empty()) {
    reports_ = std::move(reports);
  } else {
    reports_.insert(reports_.end(), std::make_move_iterator(reports.begin()), std::make_move_iterator(reports.end()));
  }
  wake();
}

void Mailbox::put(Callback<void()> read) {
  const std::lock_guard lock(mutex_);
  reads_.push_back(std::move(read));
  wake();
}

std::vector<Report> Mailbox::take_reports() {
  if (!full_.load(std::memory_order_acquire)) return {};
  const std::lock_guard lock(mutex_);
  auto taken = std::exchange(reports_, {});
  rest();
  return taken;
}

std::vector<Callback<void()>> Mailbox::take_reads() {
  if (!full_.load(std::memory_order_acquire)) return {};
  const std::lock_guard lock(mutex_);
  auto taken = std::exchange(reads_, {});
  rest();
  return taken;
}

}  // namespace treadle::store

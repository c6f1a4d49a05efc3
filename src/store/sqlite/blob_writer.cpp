#include "store/sqlite/blob_writer.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/assert.h"

namespace treadle::store {
namespace {

constexpr auto kRetryFull = std::chrono::milliseconds(250);

BlobName name_of(const Change& change) {
  if (const auto* insert = std::get_if<change::Insert>(&change)) return BlobName::args(insert->task.id);
  if (const auto* finish = std::get_if<change::Finish>(&change)) return BlobName::result(finish->id);
  return BlobName::body(std::get<change::PutFunction>(change).info->digest);
}

}  // namespace

BlobWriter::BlobWriter(const SqliteConfig& config, const Blobs& blobs, Writer& writer, Mailbox& mailbox)
    : config_(config), blobs_(blobs), writer_(writer), mailbox_(mailbox) {
  thread_ = std::thread([this] { run(); });
}

BlobWriter::~BlobWriter() { close(); }

void BlobWriter::push(Commit commit) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(commit));
  }
  work_.notify_one();
}

void BlobWriter::close() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void BlobWriter::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [this] { return stop_ || !queue_.empty(); });
    if (queue_.empty()) return;
    Commit commit = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    const bool done = write(commit);
    lock.lock();
    if (done) continue;
    if (stop_ && --tries_left_ < 0) return;
    queue_.push_back(std::move(commit));  // others may be smaller
    work_.wait_for(lock, kRetryFull);
  }
}

// False: there is no room for it now, and it was decided already: it has to be tried again.
bool BlobWriter::write(Commit& commit) {
  const bool all_new =
      std::all_of(commit.changes.begin(), commit.changes.end(), [](const Change& c) { return is_new(c); });
  if (const auto written = write_files(commit); !written) {
    if (written.error().code != Code::DiskFull) {
      if (config_.fatal) return config_.fatal(written.error().message), true;
      TREADLE_ASSERT_MSG(false, written.error().message.c_str());
    }
    if (!all_new) {
      writer_.note_full();
      return false;
    }
    // Room for a big one says nothing about room for small ones: only this one is refused.
    std::vector<Report> refused;
    refused.push_back({commit.ticket, written.error(), {}});
    mailbox_.put(std::move(refused));
    return true;
  }
  std::vector<Commit> one;
  one.push_back(std::move(commit));
  writer_.push(std::move(one));
  return true;
}

Result<void> BlobWriter::write_files(const Commit& commit) const {
  for (const Change& change : commit.changes) {
    if (!is_big(change)) continue;
    if (auto written = blobs_.write(name_of(change), payload_of(change)->bytes.view()); !written) return written;
  }
  return {};
}

}  // namespace treadle::store

#include "worker/temp_folders.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <system_error>
#include <utility>

namespace treadle::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "treadle-tasks.";  // then the pid, and random letters

// Of the process that made it; 0 if it is none of ours.
pid_t maker_of(std::string_view name) {
  if (!name.starts_with(kPrefix)) return 0;
  name.remove_prefix(kPrefix.size());
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
  return error == std::errc{} && end != name.data() + name.size() && *end == '.' ? pid : 0;
}

}  // namespace

TempFolders::TempFolders(const std::string& where) {
  const char* tmpdir = ::getenv("TMPDIR");
  const std::string root = !where.empty() ? where : tmpdir && *tmpdir ? tmpdir : "/tmp";
  sweep(root);
  std::string name = root + "/" + std::string(kPrefix) + std::to_string(::getpid()) + ".XXXXXX";
  if (::mkdtemp(name.data())) base_ = std::move(name);
}

TempFolders::~TempFolders() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
  std::error_code ignored;
  if (!base_.empty()) fs::remove_all(base_, ignored);
}

void TempFolders::sweep(const std::string& where) {
  std::error_code error;
  for (auto entry = fs::directory_iterator(where, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    const pid_t maker = maker_of(entry->path().filename().string());
    std::error_code ignored;
    if (maker > 0 && ::kill(maker, 0) != 0 && errno == ESRCH) fs::remove_all(entry->path(), ignored);
  }
}

std::string TempFolders::folder_of(std::uint32_t executor) const {
  return base_.empty() ? std::string() : base_ + "/" + std::to_string(executor);
}

void TempFolders::remove(std::uint32_t executor) {
  std::string folder = folder_of(executor);
  if (folder.empty() || ::rmdir(folder.c_str()) == 0 || errno == ENOENT) return;
  {
    const std::lock_guard lock(mutex_);
    left_.push_back(std::move(folder));
  }
  changed_.notify_one();
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
}

void TempFolders::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !left_.empty(); });
    if (stopping_) return;
    const std::string folder = std::move(left_.front());
    left_.pop_front();
    lock.unlock();
    std::error_code ignored;
    fs::remove_all(folder, ignored);
    lock.lock();
  }
}

}  // namespace treadle::worker

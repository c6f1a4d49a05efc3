#include "store/sqlite/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace treadle::store {

LockFile::LockFile(LockFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

LockFile& LockFile::operator=(LockFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

LockFile::~LockFile() {
  if (fd_ >= 0) close(fd_);
}

Result<LockFile> LockFile::take(const std::string& dir) {
  const std::string path = dir + "/treadle.lock";
  LockFile lock;
  lock.fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock.fd_ < 0) {
    return fail(Code::StoreError, "cannot write in the data directory " + dir + ": " + std::strerror(errno) +
                                      ". Give this user the right to, or use another --data-dir.");
  }
  if (flock(lock.fd_, LOCK_EX | LOCK_NB) != 0) {
    char pid[32] = "";
    const ssize_t got = pread(lock.fd_, pid, sizeof pid - 1, 0);
    const std::string owner = got > 0 ? std::string(pid, static_cast<std::size_t>(got)) : "unknown";
    return fail(Code::Conflict, "the data directory " + dir + " is in use by process " +
                                    owner.substr(0, owner.find('\n')) + ". Stop that one, or use another --data-dir.");
  }
  const std::string pid = std::to_string(getpid()) + "\n";
  if (ftruncate(lock.fd_, 0) != 0 || pwrite(lock.fd_, pid.data(), pid.size(), 0) < 0) {
    return fail(Code::DiskFull, "cannot write " + path + ": " + std::strerror(errno) + ". Free some space.");
  }
  return lock;
}

}  // namespace treadle::store

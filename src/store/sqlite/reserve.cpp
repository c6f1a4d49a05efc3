#include "store/sqlite/reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

namespace treadle::store {
namespace {

constexpr std::uint64_t kReserve = 64ull << 20;

}  // namespace

std::uint64_t file_system_bytes(const std::string& dir) {
  struct statvfs info;
  return statvfs(dir.c_str(), &info) == 0 ? info.f_blocks * info.f_frsize : 0;
}

Reserve::Reserve(const std::string& dir, std::uint64_t bytes) : dir_(dir), path_(dir + "/reserve"), bytes_(bytes) {
  if (bytes_ > 0) return;
  const std::uint64_t all = file_system_bytes(dir);
  bytes_ = all == 0 ? kReserve : std::min(kReserve, all / 8);
}

bool Reserve::make() {
  struct stat known;
  if (stat(path_.c_str(), &known) == 0 && static_cast<std::uint64_t>(known.st_size) == bytes_) return true;
  const int fd = open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  const bool made = posix_fallocate(fd, 0, static_cast<off_t>(bytes_)) == 0;
  close(fd);
  if (!made) unlink(path_.c_str());
  return made;
}

void Reserve::give_up() { unlink(path_.c_str()); }

bool Reserve::has_room_again(std::uint64_t reusable) const {
  struct statvfs info;
  if (statvfs(dir_.c_str(), &info) != 0) return false;
  const std::uint64_t free = info.f_bavail * info.f_frsize;
  return free >= bytes_ + bytes_ / 8 && free + reusable >= 2 * bytes_;
}

}  // namespace treadle::store

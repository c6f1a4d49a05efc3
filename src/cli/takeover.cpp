#include "cli/takeover.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <fstream>

namespace treadle::cli {

std::string lasting_name(const std::string& name, const std::string& host) {
  std::string boot;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), boot);
  return name + "@" + host + "/" + boot + "/" + std::to_string(getpid());
}

bool is_dead_predecessor(const std::string& own, const std::string& other) {
  const std::size_t pid_at = own.rfind('/') + 1;
  if (pid_at == 0 || other.size() <= pid_at || other.compare(0, pid_at, own, 0, pid_at) != 0 || own == other)
    return false;
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(other.data() + pid_at, other.data() + other.size(), pid);
  if (error != std::errc() || end != other.data() + other.size() || pid <= 1) return false;
  return kill(pid, 0) != 0 && errno == ESRCH;  // EPERM: somebody has this pid now, perhaps it
}

}  // namespace treadle::cli

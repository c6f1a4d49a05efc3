#include "worker/memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace treadle::worker {
namespace {

std::uint64_t kilobytes_after(std::string_view status, std::string_view name) {
  const std::size_t at = status.find(name);
  return at == std::string_view::npos ? 0 : std::strtoull(status.data() + at + name.size(), nullptr, 10);
}

}  // namespace

std::uint64_t own_memory(pid_t pid) {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/%d/status", pid);
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[4096];
  const ssize_t n = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  if (n <= 0) return 0;
  text[n] = '\0';
  const std::string_view status(text, static_cast<std::size_t>(n));
  return (kilobytes_after(status, "\nRssAnon:") + kilobytes_after(status, "\nRssShmem:")) * 1024;
}

}  // namespace treadle::worker

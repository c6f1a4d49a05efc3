#include "worker/memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace treadle::worker {
namespace {

std::uint64_t kilobytes_after(std::string_view status, std::string_view name) {
  const std::size_t at = status.find(name);
  return at == std::string_view::npos ? 0 : std::strtoull(status.data() + at + name.size(), nullptr, 10);
}

// What fits of a file of /proc/PID, followed by a zero; empty if it is gone.
template <std::size_t N>
std::string_view read_proc(pid_t pid, const char* file, char (&text)[N]) {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
  text[0] = '\0';
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  const ssize_t n = ::read(fd, text, N - 1);
  ::close(fd);
  if (n <= 0) return {};
  text[n] = '\0';
  return {text, static_cast<std::size_t>(n)};
}

}  // namespace

std::uint64_t own_memory(pid_t pid) {
  char text[4096];
  const std::string_view status = read_proc(pid, "status", text);
  return (kilobytes_after(status, "\nRssAnon:") + kilobytes_after(status, "\nRssShmem:")) * 1024;
}

std::uint64_t cpu_time_us(pid_t pid) {
  char text[1024];
  std::string_view stat = read_proc(pid, "stat", text);
  if (stat.empty()) return 0;
  stat.remove_prefix(std::min(stat.rfind(')'), stat.size()));  // the name may hold anything
  constexpr int kBefore = 12;                                  // fields from the state to utime
  for (int field = 0; field < kBefore; ++field) stat.remove_prefix(std::min(stat.find(' '), stat.size() - 1) + 1);
  const char* at = stat.data();
  std::uint64_t ticks = 0;
  for (int field = 0; field < 4; ++field) {  // utime, stime, and both of children waited for
    char* end = nullptr;
    ticks += std::strtoull(at, &end, 10);
    at = end;
  }
  return ticks * 1'000'000 / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
}

}  // namespace treadle::worker

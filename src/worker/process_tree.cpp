#include "worker/process_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace treadle::worker {
namespace {

// The name in /proc/N/stat stands in parentheses and may contain anything, so the fields are looked for behind the last
// one.
bool parse_stat(std::string_view stat, ProcessEntry& entry) {
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos || name_end + 4 >= stat.size()) return false;
  const char state = stat[name_end + 2];
  entry.zombie = state == 'Z' || state == 'X';
  const char* from = stat.data() + name_end + 4;
  return std::from_chars(from, stat.data() + stat.size(), entry.parent).ec == std::errc{};
}

bool read_entry(int proc, const char* name, ProcessEntry& entry) {
  if (std::from_chars(name, name + std::strlen(name), entry.pid).ec != std::errc{}) return false;
  char path[64];
  std::snprintf(path, sizeof path, "%d/stat", entry.pid);
  const int fd = ::openat(proc, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char stat[512];
  const ssize_t n = ::read(fd, stat, sizeof stat);
  ::close(fd);
  return n > 0 && parse_stat({stat, static_cast<std::size_t>(n)}, entry);
}

void signal_by_pidfd(int pidfd, int signal) { ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0); }

bool is_gone(int pidfd, int wait_ms) {
  pollfd waiting{pidfd, POLLIN, 0};
  return ::poll(&waiting, 1, wait_ms) > 0;
}

}  // namespace

std::vector<ProcessEntry> list_processes(const std::function<void(const ProcessEntry&)>& seen) {
  std::vector<ProcessEntry> all;
  DIR* proc = ::opendir("/proc");
  if (!proc) return all;
  while (const dirent* item = ::readdir(proc)) {
    if (item->d_name[0] < '1' || item->d_name[0] > '9') continue;
    ProcessEntry entry;
    if (!read_entry(::dirfd(proc), item->d_name, entry)) continue;
    all.push_back(entry);
    if (seen) seen(entry);
  }
  ::closedir(proc);
  return all;
}

std::size_t living_below(pid_t root) {
  const std::vector<ProcessEntry> all = list_processes();
  const std::vector<pid_t> below = descendants(all, root);
  return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [&](const ProcessEntry& entry) {
    return !entry.zombie && std::find(below.begin(), below.end(), entry.pid) != below.end();
  }));
}

std::vector<pid_t> children(const std::vector<ProcessEntry>& processes, pid_t parent) {
  std::vector<pid_t> found;
  for (const ProcessEntry& entry : processes) {
    if (entry.parent == parent) found.push_back(entry.pid);
  }
  return found;
}

std::vector<pid_t> descendants(const std::vector<ProcessEntry>& processes, pid_t root) {
  std::unordered_multimap<pid_t, pid_t> below;
  for (const ProcessEntry& entry : processes) below.emplace(entry.parent, entry.pid);
  std::vector<pid_t> found{root};
  std::unordered_set<pid_t> seen{root};
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto [first, last] = below.equal_range(found[i]);
    for (auto it = first; it != last; ++it) {
      // The listing is not a snapshot: a number may stand in it twice, and must not send us round in a ring.
      if (seen.insert(it->second).second) found.push_back(it->second);
    }
  }
  found.erase(found.begin());
  return found;
}

bool kill_foreign_tree(pid_t root, int root_pidfd) {
  signal_by_pidfd(root_pidfd, SIGSTOP);
  bool empty = false;
  for (int round = 0; round < 200 && !empty; ++round) {
    if (is_gone(root_pidfd, 0)) break;  // what was below it has moved away: nothing can be found any more
    const auto processes = list_processes();
    const auto below = descendants(processes, root);
    empty = std::none_of(below.begin(), below.end(), [&](pid_t pid) {
      return std::any_of(processes.begin(), processes.end(),
                         [&](const ProcessEntry& entry) { return entry.pid == pid && !entry.zombie; });
    });
    for (const pid_t pid : below) ::kill(pid, SIGKILL);
    if (!empty) ::usleep(1000);
  }
  signal_by_pidfd(root_pidfd, SIGKILL);
  return is_gone(root_pidfd, 1000) && empty;
}

// Whoever is killed leaves its own children to us in turn: look until there is nobody.
bool end_orphans(const std::vector<pid_t>& kept) {
  for (int round = 0; round < 200; ++round) {
    const auto processes = list_processes();
    bool any = false;
    for (const pid_t child : children(processes, ::getpid())) {
      if (std::find(kept.begin(), kept.end(), child) != kept.end()) continue;
      any = true;
      for (const pid_t pid : descendants(processes, child)) ::kill(pid, SIGKILL);
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, WNOHANG);
    }
    if (!any) return true;
    ::usleep(1000);
  }
  return false;
}

}  // namespace treadle::worker

// The guard's children: what zygotes report, who has died, and the end of whole trees.
//
// Whom the guard knows: zygotes that it started, and executors that were reported by their middle parent *before* that
// parent exited. So a child that is seen below us (listed first) and is in no report (read second) belongs to something
// dead, and is killed on sight with all below it.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "worker/guard_state.h"

namespace treadle::worker {
namespace {

constexpr std::size_t kErrorsKept = 4096;  // of a zygote's stderr
constexpr int kSweepsAtOnce = 3;           // before others get their turn
constexpr std::size_t kReapEvery = 64;     // processes of a listing
constexpr int kSweepDelayMax = 20;         // ms
constexpr std::size_t kReportBytes = sizeof(std::uint64_t) + sizeof(std::uint32_t);

std::uint64_t microseconds(const timeval& t) {
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(t.tv_usec);
}

}  // namespace

void Guard::read_zygotes() {
  for (auto& [no, zygote] : zygotes_) {
    read_zygote(no, zygote);
    read_errors(zygote);
  }
}

void Guard::read_zygote(std::uint32_t no, Zygote& zygote) {
  static char bytes[64 << 10];
  while (zygote.socket) {
    std::vector<UniqueFd> fds;
    bool truncated = false;
    const ssize_t n = receive_with_fds(zygote.socket.get(), bytes, sizeof bytes, fds, truncated);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      if (!zygote.exited) ::kill(zygote.pid, SIGKILL);  // deaf: it can fork no more
      return zygote.socket.reset();
    }
    hear(no, zygote, {bytes, static_cast<std::size_t>(n)});
  }
}

void Guard::read_errors(Zygote& zygote) {
  char bytes[4096];
  while (zygote.errors) {
    const ssize_t n = ::read(zygote.errors.get(), bytes, sizeof bytes);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return zygote.errors.reset();
    zygote.last_errors.append(bytes, static_cast<std::size_t>(n));
    if (zygote.last_errors.size() > kErrorsKept) zygote.last_errors.erase(0, zygote.last_errors.size() - kErrorsKept);
  }
}

void Guard::hear(std::uint32_t no, Zygote& zygote, std::string_view message) {
  const char kind = message[0];
  message.remove_prefix(1);
  if (kind == 'R') {
    return report(make_packet(GuardPacket::ZygoteReady, no, static_cast<std::uint64_t>(zygote.pid), message));
  }
  if (kind == 'E') {
    zygote.gave_up = message;
    return;
  }
  std::uint64_t id = 0;
  if (message.size() < sizeof id) return;
  std::memcpy(&id, message.data(), sizeof id);
  if (kind == 'X') return fail_spawn(id, EAGAIN, message.substr(sizeof id));
  if (kind != 'P' || message.size() != kReportBytes) return;
  std::uint32_t pid = 0;
  std::memcpy(&pid, message.data() + sizeof id, sizeof pid);
  const auto it = executors_.find(id);
  if (it == executors_.end() || it->second.pid > 0) {
    sweep_due_ = true;  // of a spawn that has failed already: it appears below us as nobody's child
    return;
  }
  sweep_due_ |= it->second.kill;
  it->second.pid = static_cast<pid_t>(pid);
  by_pid_[it->second.pid] = id;
  report(make_packet(GuardPacket::Spawned, pid, id));
}

void Guard::fail_spawn(std::uint64_t id, std::uint32_t error, std::string_view text) {
  executors_.erase(id);
  report(make_packet(GuardPacket::SpawnFailed, error, id, text));
}

void Guard::reap(std::unordered_set<pid_t>& reaped) {
  while (true) {
    int status = 0;
    rusage usage{};
    const pid_t pid = ::wait4(-1, &status, WNOHANG, &usage);
    if (pid <= 0) return;
    reaped.insert(pid);
    note_exit(pid, status,
              {static_cast<std::uint64_t>(usage.ru_maxrss) * 1024,
               microseconds(usage.ru_utime) + microseconds(usage.ru_stime)});
  }
}

void Guard::note_exit(pid_t pid, int status, const ExitFacts& facts) {
  if (!by_pid_.count(pid)) read_zygotes();  // an executor that died at once: its report came first, but is not read yet
  if (const auto it = by_pid_.find(pid); it != by_pid_.end()) {
    Executor& executor = executors_.at(it->second);
    executor.exited = status;
    executor.facts = facts;
    by_pid_.erase(it);
    return;
  }
  for (auto& [no, zygote] : zygotes_) {
    if (zygote.pid == pid && !zygote.exited) zygote.exited = status;
  }
}

void Guard::sweep() {
  for (int round = 0; round < kSweepsAtOnce; ++round) {
    // A process that forks and exits over and over is gone before a listing is complete, and leaves so many dead that
    // the listing never ends. So victims are killed the moment they are seen, and the dead are waited for all the
    // while.
    std::unordered_set<pid_t> reaped;
    reap(reaped);
    std::size_t count = 0;
    const auto processes = list_processes([&](const ProcessEntry& seen) {
      if (++count % kReapEvery == 0) reap(reaped);
      if (seen.parent != self_ || seen.zombie || reaped.count(seen.pid) || !is_victim(seen.pid)) return;
      read_zygotes();  // after it was seen: see the head of this file
      if (is_victim(seen.pid)) ::kill(seen.pid, SIGKILL);
    });
    read_zygotes();
    // Who was waited for may have left children that this listing does not show below us yet: look again.
    reap(reaped);
    if (!kill_victims(processes, reaped) && reaped.empty()) {
      sweep_due_ = false;
      sweep_delay_ms_ = 0;
      return settle();
    }
  }
  sweep_delay_ms_ = std::min(std::max(1, sweep_delay_ms_ * 2), kSweepDelayMax);
}

// For a child of ours.
bool Guard::is_victim(pid_t child) const {
  if (leaving_) return true;
  if (const auto executor = by_pid_.find(child); executor != by_pid_.end()) return executors_.at(executor->second).kill;
  return std::none_of(zygotes_.begin(), zygotes_.end(),
                      [&](const auto& item) { return item.second.pid == child && !item.second.exited; });
}

// Kills all that must not live; true if there was anything, so that another look is needed.
bool Guard::kill_victims(const std::vector<ProcessEntry>& processes, const std::unordered_set<pid_t>& reaped) {
  std::vector<pid_t> roots;
  for (const pid_t child : children(processes, self_)) {
    if (is_victim(child)) roots.push_back(child);
  }
  // An executor whose middle parent has not exited yet is not our child so far, but it is to die all the same.
  for (const auto& [pid, id] : by_pid_) {
    if (executors_.at(id).kill && std::find(roots.begin(), roots.end(), pid) == roots.end()) roots.push_back(pid);
  }
  for (const pid_t root : roots) {
    const auto below = descendants(processes, root);
    if (!reaped.count(root)) ::kill(root, SIGKILL);
    for (const pid_t pid : below) ::kill(pid, SIGKILL);
  }
  return !roots.empty();
}

// Nothing dead has left anything alive: what has ended can be told.
void Guard::settle() {
  settle_zygotes();
  for (auto it = executors_.begin(); it != executors_.end();) {
    if (!it->second.exited) {
      ++it;
      continue;
    }
    report(make_packet(GuardPacket::Exited, static_cast<std::uint32_t>(*it->second.exited), it->first,
                       make_exit_facts(it->second.facts)));
    it = executors_.erase(it);
  }
}

void Guard::settle_zygotes() {
  for (auto it = zygotes_.begin(); it != zygotes_.end();) {
    auto& [no, zygote] = *it;
    if (!zygote.exited) {
      ++it;
      continue;
    }
    read_errors(zygote);
    report(make_packet(GuardPacket::ZygoteDied, no, static_cast<std::uint64_t>(*zygote.exited),
                       zygote.gave_up.empty() ? zygote.last_errors : zygote.gave_up));
    std::vector<std::uint64_t> orphaned;
    for (const auto& [id, executor] : executors_) {
      if (executor.zygote == no && executor.pid <= 0) orphaned.push_back(id);
    }
    for (const std::uint64_t id : orphaned) fail_spawn(id, ECHILD, "its zygote died");
    it = zygotes_.erase(it);
  }
}

}  // namespace treadle::worker

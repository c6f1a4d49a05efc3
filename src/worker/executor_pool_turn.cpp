// The reading half of the pool: one turn, news from the guard, and the burial of executors.
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include "worker/executor_pool.h"
#include "worker/memory.h"
#include "worker/process_tree.h"

namespace treadle::worker {
namespace {

namespace event = core::event;
using core::ExecutorNo;

constexpr int kEventsAtOnce = 128;
constexpr std::size_t kOutputBudget = 1u << 20;   // bytes of output in one turn
constexpr std::size_t kOutputAtOnce = 64u << 10;  // of one pipe, before the next one has its turn
// An executor that ends closes its socket a little before the guard can tell; one that closed it and lives on is
// useless.
constexpr Duration kDeafFor = 100ms;
constexpr Duration kGuardLives = 1s;  // at least, to be replaced at once

}  // namespace

Instant ExecutorPool::next_deadline() const {
  Instant next = Instant::never();
  for (const std::uint32_t no : closed_) next = std::min(next, executors_.at(no).closed + kDeafFor);
  return std::min(next, build_ends_by_);
}

void ExecutorPool::turn(Instant now, Events& events) {
  last_turn_ = now;
  std::array<epoll_event, kEventsAtOnce> ready;
  const int count = std::max(0, ::epoll_wait(epoll_.get(), ready.data(), kEventsAtOnce, 0));
  bool guard_spoke = false;
  for (int i = 0; i < count; ++i) {
    const auto no = static_cast<std::uint32_t>(ready[i].data.u64);
    const auto tag = ready[i].data.u64 >> 32;
    guard_spoke |= tag == kGuard;
    if (tag != kSocket) continue;
    if (ready[i].events & EPOLLOUT) unsent_.insert(no);
    if (ready[i].events & ~EPOLLOUT) read_socket(no, now, events);
  }
  std::size_t budget = kOutputBudget;
  for (int i = 0; i < count && budget > 0; ++i) {
    const auto tag = ready[i].data.u64 >> 32;
    if (tag != kStdout && tag != kStderr) continue;
    const auto it = executors_.find(static_cast<std::uint32_t>(ready[i].data.u64));
    if (it == executors_.end()) continue;
    budget -= it->second.channel->read_output(static_cast<int>(tag - kStdout), std::min(budget, kOutputAtOnce));
  }
  if (guard_spoke && guard_) read_guard(events);
  end_the_deaf(now);
  if (now >= build_ends_by_) end_slow_builders();
  flush();
}

void ExecutorPool::read_socket(std::uint32_t no, Instant now, Events& events) {
  const auto it = executors_.find(no);
  if (it == executors_.end() || it->second.channel->socket() < 0) return;
  Executor& executor = it->second;
  const bool was_ready = executor.channel->ready();
  const auto state = executor.channel->read(events);
  if (!was_ready && executor.channel->ready())
    executor.baseline = own_memory(static_cast<pid_t>(executor.channel->pid_said()));
  if (state == ExecutorChannel::State::Open) return;
  executor.channel->close_socket();
  unsent_.erase(no);
  full_.erase(no);
  if (state == ExecutorChannel::State::Broken) return kill(no, executor);
  executor.closed = now;
  closed_.insert(no);
}

void ExecutorPool::end_the_deaf(Instant now) {
  for (auto it = closed_.begin(); it != closed_.end();) {
    Executor& executor = executors_.at(*it);
    if (now - executor.closed < kDeafFor) {
      ++it;
      continue;
    }
    kill(*it, executor);
    it = closed_.erase(it);
  }
}

void ExecutorPool::end_slow_builders() {
  build_ends_by_ = Instant::never();
  for (auto& [no, executor] : executors_) {
    if (!executor.builds.empty()) kill(no, executor);
  }
}

void ExecutorPool::builder_ended(const Executor& executor, const core::event::ExecutorDied& died, Events& events) {
  build_ends_by_ = Instant::never();
  event::EnvironmentBuilt built;
  built.log = died.output;
  built.try_again = died.guard_lost;
  const bool well = died.exited && WIFEXITED(died.wait_status) && WEXITSTATUS(died.wait_status) == 0;
  const std::string log = environments_.log_of(executor.builds);
  if (well) {
    built.log = log;
  } else {
    built.why = executor.killed ? "its environment was not built within the time for that"
                                : "its environment could not be built";
    built.why += "; the log is " + log + " on its worker's machine, and its end is the task's output";
  }
  events.emplace_back(std::move(built));
}

void ExecutorPool::flush() {
  if (guard_) guard_->flush();
  const auto waiting = std::exchange(unsent_, {});
  for (const std::uint32_t no : waiting) {
    const auto it = executors_.find(no);
    if (it != executors_.end() && it->second.channel->socket() >= 0) flush_one(no, it->second);
  }
}

void ExecutorPool::flush_one(std::uint32_t no, Executor& executor) {
  const bool all = executor.channel->flush();
  if (!executor.channel->error().empty()) return kill(no, executor);
  if (all && full_.erase(no)) watch(executor.channel->socket(), tag_of(kSocket, no), EPOLLIN);
  if (!all && full_.insert(no).second) {
    watch(executor.channel->socket(), tag_of(kSocket, no), EPOLLIN | EPOLLOUT);
  }
}

void ExecutorPool::read_guard(Events& events) {
  Packet packet;
  while (true) {
    switch (guard_->receive(packet)) {
      case GuardProcess::Received::Nothing: return;
      case GuardProcess::Received::Lost: return lose_guard(events);
      case GuardProcess::Received::Packet: obey_guard(packet, events);
    }
  }
}

void ExecutorPool::obey_guard(const Packet& packet, Events& events) {
  const auto zygote =
      std::find_if(zygotes_.begin(), zygotes_.end(), [&](const auto& item) { return item.second.no == packet.small; });
  const auto no = static_cast<std::uint32_t>(packet.id);
  const auto executor = executors_.find(no);
  switch (packet.type) {
    case GuardPacket::ZygoteReady:
      if (zygote == zygotes_.end()) return;
      zygote->second.pid = static_cast<pid_t>(packet.id);
      zygote->second.report = packet.rest;
      return;
    case GuardPacket::ZygoteDied: {
      if (zygote == zygotes_.end()) return;
      std::string text = printable_tail(packet.rest, core::limits::kErrorText);
      const int status = static_cast<int>(packet.id);
      if (text.empty() && WIFSIGNALED(status)) text = "it was ended by signal " + std::to_string(WTERMSIG(status));
      if (text.empty()) text = "it exited with code " + std::to_string(WEXITSTATUS(status));
      if (!zygote->second.stopped) events.emplace_back(event::ZygoteFailed{zygote->first.interpreter, text});
      died_of_ = std::move(text);
      zygotes_.erase(zygote);
      return;
    }
    case GuardPacket::Spawned:
      if (executor == executors_.end()) return;
      executor->second.pid = static_cast<pid_t>(packet.small);
      executor->second.pidfd = open_pidfd(executor->second.pid);
      return;
    case GuardPacket::Exited: return bury(no, packet, events);
    case GuardPacket::SpawnFailed:
      if (executor == executors_.end()) return;
      return spawn_failed(no, executor->second, printable_tail(packet.rest, core::limits::kErrorText), events);
    default: return;
  }
}

// A zygote's own words have just come, if it has died.
void ExecutorPool::spawn_failed(std::uint32_t no, const Executor& executor, std::string why, Events& events) {
  std::string text = "the executor was not started: " + why;
  if (!executor.zygote.environment.empty() && !died_of_.empty()) text += ": " + died_of_;
  if (executor.builds.empty()) {
    events.emplace_back(event::SpawnFailed{ExecutorNo{no}, std::move(text), false});
  } else {
    events.emplace_back(event::EnvironmentBuilt{std::move(text), {}, false});
  }
  forget(no);
}

void ExecutorPool::bury(std::uint32_t no, const Packet& packet, Events& events) {
  const auto it = executors_.find(no);
  if (it == executors_.end()) return;
  event::ExecutorDied died;
  ExitFacts facts;
  if (parse_exit_facts(packet.rest, facts)) {
    died.exited = true;
    died.wait_status = static_cast<int>(packet.small);
    died.peak_rss = facts.peak_rss;
    died.cpu_us = facts.cpu_us;
  }
  it->second.channel->finish(died, events);
  if (it->second.builds.empty()) {
    events.emplace_back(std::move(died));
  } else {
    builder_ended(it->second, died, events);
  }
  forget(no);
}

void ExecutorPool::forget(std::uint32_t no) {
  unsent_.erase(no);
  full_.erase(no);
  closed_.erase(no);
  executors_.erase(no);
  temp_->remove(no);
}

// The guard is dead, and with it our hold on what runs below it. Everything is ended from here; nobody is to blame.
void ExecutorPool::lose_guard(Events& events) {
  guard_.reset();
  zygotes_.clear();  // they end when their socket to the guard does
  for (auto& [no, executor] : executors_) {
    pid_t pid = executor.pid;
    if (pid == 0) pid = static_cast<pid_t>(executor.channel->pid_said());
    if (pid != 0 && !executor.pidfd) executor.pidfd = open_pidfd(pid);
    // An executor that has no pid here has not said READY either: it has run nothing, and leaves when its socket
    // closes.
    if (pid != 0 && executor.pidfd) kill_foreign_tree(pid, executor.pidfd.get());
    event::ExecutorDied died;
    died.guard_lost = true;
    executor.channel->finish(died, events);
    if (executor.builds.empty()) {
      events.emplace_back(std::move(died));
    } else {
      builder_ended(executor, died, events);
    }
  }
  // They ask to die with the guard, and what they had started may have moved to us before we could stop them.
  end_orphans(others_);
  executors_.clear();
  unsent_.clear();
  full_.clear();
  closed_.clear();
  // One that ends as soon as it is started is not started again and again: only when there is a Spawn.
  if (last_turn_ - guard_started_ < kGuardLives) {
    events.emplace_back(event::ZygoteFailed{0, "the guard process ended as soon as it was started"});
    return;
  }
  const auto zygote = zygote_for({});  // which starts a new guard
  if (!zygote) events.emplace_back(event::ZygoteFailed{0, zygote.error().message});
}

}  // namespace treadle::worker

#include "worker/worker_loop.h"

#include <algorithm>
#include <utility>

#include "runtime/log.h"

namespace treadle::worker {
namespace {

// What happens to single tasks, and what the dispatcher says too in the same process, is for those who look closely.
runtime::LogLevel level_of(const std::string& event, bool in_process) {
  const bool detail = event.starts_with("task.") || (in_process && event == "worker.registered");
  return detail ? runtime::LogLevel::Debug : runtime::LogLevel::Info;
}

}  // namespace

WorkerLoop::WorkerLoop(core::SupervisorConfig config, Rng rng, ExecutorPool& pool, transport::WorkerLink& link)
    : in_process_(config.info.in_process), pool_(pool), link_(link), core_(std::move(config), rng) {}

Instant WorkerLoop::next_deadline() const {
  return std::min({core_.next_deadline(), pool_.next_deadline(), link_.next_deadline()});
}

bool WorkerLoop::turn(Instant now) {
  pool_.turn(now, said_);
  for (const auto change : link_.changes()) {
    if (change == transport::WorkerLink::Change::Up) events_.push_back(core::event::LinkUp{});
    if (change == transport::WorkerLink::Change::Down) events_.push_back(core::event::LinkDown{});
  }
  for (const auto& note : link_.take_notes()) runtime::log(runtime::LogLevel::Warning, "link.dropped " + note);
  for (auto& message : link_.receive(now)) events_.push_back(core::event::DispatcherSaid{std::move(message)});
  if (events_.empty() && said_.empty() && now < core_.next_deadline()) return false;
  settle(now);
  pool_.flush();
  return true;
}

// Until the core has nothing more to say to executors: an answer that comes at once (Recalled) may free work for
// another.
void WorkerLoop::settle(Instant now) {
  do {
    for (auto& event : std::exchange(events_, {})) core_.step(now, std::move(event), effects_);
    for (auto& event : std::exchange(said_, {})) core_.step(now, std::move(event), effects_);
    core_.tick(now, effects_);
    carry_out();
  } while (!said_.empty());
  core_.flush(now, effects_);
  carry_out();
  if (effects_.message) link_.send(std::move(*std::exchange(effects_.message, std::nullopt)));
}

void WorkerLoop::carry_out() {
  for (const auto& command : std::exchange(effects_.commands, {})) pool_.run(command, said_);
  for (const auto& entry : std::exchange(effects_.trail, {}))
    runtime::log(level_of(entry.event, in_process_), entry.event + " " + entry.fields);
}

}  // namespace treadle::worker

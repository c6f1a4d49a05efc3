#include "core/supervisor.h"

#include <algorithm>

#include "base/assert.h"

namespace treadle::core {

Supervisor::Supervisor(SupervisorConfig config, Rng rng)
    : config_(std::move(config)),
      rng_(rng),
      info_(config_.info),
      slots_(config_.info.slots),
      functions_(config_.function_cache_bytes),
      outcomes_(works_) {
  TREADLE_ASSERT(slots_ > 0);
  if (config_.boot == 0) config_.boot = rng_.next() | 1;
  if (info_.pythons.empty()) info_.pythons.resize(1);
}

void Supervisor::step(Instant now, SupervisorEvent event, SupervisorEffects& effects) {
  now_ = std::max(now_, now);
  effects_ = &effects;
  std::visit([this](auto& e) { on(e); }, event);
}

void Supervisor::on(ExecutorEvent& event) {
  std::visit([this](auto& e) { on(e); }, event);
}

void Supervisor::tick(Instant now, SupervisorEffects& effects) {
  now_ = std::max(now_, now);
  effects_ = &effects;
  act_on_deadlines();
  look_at_followed();
  hand_out();
  fill_from_standby();
  give_back_overdue();
  keep_warm();
}

void Supervisor::act_on_deadlines() {
  if (look_at_ <= now_) look_at_executors();
  if (drain_until_ <= now_) kill_for_drain();
  if (!info_.in_process) outcomes_.say_overdue_again(now_);
}

void Supervisor::watch(const Executor& executor) { look_at_ = std::min(look_at_, executor.due()); }

void Supervisor::look_at_executors() {
  for (auto& [no, executor] : executors_) look_at(*executor);
  look_at_ = Instant::never();
  for (auto& [no, executor] : executors_) watch(*executor);
}

Instant Supervisor::next_deadline() const {
  Instant next = std::min({look_at_, drain_until_, follow_at_});
  if (!ready_.empty()) next = std::min({next, idle_by_, ready_.front()->waiting_since + limits::kWaitForSlot});
  if (spawn_after_ > now_ && !draining_) next = std::min(next, spawn_after_);
  if (!link_up_) return next;
  if (link_ != Link::Registered) return std::min(next, register_at_);
  if (outcomes_.has_unsent()) return std::min(next, now_);
  if (!showing_.empty()) next = std::min(next, show_at_);
  if (config_.heartbeat_when_idle || !works_.empty()) next = std::min(next, heartbeat_at_);
  if (!info_.in_process) next = std::min(next, outcomes_.repeat_at());
  return std::min(next, functions_.wants_at());
}

void Supervisor::on(event::WorkerDrainAsked&) {
  if (draining_) {  // asked twice: now
    drain_until_ = now_;
    return;
  }
  draining_ = true;
  drain_until_ = now_ + config_.drain;
  trail("worker.draining", "held=" + std::to_string(works_.size()));
  drain_waiting();
}

SupervisorView Supervisor::view() const {
  SupervisorView view;
  view.slots = slots_;
  view.slots_used = static_cast<std::uint32_t>(busy_.size());
  view.waiting = ready_.size() + needing_body_ + needing_environment_;
  view.piped = piped_;
  view.held = works_.size();
  view.unsettled = outcomes_.items();
  view.executors = executors_.size();
  view.idle = idle_.size();
  view.registered = link_ == Link::Registered;
  return view;
}

}  // namespace treadle::core

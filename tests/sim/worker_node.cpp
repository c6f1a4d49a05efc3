#include "worker_node.h"

#include <algorithm>

namespace treadle::sim {

using namespace core;

WorkerNode::WorkerNode(World& world, RunLog& log, WorkerId id, core::Mode mode, std::uint32_t slots, Habits habits,
                       Send send, std::uint64_t first_boot)
    : world_(world),
      log_(log),
      id_(id),
      mode_(mode),
      slots_(slots),
      habits_(habits),
      send_(std::move(send)),
      boots_(first_boot) {
  start();
}

void WorkerNode::start() {
  ++life_;
  SupervisorConfig config;
  config.worker = id_;
  config.boot = ++boots_;
  config.info.host = "sim";
  config.info.slots = slots_;
  config.info.in_process = mode_ == Mode::Local;
  config.asks = mode_ == Mode::Pull;
  events_.clear();
  wake_at_ = Instant::never();
  stalled_until_ = Instant{};
  last_said_ = 0;
  die_in_ = 0;
  if (executors_) buried_.push_back(std::move(executors_));  // timers of theirs may still be due
  executors_ = std::make_unique<FakeExecutors>(world_, log_, habits_, [this, life = life_] {
    if (life == life_) wake(world_.now());
  });
  core_ = std::make_unique<Supervisor>(config, Rng(world_.rng.next()));
  wake(world_.now());
}

void WorkerNode::kill() {
  if (!core_) return;
  ++deaths;
  ++life_;
  held_at_death += core_->view().held;
  recalled += executors_->recalled();
  executors_->vanish();
  core_.reset();
  events_.clear();
}

// SIGSTOP of the supervisor alone: its executors run on, and its time goes on.
void WorkerNode::stall(Duration d) {
  stalls += core_ ? 1 : 0;
  stalled_until_ = std::max(stalled_until_, world_.now() + d);
}

void WorkerNode::reconnect() {
  if (!core_) return;
  ++reconnects;
  say(event::LinkDown{});
  world_.after(world_.between(1ms, 50ms), [this, life = life_] {
    if (life == life_) say(event::LinkUp{});
  });
}

// In PULL a reply belongs to one request: with REQ_CORRELATE the socket drops what answers an earlier one.
void WorkerNode::deliver(DispatcherMessage message) {
  if (!core_) return;
  if (mode_ == Mode::Pull && message.seq != 0 && message.ack < last_said_) {
    ++superseded;
    return;
  }
  for (const Attempt& attempt : message.attempts) executors_->note_attempt(attempt);
  say(event::DispatcherSaid{std::move(message)});
}

void WorkerNode::say(SupervisorEvent event) {
  events_.push_back(std::move(event));
  wake(world_.now());
}

void WorkerNode::wake(Instant at) {
  at = std::max(at, stalled_until_);
  if (at >= wake_at_) return;
  wake_at_ = at;
  world_.at(at, [this, at, life = life_] {
    if (life != life_ || !core_ || at != wake_at_) return;  // it was woken earlier instead
    wake_at_ = Instant::never();
    if (world_.now() < stalled_until_) return wake(stalled_until_);
    turn();
  });
}

void WorkerNode::turn() {
  for (auto& e : executors_->take_events()) events_.push_back(std::move(e));
  SupervisorEffects effects;
  transitions += events_.size();
  for (auto& e : std::exchange(events_, {})) core_->step(world_.now(), std::move(e), effects);
  for (;;) {
    core_->tick(world_.now(), effects);
    if (effects.commands.empty()) break;
    if (!carry_out(effects)) return;
  }
  core_->flush(world_.now(), effects);
  if (!carry_out(effects)) return;
  if (effects.message) {
    if (dies_now()) return;
    ++transitions;
    last_said_ = effects.message->seq;
    send_(std::move(*effects.message));
  }
  wake(core_->next_deadline());
}

bool WorkerNode::dies_now() {
  if (die_in_ == 0 || --die_in_ > 0) return false;
  kill();
  return true;
}

// Answers that the port promises at once (Recalled, Measured) go back before anything else.
bool WorkerNode::carry_out(SupervisorEffects& effects) {
  for (const auto& command : std::exchange(effects.commands, {})) {
    if (dies_now()) return false;
    ++transitions;
    executors_->run(command);
  }
  for (auto& e : executors_->take_events()) core_->step(world_.now(), std::move(e), effects);
  for (const TrailEntry& entry : std::exchange(effects.trail, {})) {
    if (on_note) on_note(entry.event + " " + entry.fields);
  }
  return true;
}

}  // namespace treadle::sim

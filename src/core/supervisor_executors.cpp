// Executors come, answer and go; slots follow.
#include <algorithm>

#include "base/assert.h"
#include "core/supervisor.h"

namespace treadle::core {
namespace {

constexpr Duration kBackoffMin = 100ms;
constexpr Duration kBackoffMax = 5s;
constexpr Duration kMeasureAfter = 50ms;

std::string name(const Executor& executor) {
  return "executor=" + std::to_string(static_cast<std::uint32_t>(executor.no));
}

}  // namespace

Executor* Supervisor::find(ExecutorNo no) {
  const auto it = executors_.find(static_cast<std::uint32_t>(no));
  return it == executors_.end() ? nullptr : it->second.get();
}

const Supervisor::Census& Supervisor::census() const {
  if (!census_stale_) return census_;
  census_stale_ = false;
  census_ = {};
  for (const auto& [no, executor] : executors_) {
    if (executor->state == Executor::State::Leaving || executor->kill != Executor::KillStage::None) continue;
    census_.warm += executor->key == ExecutorKey{} ? 1 : 0;
    census_.starting += executor->state == Executor::State::Starting ? 1 : 0;
    census_.live += executor->state == Executor::State::Live ? 1 : 0;
    census_.spares += executor->key.isolation == Isolation::Fresh && executor->idle ? 1 : 0;
  }
  return census_;
}

// After failed starts there is one at a time, at growing intervals.
bool Supervisor::may_spawn() const {
  if (start_failures_ < limits::kExecutorStartFailures) return true;
  return now_ >= spawn_after_ && census().starting == 0;
}

Executor& Supervisor::spawn(const ExecutorKey& key) {
  const std::uint32_t no = next_executor_++;
  auto& executor = *(executors_[no] = std::make_unique<Executor>());
  executor.no = ExecutorNo{no};
  executor.key = key;
  executor.born = executor.wear_measured = now_;
  executor.start_by = now_ + config_.executor_start;
  ++counters_.spawned;
  census_stale_ = true;
  command(command::Spawn{executor.no, key});
  settle_place(executor);
  watch(executor);
  return executor;
}

void Supervisor::start_failed(const ExecutorKey& key, const std::string& why) {
  ++counters_.start_failures;
  if (!key.environment.empty()) return environment_failed(key, "no process comes up in its environment: " + why, {});
  ++start_failures_;
  if (start_failures_ < limits::kExecutorStartFailures) {
    trail("executor.start_failed", "why=\"" + why + "\"");
    return;
  }
  const int doublings = std::min(start_failures_ - limits::kExecutorStartFailures, 10);
  const Duration pause = std::min(kBackoffMax, kBackoffMin * (1 << doublings));
  spawn_after_ = now_ + pause;
  trail("executor.start_failing", "in_a_row=" + std::to_string(start_failures_) +
                                      " next_try_ms=" + std::to_string(pause / 1ms) + " why=\"" + why + "\"");
}

// While executors do not start, only those that are there can run something.
std::uint32_t Supervisor::usable_slots() const {
  if (start_failures_ < limits::kExecutorStartFailures) return slots_;
  return std::min(slots_, census().live);
}

void Supervisor::keep_warm() {
  if (draining_) return;
  if (config_.warm) {
    while (census().warm < slots_ && may_spawn()) spawn(ExecutorKey{});
  }
  if (now_ < fresh_until_ && census().spares == 0 && may_spawn()) {
    ExecutorKey key;
    key.isolation = Isolation::Fresh;
    spawn(key);
  }
  while (idle_.size() > 2 * std::size_t{slots_}) retire(*idle_.front());
}

void Supervisor::retire(Executor& executor) {
  executor.state = Executor::State::Leaving;
  ++counters_.recycled;
  census_stale_ = true;
  command(command::Exit{executor.no});
  settle_place(executor);
}

// Keeps idle_ and busy_ true; to be called after anything that changes what the executor has to do.
void Supervisor::settle_place(Executor& executor) {
  const bool holds = !executor.pipe.empty();
  const bool idle = !holds && executor.ready_for_task();
  if (holds != executor.holds_slot) {
    executor.holds_slot = holds;
    if (holds) {
      busy_.push_back(&executor);
      TREADLE_ASSERT(busy_.size() <= slots_);
    } else {
      std::erase(busy_, &executor);
    }
  }
  if (idle != executor.idle) {
    executor.idle = idle;
    if (idle) {
      idle_.push_back(&executor);
    } else {
      std::erase(idle_, &executor);
    }
    if (executor.key.isolation == Isolation::Fresh) census_stale_ = true;
  }
  const bool leaves =
      executor.state == Executor::State::Leaving && !holds && executor.kill == Executor::KillStage::None;
  if (leaves && executor.kill_at == Instant::never()) executor.kill_at = now_ + config_.kill_grace;
  if (executor.kill_at != Instant::never() || executor.awaits_idle) watch(executor);
}

void Supervisor::begin_front(Executor& executor, Instant begun) {
  executor.begun = begun;
  executor.reported = executor.reported_long = false;
  executor.recall_at =
      begun + std::clamp(2 * executor.pipe.front().estimate, limits::kStartReportDelay, limits::kWaitForSlot);
  executor.measure_at = executor.watched() ? begun + kMeasureAfter : Instant::never();
  executor.cpu_base_known = false;
  if (executor.key.allowance.cpu_ms > 0) executor.measure_at = begun;  // what others before it took is not its
  ++counters_.begun;
  executor.pipe.front().begun = begun;
  executor.async_due = executor.pipe.front().due();
  watch(executor);
}

// Nothing is in its pipe any more.
void Supervisor::came_to_rest(Executor& executor) {
  executor.begun = Instant::never();
  executor.exclusive = false;
  executor.async_function = 0;
}

// Takes one out of the accounts of the pipe; the caller takes it out of the pipe.
void Supervisor::unpipe(Executor& executor, const Executor::Piped& piped) {
  executor.pipe_work -= piped.estimate;
  executor.pipe_bytes -= piped.work->attempt.args.bytes.size();
  --piped_;
  piped.work->executor = nullptr;
  piped.work->place = Place::Ready;
}

void Supervisor::on(event::ExecutorReady& e) {
  Executor* executor = find(e.no);
  if (!executor || executor->state != Executor::State::Starting) return;
  executor->state = Executor::State::Live;
  census_stale_ = true;
  start_failures_ = 0;
  if (executor->key.interpreter < info_.pythons.size()) {
    PythonVersion& python = info_.pythons[executor->key.interpreter];
    python.major = static_cast<std::uint8_t>(e.python_major);
    python.minor = static_cast<std::uint8_t>(e.python_minor);
  }
  if (!executor->pipe.empty()) begin_front(*executor, now_);
}

void Supervisor::on(event::TaskDone& e) {
  Executor* executor = find(e.no);
  if (executor && executor->side_by_side()) return done_beside(*executor, e);
  if (!executor || executor->pipe.empty() || executor->pipe.front().seq != e.seq) return;
  const Executor::Piped done = executor->pipe.front();
  take_output(*done.work, std::move(e.unread));
  if (executor->kill >= Executor::KillStage::Terminated && executor->kill_target == done.work) {
    // Too late: its end was decided when SIGTERM was sent. What it left behind is ended now.
    executor->stack = std::move(e.stack);
    executor->output = std::move(e.outcome.output);
    if (executor->kill == Executor::KillStage::Terminated) kill_tree(*executor);
    return;
  }
  executor->pipe.pop_front();
  unpipe(*executor, done);
  count_run(*executor, *done.work, e);
  check_allowance(*done.work, e);
  end(*done.work, std::move(e.outcome));
  if ((e.recycle || worn(*executor)) && executor->state == Executor::State::Live) retire(*executor);
  measure_wear(*executor);
  go_on_with_kill(*executor);
  settle_place(*executor);
  if (executor->pipe.empty()) return;
  Work& next = *executor->pipe.front().work;  // cancelled while it was too late to recall it
  if (next.revoked == Revoked::Kill) want_kill(*executor, next, KillWhy::Cancel);
}

void Supervisor::count_run(Executor& executor, Work& work, const event::TaskDone& done) {
  const Instant begun = executor.begun == Instant::never() ? now_ : executor.begun;
  const Measures& measures = done.outcome.measures;
  Duration ran = now_ - begun;
  if (measures.finished_ns > measures.started_ns)
    ran = std::min(ran, Duration(measures.finished_ns - measures.started_ns));
  work.function->mean.add(ran);
  mean_.add(ran);
  if (done.output_unmarked) work.function->mark_output = true;
  ++executor.tasks_done;
  executor.cpu_done_us += measures.cpu_us;
  ++counters_.done;
  if (executor.pipe.empty()) {
    came_to_rest(executor);
    executor.awaits_idle_since = now_;  // it could not say it before
  } else {
    begin_front(executor, std::clamp(Instant{measures.finished_ns}, begun, now_));
  }
}

void Supervisor::on(event::ExecutorIdle& e) {
  Executor* executor = find(e.no);
  if (!executor || e.seq != executor->last_seq) return;
  executor->awaits_idle = false;
  settle_place(*executor);
}

void Supervisor::on(event::NeedFunction& e) {
  Executor* executor = find(e.no);
  if (!executor) return;
  for (const Executor::Piped& piped : executor->pipe) {
    if (piped.seq != e.seq || piped.work->function->number != e.function) continue;
    command(command::SendFunction{executor->no, e.function, piped.work->function->body});
  }
}

void Supervisor::on(event::Recalled& e) {
  Executor* executor = find(e.no);
  if (!executor) return;
  --executor->recalls_asked;
  const std::size_t taken = std::min<std::size_t>(e.taken, executor->pipe.size());
  for (std::size_t i = 0; i < taken; ++i) {  // the last one sent first, so that the oldest ends up first in the queue
    const Executor::Piped piped = executor->pipe.back();
    executor->pipe.pop_back();
    unpipe(*executor, piped);
    return_unbegun(*piped.work);
  }
  counters_.recalled += taken;
  if (taken > 0) {
    executor->awaits_idle = true;
    executor->awaits_idle_since = now_;
    trail("task.recalled", name(*executor) + " tasks=" + std::to_string(taken));
  }
  if (executor->pipe.empty()) came_to_rest(*executor);
  go_on_with_kill(*executor);
  settle_place(*executor);
}

void Supervisor::on(event::SpawnFailed& e) {
  Executor* executor = find(e.no);
  if (!executor) return;
  if (e.environment_gone) {
    environment_gone(executor->key);
  } else {
    start_failed(executor->key, e.text);
  }
  gone(*executor);
}

void Supervisor::on(event::ZygoteFailed& e) {
  trail("zygote.failed", "interpreter=" + std::to_string(e.interpreter) + " text=\"" + e.text + "\"");
}

// The process is no more; what was sent to it and not ended by the caller has not begun.
void Supervisor::gone(Executor& executor) {
  while (!executor.pipe.empty()) {
    const Executor::Piped piped = executor.pipe.back();
    executor.pipe.pop_back();
    unpipe(executor, piped);
    if (start_failures_ > 0) piped.work->waiting_since = now_;  // its wait was for the start, not for a slot
    return_unbegun(*piped.work);
  }
  executor.state = Executor::State::Leaving;
  settle_place(executor);
  census_stale_ = true;
  executors_.erase(static_cast<std::uint32_t>(executor.no));
}

}  // namespace treadle::core

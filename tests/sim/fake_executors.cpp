#include "fake_executors.h"

#include <algorithm>
#include <csignal>

#include "base/assert.h"

namespace treadle::sim {

using namespace core;

FakeExecutors::FakeExecutors(World& world, RunLog& log, Habits habits, std::function<void()> notify)
    : world_(world), log_(log), habits_(habits), notify_(std::move(notify)) {}

void FakeExecutors::run(const ExecutorCommand& command) {
  std::visit([this](const auto& c) { carry_out(c); }, command);
}

FakeExecutors::Executor* FakeExecutors::find(ExecutorNo no) {
  const auto it = executors_.find(no);
  return it == executors_.end() ? nullptr : &it->second;
}

void FakeExecutors::emit(ExecutorEvent event) {
  events_.push_back(std::move(event));
  notify_();
}

void FakeExecutors::timer(ExecutorNo no, Duration delay, void (FakeExecutors::*what)(ExecutorNo, Executor&)) {
  Executor* e = find(no);
  const std::uint64_t generation = e->generation = ++generations_;
  world_.after(delay, [this, no, generation, what] {
    Executor* then = find(no);
    if (then && then->generation == generation) (this->*what)(no, *then);
  });
}

void FakeExecutors::carry_out(const command::Spawn& c) {
  TREADLE_ASSERT_MSG(!find(c.no), "an executor number was used twice");
  executors_[c.no];
  timer(c.no, world_.between(1ms, 4ms), &FakeExecutors::become_ready);
}

void FakeExecutors::become_ready(ExecutorNo no, Executor& e) {
  e.ready = true;
  emit(event::ExecutorReady{no, 1, 3, 11});
  if (!e.read.empty()) next_task(no, e);
}

void FakeExecutors::carry_out(const command::SendTask& c) {
  Executor* e = find(c.no);
  if (!e) return;
  TREADLE_ASSERT_MSG(c.seq == e->last_seq + 1, "task numbers of an executor have no gaps");
  e->last_seq = c.seq;
  ++e->tokens;
  e->read.push_back({c.seq, c.task, c.attempt});
  if (e->ready && !e->running) next_task(c.no, *e);
}

void FakeExecutors::next_task(ExecutorNo no, Executor& e) {
  if (e.read.empty()) {
    if (e.exiting) die(no, 0);
    return;
  }
  if (e.tokens == 0) {
    const std::uint64_t last = e.read.back().seq;
    e.read.clear();
    emit(event::ExecutorIdle{no, last});
    return;
  }
  --e.tokens;
  e.current = e.read.front();
  e.read.pop_front();
  e.running = true;
  e.began = world_.now();
  e.plan = plan_of(e.current.task, habits_);
  log_.start(e.current.task, RunLog::By::Supervisor);
  if (const auto it = tokens_.find({e.current.task, e.current.attempt}); it != tokens_.end())
    ++log_.starts_of_token[it->second];
  if (e.damaged) return timer(no, e.plan.takes / 2 + 10us, &FakeExecutors::break_down);
  if (e.plan.behaviour != Behaviour::Hang) timer(no, e.plan.takes + 20us, &FakeExecutors::end_task);
}

void FakeExecutors::end_task(ExecutorNo no, Executor& e) {
  ++log_.tasks[e.current.task].ends;
  if (e.plan.behaviour == Behaviour::KillExecutor) return die(no, SIGSEGV);
  event::TaskDone done{.no = no, .seq = e.current.seq};
  done.outcome.result.bytes = Buffer::of(result_of(e.current.task));
  done.outcome.measures.started_ns = e.began.ns;
  done.outcome.measures.finished_ns = world_.now().ns;
  if (e.plan.behaviour == Behaviour::Raise) {
    done.outcome.kind = ErrorKind::FunctionFailed;
    done.outcome.error_type = "ValueError";
  }
  done.made_by = MadeBy::Pickle;
  e.damaged = e.damaged || e.plan.leaves_damage;
  e.running = false;
  emit(std::move(done));
  next_task(no, e);
}

void FakeExecutors::carry_out(const command::Recall& c) {
  Executor* e = find(c.no);
  std::uint32_t taken = 0;
  if (e) {
    taken = static_cast<std::uint32_t>(std::min<std::uint64_t>(c.count, e->tokens));
    e->tokens -= taken;
    recalled_ += taken;
    // An idle child would have taken its tokens long ago; one that waits for a task finds none and says so.
    if (taken > 0 && e->ready && !e->running) timer(c.no, 30us, &FakeExecutors::next_task);
  }
  events_.push_back(event::Recalled{c.no, taken});
}

void FakeExecutors::carry_out(const command::Signal& c) {
  Executor* e = find(c.no);
  if (!e || !e->running || c.signal != SIGTERM) return;
  // Half of the functions mind SIGTERM.
  if (!world_.rng.chance(0.5)) return;
  event::TaskDone done{.no = c.no, .seq = e->current.seq};
  done.outcome.kind = ErrorKind::FunctionFailed;
  done.outcome.error_type = "SystemExit";
  e->running = false;
  e->generation = ++generations_;
  ++log_.tasks[e->current.task].ends;
  emit(std::move(done));
  next_task(c.no, *e);
}

void FakeExecutors::carry_out(const command::Kill& c) {
  if (Executor* e = find(c.no)) {
    e->ready = false;
    timer(c.no, world_.between(1ms, 5ms), &FakeExecutors::killed);
  }
}

void FakeExecutors::killed(ExecutorNo no, Executor&) { die(no, SIGKILL); }

void FakeExecutors::carry_out(const command::Exit& c) {
  Executor* e = find(c.no);
  if (!e) return;
  e->exiting = true;
  if (!e->running && e->read.empty()) timer(c.no, 1ms, &FakeExecutors::next_task);
}

void FakeExecutors::carry_out(const command::Measure& c) { events_.push_back(event::Measured{c.no, 1 << 20}); }

void FakeExecutors::die(ExecutorNo no, int wait_status) {
  executors_.erase(no);
  event::ExecutorDied died{.no = no, .was_ready = true, .exited = true, .wait_status = wait_status};
  emit(std::move(died));
}

std::size_t FakeExecutors::running() const {
  return static_cast<std::size_t>(std::ranges::count_if(executors_, [](const auto& e) { return e.second.running; }));
}

void FakeExecutors::vanish() {
  executors_.clear();
  events_.clear();
}

}  // namespace treadle::sim

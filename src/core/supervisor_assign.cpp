// Who runs what, where: slots (the right to run) are given to waiting attempts, which then take an executor.
#include <algorithm>

#include "base/assert.h"
#include "core/failure_object.h"
#include "core/supervisor.h"

namespace treadle::core {
namespace {

constexpr Duration kTaskOverhead = 3us;           // of an executor for a task, beside the function itself
constexpr std::uint64_t kPipeBytes = 256u << 10;  // of arguments that may wait inside one executor
constexpr std::size_t kLookAhead = 64;            // attempts behind one that cannot begin now
constexpr Duration kIdleSoon = 20ms;              // from a result to the IDLE that follows it
constexpr Duration kSpareKept = 60s;              // after the last task of Isolation::Fresh

}  // namespace

void Supervisor::hand_out() {
  idle_by_ = Instant::never();
  for (std::size_t i = 0; i < ready_.size() && i < kLookAhead;) {
    Work& work = *ready_[i];
    if (work.start_by <= now_) {  // the store ends it
      ready_.erase(ready_.begin() + static_cast<std::ptrdiff_t>(i));
      give_back(work, GiveBack::Unstarted);
    } else if (join(work) || begin(work) || append(work)) {
      ready_.erase(ready_.begin() + static_cast<std::ptrdiff_t>(i));
    } else if (busy_.size() >= slots_) {
      return;  // no way past the oldest: order is kept
    } else {
      ++i;
    }
  }
}

// Gives it a slot and an executor of its key: one that knows the function, else any, else a new one.
bool Supervisor::begin(Work& work) {
  if (busy_.size() >= slots_) return false;
  if (work.at_most_once() && !may_begin_at_most_once()) return false;
  const ExecutorKey key = key_for(work);
  if (key.isolation == Isolation::Fresh) fresh_until_ = now_ + kSpareKept;
  Executor* executor = pick(work, key);
  if (!executor && (soon_idle(key) || !may_spawn())) return false;
  if (!executor) executor = &spawn(key);
  // What is sent to one that starts begins whenever that is ready.
  if (work.has_deadline() && executor->state != Executor::State::Live) return false;
  executor->exclusive = must_be_alone(*executor, work);
  send(*executor, work);
  return true;
}

// Nothing may be sent behind it, or beside it. What is looked at while it runs is looked at for one task.
bool Supervisor::must_be_alone(const Executor& executor, const Work& work) const {
  if (work.attempt.suspect || executor.key.isolation == Isolation::Fresh) return true;
  return work.function->is_async ? executor.watched() : work.at_most_once() || work.function->mark_output;
}

// One that has ended its task and owes an IDLE for what was recalled says it at once: that is no reason for a new
// process.
bool Supervisor::soon_idle(const ExecutorKey& key) {
  for (const auto& [no, executor] : executors_) {
    if (!executor->awaits_idle || !executor->pipe.empty() || executor->key != key) continue;
    if (executor->state != Executor::State::Live || executor->kill != Executor::KillStage::None) continue;
    const Instant until = executor->awaits_idle_since + kIdleSoon;
    if (until <= now_) continue;
    idle_by_ = std::min(idle_by_, until);
    return true;
  }
  return false;
}

Executor* Supervisor::pick(const Work& work, const ExecutorKey& key) {
  Executor* live = nullptr;
  Executor* starting = nullptr;
  for (auto it = idle_.rbegin(); it != idle_.rend(); ++it) {
    Executor& executor = **it;
    if (executor.key != key || (work.attempt.suspect && executor.tasks_done > 0)) continue;
    if (executor.state == Executor::State::Starting) {
      starting = &executor;
    } else if (executor.knows(work.function->number)) {
      return &executor;
    } else if (!live) {
      live = &executor;
    }
  }
  return live ? live : starting;
}

// Puts it behind another one inside an executor, when all slots are taken.
bool Supervisor::append(Work& work) {
  if (busy_.size() < slots_ || work.at_most_once() || work.attempt.suspect) return false;
  if (work.has_deadline()) return false;  // when it would begin is not known
  if (work.function->mark_output || work.function->is_async) return false;
  const ExecutorKey key = key_for(work);
  if (key.isolation == Isolation::Fresh) return false;
  for (std::size_t i = 0; i < busy_.size(); ++i) {
    const std::size_t at = (next_busy_ + i) % busy_.size();
    Executor& executor = *busy_[at];
    if (!executor.ready_for_task() || executor.exclusive || executor.begun == Instant::never()) continue;
    if (executor.side_by_side()) continue;
    if (!has_room(executor, estimate(work))) continue;
    if (executor.pipe.size() >= limits::kMaxPrefetchPerSlot ||
        executor.pipe_bytes + work.attempt.args.bytes.size() > kPipeBytes)
      continue;
    if (executor.key != key) continue;
    next_busy_ = at + 1;
    send(executor, work);
    return true;
  }
  return false;
}

// Either all that is there is expected to be over within a millisecond, or one task stands by behind one that is
// expected to end soon: the executor then goes on without waiting for us, which costs a short task 3 to 5 % of its time
// (docs/decisions/0012-standby.md).
bool Supervisor::has_room(const Executor& executor, Duration expected) const {
  const bool over_soon = now_ - executor.begun < limits::kPipeWork;
  if (over_soon && executor.pipe_work + expected <= limits::kPipeWork) return true;
  return executor.pipe.size() == 1 && executor.pipe.front().estimate <= limits::kStandbyBehind &&
         now_ < executor.recall_at;
}

// Whatever stands by while a slot is free and nothing else wants it runs there instead.
void Supervisor::fill_from_standby() {
  if (!ready_.empty() || draining_) return;
  std::size_t free = busy_.size() < usable_slots() ? usable_slots() - busy_.size() : 0;
  for (Executor* executor : busy_) {
    if (free == 0) return;
    if (executor->pipe_work <= limits::kPipeWork || !executor->ready_for_task()) continue;
    if (executor->side_by_side()) continue;
    free -= recall_standby(*executor) ? 1 : 0;
  }
}

// The interpreter is the one whose bytecode the function or its arguments hold. If there is none, the first one refuses
// it, and says why.
ExecutorKey Supervisor::key_for(const Work& work) const {
  ExecutorKey key;
  key.isolation = work.attempt.isolation;
  key.memory_limit = work.attempt.memory_limit;
  key.allowance = work.attempt.allowance;
  key.surroundings = work.attempt.surroundings;
  key.environment = requirements_of(key.surroundings);
  const PayloadFacts& body = work.function->body.facts;
  const PayloadFacts& args = work.attempt.args.facts;
  for (std::size_t i = 0; i < info_.pythons.size(); ++i) {
    const int minor = info_.pythons[i].minor;
    if (!body.fits_python(minor) || !args.fits_python(minor)) continue;
    key.interpreter = static_cast<std::uint32_t>(i);
    break;
  }
  return key;
}

Duration Supervisor::estimate(const Work& work) const {
  const RunMean& mean = work.function->mean;
  return mean.known() ? mean.value() + kTaskOverhead : limits::kLongTask;  // unknown counts as long: it goes alone
}

void Supervisor::send(Executor& executor, Work& work) {
  CachedFunction& function = *work.function;
  if (!executor.knows(function.number)) {
    if (executor.functions.size() >= Executor::kFunctionsRemembered) executor.functions.clear();
    executor.functions.insert(function.number);
    command(command::SendFunction{executor.no, function.number, function.body});
  }
  executor.last_function = function.number;
  const Attempt& attempt = work.attempt;
  const Duration expected = estimate(work);
  Executor::Piped& piped = executor.pipe.emplace_back();
  piped.work = &work;
  piped.seq = ++executor.last_seq;
  piped.estimate = expected;
  if (function.is_async) executor.async_function = function.number;
  executor.pipe_work += expected;
  executor.pipe_bytes += attempt.args.bytes.size();
  ++piped_;
  work.place = Place::Piped;
  work.executor = &executor;
  const bool cloudpickle = function.body.facts.names_cloudpickle || attempt.args.facts.names_cloudpickle;
  command(command::SendTask{executor.no, executor.last_seq, function.number, attempt.task, attempt.number, attempt.args,
                            function.mark_output && !function.is_async, cloudpickle, function.is_async,
                            attempt.time_limit});
  if (executor.side_by_side()) return begin_beside(executor, now_);
  if (executor.pipe.size() > 1) {
    watch(executor);
    return;
  }
  settle_place(executor);
  if (executor.state == Executor::State::Live) begin_front(executor, now_);
}

void Supervisor::make_ready(Work& work, bool first) {
  work.executor = nullptr;
  if (awaits_environment(work)) return;
  work.place = Place::Ready;
  first ? ready_.push_front(&work) : ready_.push_back(&work);
}

void Supervisor::give_back_overdue() {
  while (!ready_.empty() && ready_.front()->waiting_since + limits::kWaitForSlot <= now_) {
    Work& work = *ready_.front();
    ready_.pop_front();
    give_back(work, GiveBack::Unstarted);
  }
}

void Supervisor::take_out_of_queue(Work& work) {
  if (work.place == Place::Ready) {
    ready_.erase(std::find(ready_.begin(), ready_.end(), &work));
    return;
  }
  if (work.place == Place::NeedsEnvironment) {
    --needing_environment_;
  } else {
    std::erase(work.function->waiting, &work);
    --needing_body_;
  }
  work.place = Place::Ready;
}

// No user code of it ran: it runs elsewhere, or nowhere if nobody wants it any more. It stands in no queue and no pipe.
void Supervisor::return_unbegun(Work& work) {
  if (work.revoked == Revoked::Kill) {
    ++counters_.cancelled;
    end(work, failure(work, ErrorKind::Cancelled, "it was cancelled before it ran"));
  } else if (work.revoked == Revoked::IfNotBegun || draining_ || dispatcher_drains_) {
    give_back(work, GiveBack::Unstarted);
  } else {
    make_ready(work, true);
  }
}

void Supervisor::end(Work& work, Outcome outcome) {
  work.outcome = std::move(outcome);
  close(work);
}

void Supervisor::give_back(Work& work, GiveBack why, std::string last_error, Outcome failure) {
  ++counters_.given_back;
  work.given_back = true;
  work.why = why;
  work.last_error = std::move(last_error);
  work.outcome = std::move(failure);
  close(work);
}

void Supervisor::close(Work& work) {
  TREADLE_ASSERT(work.place != Place::Ended);
  work.place = Place::Ended;
  work.executor = nullptr;
  work.attempt.args = {};
  functions_.unpin(*work.function);
  work.function = nullptr;
  outcomes_.add(work);
}

Outcome Supervisor::failure(const Work& work, ErrorKind kind, std::string message) const {
  Outcome outcome;
  outcome.kind = kind;
  outcome.result = worker_failure_object(work.attempt.task, to_string(config_.worker), message);
  outcome.error_type = name_of(kind);
  outcome.error_message = std::move(message);
  return outcome;
}

}  // namespace treadle::core

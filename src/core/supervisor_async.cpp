// Coroutine functions: many tasks of one function run side by side in one executor, on its event loop, and end in any
// order. All of them together hold one slot. What is sent begins at once, so nothing is ever recalled; a task is ended
// by CancelTask, and its executor is killed only if it has not answered when the grace is over.
#include <algorithm>

#include "base/assert.h"
#include "core/supervisor.h"

namespace treadle::core {
namespace {

constexpr int kSigkill = 9;
constexpr std::size_t kHeldMax = 20'000;  // attempts in executors; each is named in every heartbeat
constexpr std::size_t kJoinersFirst = 8;  // asked for beyond the slots, for the first task of a coroutine function

}  // namespace

// Puts it beside others of its function: an executor is filled before the function takes another slot.
bool Supervisor::join(Work& work) {
  if (!work.function->is_async || work.attempt.suspect) return false;
  if (work.at_most_once() && !may_begin_at_most_once()) return false;
  const ExecutorKey key = key_for(work);
  for (Executor* executor : busy_) {
    if (executor->async_function != work.function->number || !executor->side_by_side() || executor->exclusive) continue;
    if (!executor->ready_for_task() || executor->pipe.size() >= config_.async_slots || executor->key != key) continue;
    send(*executor, work);
    return true;
  }
  return false;
}

// Attempts to ask for beyond the slots. What comes may be of another function, and wait here though another worker had
// a free slot: so it is never more than what has proved to be of this one.
std::uint32_t Supervisor::joiners(const Executor& executor) const {
  const std::size_t running = executor.pipe.size();
  if (executor.exclusive || !executor.ready_for_task() || running >= config_.async_slots) return 0;
  if (piped_ >= kHeldMax) return 0;
  return static_cast<std::uint32_t>(std::min(config_.async_slots - running, std::max(kJoinersFirst, running)));
}

// The last one in the pipe, which is not the first.
void Supervisor::begin_beside(Executor& executor, Instant begun) {
  Executor::Piped& piped = executor.pipe.back();
  piped.begun = begun;
  executor.async_due = std::min(executor.async_due, piped.due());
  ++counters_.begun;
  watch(executor);
}

void Supervisor::on(event::TaskStarted& e) {
  Executor* executor = find(e.no);
  if (!executor || executor->pipe.empty() || executor->pipe.front().seq != e.seq) return;
  Executor::Piped& front = executor->pipe.front();
  front.work->function->is_async = true;
  // With others behind it, or while it is being ended, it is run as any other task.
  if (executor->pipe.size() > 1 || executor->kill != Executor::KillStage::None) return;
  executor->async_function = front.work->function->number;
  executor->exclusive = must_be_alone(*executor, *front.work);
  front.reported = executor->reported;
  executor->async_due = front.due();
  watch(*executor);
}

void Supervisor::done_beside(Executor& executor, event::TaskDone& done) {
  const auto at = std::lower_bound(executor.pipe.begin(), executor.pipe.end(), done.seq,
                                   [](const Executor::Piped& piped, std::uint64_t seq) { return piped.seq < seq; });
  if (at == executor.pipe.end() || at->seq != done.seq) return;
  const Executor::Piped piped = *at;
  executor.pipe.erase(at);
  unpipe(executor, piped);
  ++executor.tasks_done;
  ++counters_.done;
  executor.cpu_done_us += done.outcome.measures.cpu_us;
  if (!done.stack.empty()) executor.stack = std::move(done.stack);
  if (executor.pipe.empty()) came_to_rest(executor);
  Work& work = *piped.work;
  take_output(work, std::move(done.unread));
  if (piped.ending) {
    answered_ending(work, piped.why, executor.kill_words, done);
  } else {
    check_allowance(work, done);
    end(work, std::move(done.outcome));
  }
  if ((done.recycle || worn(executor)) && executor.state == Executor::State::Live) retire(executor);
  measure_wear(executor);
  settle_place(executor);
}

// Its end was decided when it was asked to end; where it stood is in the traceback of what was raised in it.
void Supervisor::answered_ending(Work& work, KillWhy why, const std::string& words, event::TaskDone& done) {
  if (why == KillWhy::Drain) {
    if (done.outcome.completed()) return end(work, std::move(done.outcome));
    return lose(work, "its worker was stopped");
  }
  Outcome outcome = verdict(work, why, words);
  outcome.traceback = std::move(done.outcome.traceback);
  outcome.output = std::move(done.outcome.output);
  outcome.measures = done.outcome.measures;
  end(work, std::move(outcome));
}

void Supervisor::look_beside(Executor& executor) {
  executor.async_due = Instant::never();
  for (Executor::Piped& piped : executor.pipe) {
    const Duration ran = now_ - piped.begun;
    const Duration limit = piped.work->attempt.time_limit;
    if (piped.ending && piped.end_by <= now_) return kill_tree(executor);
    if (!piped.reported && ran >= limits::kStartReportDelay) {
      piped.reported = true;
      started_.push_back(piped.work->attempt.token);
    }
    if (!piped.ending && limit > Duration{0} && ran >= limit) end_beside(executor, *piped.work, KillWhy::TimeLimit);
    executor.async_due = std::min(executor.async_due, piped.due());
  }
  if (executor.measure_at > now_) return;
  executor.measure_at = Instant::never();  // until it is answered
  command(command::Measure{executor.no, executor.key.allowance.processes > 0});
}

void Supervisor::end_beside(Executor& executor, const Work& target, KillWhy why, std::string words) {
  const auto at = std::find_if(executor.pipe.begin(), executor.pipe.end(),
                               [&](const Executor::Piped& piped) { return piped.work == &target; });
  TREADLE_ASSERT(at != executor.pipe.end());
  if (at->ending) return;
  at->ending = true;
  at->why = why;
  at->end_by = now_ + grace(why);
  if (!words.empty()) executor.kill_words = std::move(words);
  // For the case that its code does not let the event loop go on: then this is where it stands.
  if (executor.pipe.size() == 1 && why != KillWhy::Drain) command(command::DumpStack{executor.no});
  command(command::CancelTask{executor.no, at->seq});
  executor.async_due = std::min(executor.async_due, at->end_by);
  watch(executor);
}

// Those that were to end are the cause of a kill of ours, and the others its victims. Else each that had begun is a
// suspect, and runs once more, alone.
void Supervisor::end_unfinished_beside(Executor& executor, const event::ExecutorDied& died) {
  const std::size_t begun = executor.pipe.size() - std::min<std::size_t>(died.unbegun, executor.pipe.size());
  // It may have died by itself while the kill was on its way.
  const bool killed = executor.kill == Executor::KillStage::Killed && (died.wait_status & 0x7f) == kSigkill;
  const bool first_and_alone = executor.tasks_done == 0 && begun == 1;
  for (std::size_t i = 0; i < begun; ++i) {
    const Executor::Piped piped = executor.pipe.front();
    executor.pipe.pop_front();
    unpipe(executor, piped);
    executor.begun = piped.begun;
    executor.kill_why = piped.why;
    if (piped.ending) {
      end_killed(executor, *piped.work, died);
    } else if (killed) {
      lose(*piped.work, "its executor was killed to end another task of the function");
    } else if (died.guard_lost) {
      lose(*piped.work, "the process above its executor died");
    } else {
      blame(executor, *piped.work, died, first_and_alone);
    }
  }
}

}  // namespace treadle::core

// Who pays when an executor dies: the task that was being killed; else the one that ran, if it was the only one that
// ever ran there; else it is a suspect, and runs once more, alone in a new executor.
#include <algorithm>

#include "core/death_words.h"
#include "core/supervisor.h"

namespace treadle::core {
namespace {

std::string seconds(Duration d) {
  const auto ms = d / 1ms;
  std::string text = std::to_string(ms / 1000);
  if (ms % 1000 != 0) {
    std::string fraction = std::to_string(1000 + ms % 1000).substr(1);
    text += "." + fraction.erase(fraction.find_last_not_of('0') + 1);
  }
  return text + " s";
}

}  // namespace

void Supervisor::on(event::ExecutorDied& e) {
  Executor* executor = find(e.no);
  if (!executor) return;
  ++counters_.deaths;
  if (!e.was_ready && executor->state == Executor::State::Starting && !e.guard_lost) {
    start_failed(executor->key, e.gave_up.empty() ? "an executor ended before it was ready" : e.gave_up);
  }
  end_unfinished(*executor, e);
  gone(*executor);
}

void Supervisor::end_unfinished(Executor& executor, const event::ExecutorDied& died) {
  if (executor.pipe.empty()) return;
  if (executor.side_by_side()) return end_unfinished_beside(executor, died);
  const bool decided = executor.kill >= Executor::KillStage::Terminated && executor.kill_target;
  if (!decided && executor.begun == Instant::never()) return;  // it was not ready yet: nothing has begun
  auto at = executor.pipe.begin();
  while (decided && at->work != executor.kill_target) ++at;
  const Executor::Piped piped = *at;
  take_output(*piped.work, died.unread);
  executor.pipe.erase(at);
  unpipe(executor, piped);
  if (decided) {
    end_killed(executor, *piped.work, died);
  } else if (died.guard_lost) {
    lose(*piped.work, "the process above its executor died");
  } else {
    blame(executor, *piped.work, died, executor.tasks_done == 0);
  }
}

void Supervisor::blame(Executor& executor, Work& work, const event::ExecutorDied& died, bool first_and_alone) {
  const std::string words = death_words(died);
  Outcome outcome = failure(work, ErrorKind::Crashed, words);
  add_last_words(executor, died, outcome);
  trail("task.crashed", "task=" + to_string(work.attempt.task) + " attempt=" + std::to_string(work.attempt.number) +
                            " verdict=" + (first_and_alone ? "blamed" : "suspect") + " why=\"" + words + "\"");
  ++(first_and_alone ? counters_.blamed : counters_.suspects);
  if (work.at_most_once()) {
    end(work, std::move(outcome));
  } else {
    give_back(work, first_and_alone ? GiveBack::Killed : GiveBack::Suspect, words, std::move(outcome));
  }
}

// It may have run in part, and nobody is to blame.
void Supervisor::lose(Work& work, std::string why) {
  if (work.at_most_once()) {
    end(work, failure(work, ErrorKind::WorkerLost, why + "; it may not run again"));
  } else {
    give_back(work, GiveBack::Unstarted, std::move(why));
  }
}

// What a target said after SIGTERM counts more than what was found when its executor was gone.
void Supervisor::add_last_words(const Executor& executor, const event::ExecutorDied& died, Outcome& outcome) {
  outcome.traceback = executor.stack.empty() ? died.stack : executor.stack;
  outcome.output = executor.output.empty() ? died.output : executor.output;
  Measures& measures = outcome.measures;
  measures.started_ns = executor.begun.ns;
  measures.finished_ns = now_.ns;
  fill_measures(died, measures);
  measures.cpu_us -= std::min(measures.cpu_us, executor.cpu_done_us);  // wait4 tells of the executor's whole life
}

void Supervisor::end_killed(Executor& executor, Work& work, const event::ExecutorDied& died) {
  if (executor.kill_why == KillWhy::Drain) return lose(work, "its worker was stopped");
  Outcome outcome = verdict(work, executor.kill_why, executor.kill_words);
  add_last_words(executor, died, outcome);
  end(work, std::move(outcome));
}

// What is said of a task that was ended; not for KillWhy::Drain, which blames nobody.
Outcome Supervisor::verdict(const Work& work, KillWhy why, const std::string& words) {
  switch (why) {
    case KillWhy::TimeLimit:
      ++counters_.timeouts;
      return failure(work, ErrorKind::Timeout,
                     "the time limit of " + seconds(work.attempt.time_limit) + " passed; the function was ended");
    case KillWhy::Cancel:
      ++counters_.cancelled;
      return failure(work, ErrorKind::Cancelled, "it was cancelled while it ran; the function was ended");
    case KillWhy::MemoryLimit:
      ++counters_.out_of_memory;
      return failure(work, ErrorKind::OutOfMemory,
                     "it used more memory than its limit of " + std::to_string(work.attempt.memory_limit >> 20) +
                         " MiB; the function was ended");
    case KillWhy::Allowance:
    case KillWhy::Processes:
    case KillWhy::Drain: break;
  }
  ++counters_.over_limits;
  return failure(work, ErrorKind::LimitExceeded, words + "; the function was ended");
}

}  // namespace treadle::core

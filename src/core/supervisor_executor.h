// One Python process as the supervisor sees it: what was sent to it, since when its oldest task runs, and how it is
// being ended.
#pragma once

#include <algorithm>
#include <deque>
#include <string>
#include <unordered_set>

#include "core/executor_port.h"
#include "core/limits.h"
#include "core/supervisor_work.h"

namespace treadle::core {

inline constexpr std::size_t kAsyncSlots = 100;  // default of --async-slots
inline constexpr std::size_t kAsyncSlotsMax = 10'000;

enum class KillWhy : std::uint8_t { TimeLimit, Cancel, MemoryLimit, Allowance, Processes, Drain };

struct Executor {
  enum class State : std::uint8_t { Starting, Live, Leaving };
  enum class KillStage : std::uint8_t {
    None,
    Wanted,      // what is behind the target has been recalled; results that are on their way come first
    Terminated,  // SIGTERM was sent: the target's end is decided
    Killed,      // SIGKILL was asked for
  };
  struct Piped {
    Work* work;
    std::uint64_t seq;
    Duration estimate;
    // Of a task that runs beside others (Executor::side_by_side):
    Instant begun = Instant::never();
    bool reported = false;  // that it runs
    bool ending = false;    // its end is decided: it was asked to end, and its executor is killed at end_by
    KillWhy why = KillWhy::TimeLimit;
    Instant end_by = Instant::never();

    Instant due() const {
      if (begun == Instant::never()) return begun;
      if (ending) return end_by;
      Instant next = reported ? Instant::never() : begun + limits::kStartReportDelay;
      const Duration limit = work->attempt.time_limit;
      return limit > Duration{0} ? std::min(next, begun + limit) : next;
    }
  };
  static constexpr std::size_t kFunctionsRemembered = 256;
  static constexpr Duration kIdleAnswer = 10s;  // an executor that has nothing to do says IDLE at once

  ExecutorNo no{};
  ExecutorKey key;
  State state = State::Starting;
  Instant born;
  Instant start_by;  // READY must have come

  std::deque<Piped> pipe;  // unanswered and not recalled; the first one runs
  Duration pipe_work{0};   // sum of the estimates
  std::uint64_t pipe_bytes = 0;
  std::uint64_t last_seq = 0;
  std::uint64_t tasks_done = 0;
  std::uint64_t cpu_done_us = 0;  // that those tasks took
  bool exclusive = false;         // nothing may be sent behind the task that it has
  int recalls_asked = 0;          // not answered yet
  bool awaits_idle = false;       // a recall took something: no task before IDLE has named last_seq
  Instant awaits_idle_since;

  // Not 0: all that is in the pipe is of this coroutine function and runs side by side, on the executor's event loop.
  std::uint32_t async_function = 0;
  Instant async_due = Instant::never();  // no task that runs side by side has to be looked at before it

  Instant begun = Instant::never();      // of the first in the pipe; never: not ready yet
  Instant recall_at = Instant::never();  // what stands behind it is taken back then; never: it was
  bool reported = false;                 // it ran kStartReportDelay: reported
  bool reported_long = false;            // it ran kLongTask: no prefetch for this slot
  Instant measure_at = Instant::never();
  Instant wear_measured;          // when it was measured last
  bool wear_asked = false;        // the next measure tells what its tasks left behind
  bool too_big = false;           // leaves with its next result, for the memory that its tasks left behind
  bool cpu_base_known = false;    // cpu_base_us is of the task that runs
  std::uint64_t cpu_base_us = 0;  // that it had taken when that began

  KillStage kill = KillStage::None;
  KillWhy kill_why = KillWhy::TimeLimit;
  Work* kill_target = nullptr;         // in the pipe as long as kill is not None; nullptr: the process alone is meant
  Instant kill_at = Instant::never();  // next stage
  std::string kill_words;              // why, where KillWhy alone does not tell
  std::string stack, output;           // of a target that answered after SIGTERM

  std::uint32_t last_function = 0;
  std::unordered_set<std::uint32_t> functions;  // sent to it; it may have dropped some and asks again then

  bool idle = false;  // stands in the list of idle executors
  bool holds_slot = false;

  bool ready_for_task() const {
    return state != State::Leaving && kill == KillStage::None && recalls_asked == 0 && !awaits_idle;
  }
  bool side_by_side() const { return async_function != 0 && begun != Instant::never(); }
  bool knows(std::uint32_t function) const { return function == last_function || functions.contains(function); }
  // What the running task takes has to be looked at.
  bool watched() const {
    const Allowance& a = key.allowance;
    return key.memory_limit > 0 || a.cpu_ms > 0 || a.processes > 0 || a.output_bytes > 0;
  }
  // When something has to be done about it if nothing happens.
  Instant due() const {
    Instant next = kill_at;
    if (kill != KillStage::None) return next;
    if (state == State::Starting) next = std::min(next, start_by);
    if (pipe.empty()) return awaits_idle ? std::min(next, awaits_idle_since + kIdleAnswer) : next;
    if (begun == Instant::never()) return next;
    if (side_by_side()) return std::min({next, async_due, measure_at});
    if (pipe.size() > 1) next = std::min(next, recall_at);
    if (!reported_long) next = std::min(next, begun + (reported ? limits::kLongTask : limits::kStartReportDelay));
    const Duration limit = pipe.front().work->attempt.time_limit;
    if (limit > Duration{0}) next = std::min(next, begun + limit);
    return std::min(next, measure_at);
  }
};

}  // namespace treadle::core

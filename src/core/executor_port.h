// What the supervisor core says to executors (commands) and hears of them (events), as plain data: no socket, no
// process. worker/executor_pool carries the commands out; a simulator may answer them instead.
// docs/executor-protocol.md is the wire.
//
// Laws that both sides rely on:
//  - An ExecutorNo is chosen by the core and never used twice. Its life: Spawn -> (ExecutorReady ...) -> exactly one of
//    SpawnFailed and ExecutorDied, after which nothing comes for it any more, and commands for it are silently ignored.
//    Tasks may be sent before ExecutorReady; they wait in the pool.
//  - `seq` numbers the SendTask of one executor from 1 without gaps. TaskDone come in that order, one for each task
//  that
//    was neither recalled nor unanswered at ExecutorDied. The executor runs the oldest unanswered one.
//  - Tasks that are sent as `concurrent` run beside each other, and their TaskDone come in any order. All unanswered
//  tasks
//    of an executor are then of one function; the first of them may have been sent before it was known (TaskStarted).
//  - A recall that took n tokens takes the last n tasks sent: they will not run, and the core may give them to others
//  at
//    once. No SendTask may follow for this executor until ExecutorIdle has named the last seq sent.
//  - Each function number must have been sent (SendFunction) before the first task that uses it.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/time.h"
#include "core/message.h"
#include "core/model.h"
#include "core/payload.h"

namespace treadle::core {

enum class ExecutorNo : std::uint32_t {};

// What an executor is fit for. Tasks go only to an executor of an equal key.
struct ExecutorKey {
  std::uint32_t interpreter = 0;  // index into the worker's list of --python
  std::string environment;        // its requirements, as a JSON list; "" = the worker's own
  Isolation isolation = Isolation::Reuse;
  std::uint64_t memory_limit = 0;  // bytes of its own; 0 = none
  Allowance allowance;
  std::string surroundings;  // JSON: {"env": {...}, "secrets": [...]}, or ""
  friend auto operator<=>(const ExecutorKey&, const ExecutorKey&) = default;
};

namespace command {

struct Spawn {
  ExecutorNo no{};
  ExecutorKey key;
};

// Sent again, with the same number, as the answer to NeedFunction.
struct SendFunction {
  ExecutorNo no{};
  std::uint32_t function = 0;  // chosen by the core, per executor
  Payload body;
};

struct SendTask {
  ExecutorNo no{};
  std::uint64_t seq = 0;
  std::uint32_t function = 0;
  TaskId task;
  std::uint32_t attempt = 0;  // its number, for people
  Payload args;
  bool mark_output = false;        // its function was seen to write past sys.stdout (TaskDone::output_unmarked)
  bool reads_cloudpickle = false;  // the client can read cloudpickle
  bool concurrent = false;         // its function is a coroutine function: it may run beside others of it
  Duration time_limit{0};          // 0 = none. For information: the core's clock decides
};

// Takes back up to `count` of the tasks sent last. Answered by Recalled before `run` returns; right also while the
// executor is stuck in user code.
struct Recall {
  ExecutorNo no{};
  std::uint32_t count = 0;
};

// Ends one task of those that run beside each other: CancelledError is raised in it. Its TaskDone comes as of any
// other.
struct CancelTask {
  ExecutorNo no{};
  std::uint64_t seq = 0;
};

// One signal to the executor process alone. SIGTERM means something only inside user code.
struct Signal {
  ExecutorNo no{};
  int signal = 0;
};

// Writes all Python stacks; they come with the next TaskDone or ExecutorDied of this executor.
struct DumpStack {
  ExecutorNo no{};
};

// The executor and all that it started, with SIGKILL. ExecutorDied comes when all of it is gone.
struct Kill {
  ExecutorNo no{};
};

// Finish what was sent and leave; ExecutorDied follows with wait status 0.
struct Exit {
  ExecutorNo no{};
};

// Answered by Measured before `run` returns.
struct Measure {
  ExecutorNo no{};
  bool processes = false;  // count them too, which reads all of /proc
};

// What task `seq` has written, from the byte `from` on. Answered by OutputRead before `run` returns. What it writes
// after that comes with its TaskDone, or with ExecutorDied.
struct ReadOutput {
  ExecutorNo no{};
  std::uint64_t seq = 0;
  std::uint64_t from = 0;
};

// Makes an environment with these requirements for an interpreter, unless it is there. Answered by one
// EnvironmentBuilt, some time later; there is one at a time.
struct BuildEnvironment {
  std::uint32_t interpreter = 0;
  std::string environment;
};

}  // namespace command

using ExecutorCommand = std::variant<command::Spawn, command::SendFunction, command::SendTask, command::Recall,
                                     command::CancelTask, command::Signal, command::DumpStack, command::Kill,
                                     command::Exit, command::Measure, command::ReadOutput, command::BuildEnvironment>;

// Which pickler made a result, by its number on the wire.
enum class MadeBy : std::uint8_t { Nothing = 0, Pickle = 1, Dill = 2, Cloudpickle = 3, SafeText = 4 };

// A part of a task's output: valid UTF-8, at most limits::kLiveText bytes, the newest if there are more.
struct OutputPart {
  std::uint64_t from = 0;  // bytes of its output before
  std::uint64_t end = 0;   // and up to its end
  std::string text;
};

namespace event {

struct ExecutorReady {
  ExecutorNo no{};
  std::uint32_t pid = 0;
  std::uint16_t python_major = 0;
  std::uint16_t python_minor = 0;
};

struct TaskDone {
  ExecutorNo no{};
  std::uint64_t seq = 0;
  // kind, result bytes, error texts (valid UTF-8, at most limits::kErrorText each), output (valid UTF-8), and of the
  // measures all but signal and exit code. The facts of the result are what the executor claims: not verified yet.
  Outcome outcome;
  MadeBy made_by = MadeBy::Nothing;
  std::uint64_t output_bytes = 0;  // that it wrote, kept or not
  bool recycle = false;            // the executor asks to be replaced: a thread left alive, state that cannot be reset
  bool output_unmarked = false;    // it wrote past sys.stdout: set mark_output for its function from now on
  bool output_mixed = false;       // leftovers of a former task may be among the output
  std::string stack;               // what DumpStack made; else empty
  OutputPart unread;               // what it wrote since its output was read (ReadOutput), if that ever was
};

// The executor dropped all that it had read, up to and with `seq`, after a recall.
struct ExecutorIdle {
  ExecutorNo no{};
  std::uint64_t seq = 0;
};

// Task `seq` waits for this function; nothing of it has run.
struct NeedFunction {
  ExecutorNo no{};
  std::uint64_t seq = 0;
  std::uint32_t function = 0;
};

// The function of task `seq`, which runs, is a coroutine function: more of its tasks may be sent, as `concurrent`.
struct TaskStarted {
  ExecutorNo no{};
  std::uint64_t seq = 0;
};

// How far task `seq`, which runs, says that it is.
struct TaskProgress {
  ExecutorNo no{};
  std::uint64_t seq = 0;
  Progress progress;
};

struct OutputRead {
  ExecutorNo no{};
  std::uint64_t seq = 0;
  OutputPart part;
};

struct Recalled {
  ExecutorNo no{};
  std::uint32_t taken = 0;
};

struct Measured {
  ExecutorNo no{};
  std::uint64_t own_bytes = 0;     // growth of RssAnon + RssShmem since READY; 0 if it is gone or not ready
  std::uint64_t cpu_us = 0;        // of its life, with processes that it has waited for
  std::uint64_t output_bytes = 0;  // that came since the last task ended
  std::uint32_t processes = 0;     // below it, if they were to be counted
};

// It and everything below it is gone. All its unanswered tasks that were not recalled are unfinished. The oldest one
// was running (if any); of concurrent ones all but the last `unbegun`.
struct ExecutorDied {
  ExecutorNo no{};
  bool was_ready = false;
  bool exited = false;         // wait_status is known
  int wait_status = 0;         // as of wait4
  std::uint64_t peak_rss = 0;  // bytes; 0 = unknown
  std::uint64_t cpu_us = 0;
  std::uint64_t unbegun = 0;   // tasks sent last of which it took no token
  std::string stack;           // Python stacks: of a fatal signal, or of DumpStack
  std::string output;          // of the task that was running
  OutputPart unread;           // of it, as in TaskDone
  std::string gave_up;         // its own last words, if it had some (GAVE_UP)
  std::string protocol_error;  // not empty: we killed it, since it broke the protocol
  bool guard_lost = false;     // killed because the guard above it died: nobody's fault, blame no task
};

struct SpawnFailed {
  ExecutorNo no{};
  std::string text;               // one sentence
  bool environment_gone = false;  // it was evicted
};

struct EnvironmentBuilt {
  std::string why;         // it could not be, in one sentence; "" = it is there
  std::string log;         // the end of what the builder said
  bool try_again = false;  // nobody's fault
};

// The interpreter's warm process could not start or died. Spawns that waited for it have failed; the next Spawn tries
// again.
struct ZygoteFailed {
  std::uint32_t interpreter = 0;
  std::string text;  // one sentence, or the end of its stderr
};

}  // namespace event

using ExecutorEvent =
    std::variant<event::TaskDone, event::ExecutorReady, event::ExecutorIdle, event::NeedFunction, event::TaskStarted,
                 event::TaskProgress, event::OutputRead, event::Recalled, event::Measured, event::ExecutorDied,
                 event::SpawnFailed, event::ZygoteFailed, event::EnvironmentBuilt>;

}  // namespace treadle::core

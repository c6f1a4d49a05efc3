// The words of the domain: function, task, attempt, outcome; and the legal moves of a task.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "core/allowance.h"
#include "core/payload.h"
#include "core/scheduling.h"

namespace treadle::core {

enum class TaskState : std::uint8_t { Queued, Claimed, Running, Completed, Failed };

// Claimed (sent or prefetched, user code not begun) is shown as QUEUED, so that RUNNING tells the truth.
std::string_view public_name(TaskState state);
inline bool is_terminal(TaskState s) { return s == TaskState::Completed || s == TaskState::Failed; }
// Any other move is a bug of ours.
bool is_legal_move(TaskState from, TaskState to);

enum class ErrorKind : std::uint8_t {
  None,
  FunctionFailed,     // the function raised
  Timeout,            // its time limit ended it
  Crashed,            // its executor died under it
  WorkerLost,         // its worker vanished, and it may not run again
  PoisonTask,         // it killed its executor twice
  Cancelled,          // somebody asked for it
  Expired,            // it waited longer than it was allowed to
  DeserializeFailed,  // body or arguments could not be loaded
  PythonMismatch,     // bytecode of another Python
  EnvironmentFailed,  // its environment could not be built
  OutOfMemory,
  LimitExceeded,   // CPU, files, processes, output
  Unserializable,  // the result cannot be pickled
  ResultTooLarge,
};
std::string_view name_of(ErrorKind kind);
std::optional<ErrorKind> parse_error_kind(std::string_view name);

enum class Delivery : std::uint8_t {
  AtLeastOnce,  // an attempt lost with its worker is run again
  AtMostOnce,   // after a claim never run again
};

enum class Isolation : std::uint8_t {
  Reuse,  // many tasks in one executor, one after another
  Fresh,  // an executor of its own for each task
};

// Options of a function, or of one task (which override them when the task is submitted). Written to the task, so that
// nobody downstream needs a look-up. Zero and empty mean "not set".
struct Options {
  Delivery delivery = Delivery::AtLeastOnce;
  Isolation isolation = Isolation::Reuse;
  std::uint16_t max_attempts = 0;  // attempts that may be lost with a worker before WorkerLost; 0 = limits.h
  std::uint16_t retries = 0;       // further attempts after a Python exception
  std::uint32_t retry_delay_ms = 0;
  std::uint64_t time_limit_ms = 0;  // of user code, from its start; 0 = none
  std::int16_t priority = 0;        // -1000..1000, higher first
  std::uint64_t memory_limit = 0;   // bytes of its own
  std::string queue;                // "" = default
  std::string environment;          // hash of its requirements; "" = the worker's own
  std::string
      more;  // further limits and surroundings, as core/allowance.h writes them; what else is there is only kept
};

struct Function {
  FunctionId id;
  std::string name;
  Digest digest;  // SHA-256 of body.bytes
  Payload body;
  Options options;
};

// One try of a task, as it is handed from store to dispatcher to worker. Only the token fences; `number` is for people.
struct Attempt {
  TaskId task;
  Token token;
  std::uint32_t number = 0;  // 1 for the first
  FunctionId function;
  Digest body_digest;
  Payload args;
  Delivery delivery = Delivery::AtLeastOnce;
  Isolation isolation = Isolation::Reuse;
  bool suspect = false;            // its executor died once already: run it alone in a new one
  std::uint16_t retries_left = 0;  // after a Python exception
  Duration retry_delay{0};         // before the next of them
  Duration time_limit{0};          // 0 = none
  Duration start_within{0};        // from now on, or it may not start any more; 0 = whenever
  std::uint64_t memory_limit = 0;
  Allowance allowance;
  std::string surroundings;  // its environment and secrets, as surroundings_of gives them
  std::string retry_on;      // of Scheduling; stays with the dispatcher
};

// How much an attempt took and how it ended, in numbers; all optional (0 = unknown).
struct Measures {
  std::int64_t started_ns = 0;  // CLOCK_MONOTONIC of the worker's machine
  std::int64_t finished_ns = 0;
  std::int32_t exit_code = 0;  // of the executor, if it died
  std::int32_t signal = 0;     // that ended the executor, if one did
  std::uint64_t peak_rss = 0;  // bytes
  std::uint64_t cpu_us = 0;
};

// What an attempt ended in. `result` is what a client of the seed's routes decodes: the value, or the failure object.
struct Outcome {
  ErrorKind kind = ErrorKind::None;  // None: COMPLETED
  Payload result;
  std::string error_type;  // plain text, always there when kind is not None
  std::string error_message;
  std::string error_classes;  // of an exception: its class and bases, as is_retried takes them; not stored
  std::string traceback;
  std::string output;  // last bytes of stdout and stderr, together
  Measures measures;
  bool completed() const { return kind == ErrorKind::None; }
};

// The answer of a store to one outcome. All are final: the worker may forget the outcome.
enum class FinishAnswer : std::uint8_t {
  Applied,
  Duplicate,  // terminal already, by this very token
  Stale,      // another token holds or ended the task
  Missing,    // no such task
};

// Why an attempt goes back.
enum class GiveBack : std::uint8_t {
  Unstarted,   // no user code of it ran: not counted against the task
  WorkerLost,  // its worker vanished under it: burns one of max_attempts
  Killed,      // its executor died under it: burns an attempt and counts towards PoisonTask
  Suspect,     // its executor died, but it may be innocent: runs once more, alone; not counted
  Retry,       // the function raised and asks for another try
};

}  // namespace treadle::core

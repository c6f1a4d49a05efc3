// The port behind which every promise is kept: functions, tasks, sessions. One interface, several engines.
//
// Threads: every method is called on the loop thread that hosts the store, and every callback runs there, either before
// the method returns (when the answer is known) or later, from turn(). Callbacks may call the store again.
// Durability: a callback that asserts something (submit, finish, cancel, put_function, claims of at-most-once
// functions) runs only when it is as durable as the engine's level says. Readers see durable states only. Batches: at
// most limits::kBatch items per call (submit: any number; the engine splits).
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/callback.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "core/claims.h"
#include "core/limits.h"
#include "core/model.h"
#include "core/policy.h"

namespace treadle::store {

template <class T>
using Done = Callback<void(T)>;

// ---- functions ----

struct FunctionSummary {
  FunctionId id;
  std::string name;
  Digest digest;
  std::uint64_t body_bytes = 0;
  WallMs created;
  std::string cursor;  // of a list that goes on after this one
};

struct FunctionFilter {
  std::string name;    // "": all, oldest first; else the registrations of this name, newest first
  std::string cursor;  // of the page before; "" = the first page
  std::uint32_t limit = 100;
};

// ---- tasks ----

struct Submission {
  TaskId id;  // made by the caller: UUIDv7 whose last digit is 0-9
  FunctionId function;
  core::Payload args;
  core::Options options;          // the function's, overridden by the request's
  std::int64_t delay_ms = 0;      // not before
  std::int64_t queue_ttl_ms = 0;  // Expired if it waits longer than that after the delay; 0 = limits::kQueueTtlMs
  std::int64_t deadline_ms = 0;   // Expired if it has not begun by then, delay or not; 0 = none, < 0 = it is over
  std::string group;              // tasks whose results are streamed together; "" = none
  std::string owner;              // API key id (reserved)
  std::string idempotency_scope;  // with the key: route and API key id
  std::string idempotency_key;    // "" = none
  Digest body_digest;             // of function id, decoded arguments, options: what "same body" compares
};

// From its acceptance until it may begin no more.
inline std::int64_t wait_limit_ms(const Submission& task) {
  const std::int64_t ttl = task.queue_ttl_ms > 0 ? task.queue_ttl_ms : core::limits::kQueueTtlMs;
  const std::int64_t all = std::max<std::int64_t>(task.delay_ms, 0) + ttl;
  return task.deadline_ms != 0 ? std::min(all, task.deadline_ms) : all;
}
// Whether it is watched to the millisecond: others are looked at once a minute.
inline bool has_own_wait(const Submission& task) { return task.queue_ttl_ms > 0 || task.deadline_ms != 0; }

struct SubmitAnswer {
  TaskId id;
  bool duplicate = false;  // the key was known: `id` is the first task's
};

// What a client may see of a task. Durable states only.
struct TaskView {
  TaskId id;
  FunctionId function;
  core::TaskState state = core::TaskState::Queued;
  core::ErrorKind error_kind = core::ErrorKind::None;
  std::uint32_t attempt = 0;
  core::Payload result;  // empty until terminal; filled only if asked for
};

// All there is to tell about a task (`why`, /v1/tasks/{id}); read from the table, not from the hot cache.
struct TaskStory {
  TaskView view;                   // without the result
  std::uint64_t result_bytes = 0;  // 0 until it ended
  std::uint32_t losses = 0;
  std::uint32_t kills = 0;
  std::string worker;      // that held the last attempt
  std::string last_error;  // of the last attempt that was lost, beside the present state
  std::string error_type, error_message, traceback, output;
  WallMs accepted, claimed, started, finished;  // 0 = not yet
  WallMs not_before;                            // 0 = at once
  WallMs expires;                               // it may begin no more from then on
  WallMs keep_until;                            // of one that has ended with a retention of its own
  core::Measures measures;
  bool cancel_requested = false;
  core::Options options;
  std::string group;
};

// What a task shows while it runs. Not durable: any of it may be missing.
struct LiveView {
  std::uint32_t attempt = 0;  // 0: nothing is known
  core::Progress progress;
  WallMs at;               // when it was told; 0 = it was not
  std::uint64_t from = 0;  // bytes of output before `text`
  std::string text;        // the newest, at most limits::kLiveText bytes; only of a task that is followed
};

struct ListFilter {
  std::optional<core::TaskState> state;  // Claimed counts as Queued
  bool live = false;                     // only what has not ended
  std::optional<FunctionId> function;
  std::string group;
  std::optional<std::string> queue;       // "" = default
  WallMs accepted_from, accepted_before;  // 0 = no bound; the second one itself is out
  std::string cursor;                     // of the page before, with the same filter; "" = newest first page
  std::uint32_t limit = 100;
  bool any_order = false;  // whichever is found fastest; the cursor is one of that order
};

struct TaskPage {
  std::vector<TaskView> tasks;  // newest first
  std::string next_cursor;      // "" = no more
};

// ---- groups: tasks that were submitted under one name, in the order of their ends ----

struct GroupFilter {
  std::string group;
  std::string cursor;                   // of an end or a page before; "" = from the first end
  std::uint32_t limit = 100;            // ends of the page; the engine may give fewer
  std::uint64_t max_bytes = 256 << 10;  // of their results, which the last one may pass
};

struct GroupEnd {
  TaskView view;  // with its result, unless that is over limits::kInline
  std::uint64_t result_bytes = 0;
  std::string error_type, error_message;
  WallMs finished;
  std::string cursor;  // to go on after it
};

struct GroupPage {
  std::vector<GroupEnd> ends;
  std::string cursor;  // to go on after the page, also if it is empty
  bool more = false;   // further ones had ended
  bool open = false;   // some had not ended
  bool known = false;  // there are tasks of this group
};

// ---- queues ----

struct QueueReport {
  std::string name;           // "default" is the one that has no other
  std::uint64_t queued = 0;   // that may be claimed now, or could be if it were not paused
  std::uint64_t running = 0;  // that are claimed or run
  WallMs oldest;              // when the oldest of those that are queued was accepted; 0 = none is
  bool paused = false;
};
inline constexpr std::string_view kDefaultQueue = "default";
inline bool is_default_queue(std::string_view name) { return name.empty() || name == kDefaultQueue; }
inline constexpr std::size_t kQueuesShown = 1'000;

// ---- dispatching ----

using core::AdoptAnswer;
using core::ClaimAnswer;
using core::ClaimRequest;
using core::FinishAnswer;
using core::FinishItem;
using core::ReassertItem;
using core::RenewAnswer;
using core::RequeueAnswer;
using core::RequeueItem;
using core::SessionBeat;
using core::StartedItem;
using AdoptItem = core::Held;

enum class CancelAnswer : std::uint8_t {
  Cancelled,  // it was queued: FAILED Cancelled now
  Requested,  // it is claimed or runs: its dispatcher has been told
  Terminal,   // it had ended before
  Missing,
};

// A worker as its dispatcher last reported it: the seed's worker metadata, and what /v1/workers shows.
struct WorkerReport {
  WorkerId id;
  std::string dispatcher;  // name of its session
  core::Mode mode = core::Mode::Local;
  std::string state;       // "ready", "draining", "lost"
  std::string lost_why;    // of a lost one, in words
  core::WorkerInfo info;   // host, pid, slots, pythons, queues
  std::uint32_t load = 0;  // attempts held
  std::uint32_t running = 0;
  std::uint32_t free_slots = 0;
  WallMs last_heartbeat;
  std::vector<TaskId> current_tasks;  // at most kCurrentTasksShown
};
inline constexpr std::size_t kCurrentTasksShown = 64;

// ---- figures ----

struct Counters {
  std::uint64_t submitted = 0, completed = 0, failed = 0, stale = 0, duplicate = 0, requeued = 0, adopted = 0,
                reaped = 0;
  std::uint64_t queued = 0, claimed = 0, running = 0, delayed = 0;  // now
  std::uint64_t queued_bytes = 0;
  std::uint64_t waiters = 0;
};

enum class Level : std::uint8_t { None, Process, Power };  // what HTTP 200 on submit survives
std::string_view name_of(Level level);                     // "none", "process", "power"
Error not_failed(TaskId id, core::TaskState state);        // of submission()

class Store {
 public:
  virtual ~Store() = default;

  // Functions. A body is stored once per digest; every registration has its own id.
  virtual void put_function(core::Function function, Done<Result<FunctionId>> done) = 0;
  virtual void get_function(FunctionId id, Done<Result<core::Function>> done) = 0;
  virtual void get_body(Digest digest, Done<Result<core::Payload>> done) = 0;
  virtual void list_functions(FunctionFilter filter, Done<Result<std::vector<FunctionSummary>>> done) = 0;
  // It is unknown from now on, for get_function, lists and submit. Tasks that were accepted still run: get_body still
  // gives its body. False: there is no such function.
  virtual void delete_function(FunctionId id, Done<Result<bool>> done) = 0;

  // All or nothing for limits (429, 507); one answer per item otherwise (NotFound: unknown function; Conflict: key).
  virtual void submit(std::vector<Submission> batch, Done<Result<std::vector<Result<SubmitAnswer>>>> done) = 0;
  // In the order of `ids`; a missing task is NotFound. Results are read only if `with_results`.
  virtual void get(std::vector<TaskId> ids, bool with_results, Done<std::vector<Result<TaskView>>> done) = 0;
  virtual void story(TaskId id, Done<Result<TaskStory>> done) = 0;
  virtual void list(ListFilter filter, Done<Result<TaskPage>> done) = 0;
  // Answers as soon as the task is terminal, or at `deadline` with its present state. Full: too many waiters.
  virtual void wait(TaskId id, Instant deadline, Done<Result<TaskView>> done) = 0;
  virtual void cancel(TaskId id, std::string reason, Done<Result<CancelAnswer>> done) = 0;
  // The call of a FAILED task, to be submitted again: function, arguments, options, group. Conflict: it has not FAILED.
  virtual void submission(TaskId id, Done<Result<Submission>> done) = 0;

  // Groups. What a page says of `open` is not older than what it says of its ends: with neither open nor more, the
  // page that has no ends is the last one of all tasks that were there when it was asked for.
  virtual void group_ends(GroupFilter filter, Done<Result<GroupPage>> done) = 0;
  // Called, on the loop thread, when tasks have ended; a hint: may be lost or in vain. An empty one: no longer.
  virtual void on_end(Callback<void()> hint) = 0;

  // Queues: those that somebody waits in, works for or has paused; at most kQueuesShown. A paused one gives out
  // nothing, until it is resumed, whatever restarts; what was given out goes on.
  virtual void queues(Done<Result<std::vector<QueueReport>>> done) = 0;
  virtual void pause_queue(std::string queue, bool paused, Done<Result<void>> done) = 0;

  // Dispatching.
  virtual void claim(ClaimRequest request, Done<Result<ClaimAnswer>> done) = 0;
  virtual void started(std::vector<StartedItem> batch) = 0;  // best effort
  // Best effort, as `live` is; `follow` asks the dispatchers to show what the task writes, for limits::kFollowFor.
  virtual void report_live(std::vector<core::LiveItem> items) = 0;
  virtual void live(TaskId id, bool follow, Done<Result<LiveView>> done) = 0;
  // Called when somebody follows a task, whoever has it; a hint, repeated while they do.
  virtual void on_follow(Callback<void(std::vector<TaskId>)> hint) = 0;
  virtual void finish(SessionId session, std::vector<FinishItem> batch,
                      Done<Result<std::vector<FinishAnswer>>> done) = 0;
  virtual void requeue(SessionId session, std::vector<RequeueItem> batch,
                       Done<Result<std::vector<RequeueAnswer>>> done) = 0;
  // Called, on the loop thread, when a queue that was found empty has work again. A hint: may be lost or in vain.
  virtual void on_work(Callback<void()> hint) = 0;
  // Called when somebody asked to cancel attempts of `session`; a hint beside RenewAnswer::revokes.
  virtual void on_revoke(Callback<void(std::vector<AdoptItem>)> hint) = 0;

  // Sessions (docs/decisions/0003-sessions.md): a dispatcher owns its claims through one renewable session.
  virtual void open_session(SessionId id, std::string name, Done<Result<void>> done) = 0;
  virtual void renew(SessionId id, std::vector<AdoptItem> revokes_done, Done<Result<RenewAnswer>> done) = 0;
  virtual void adopt(SessionId to, std::vector<AdoptItem> batch, Done<Result<std::vector<AdoptAnswer>>> done) = 0;
  virtual void reassert(SessionId session, std::vector<ReassertItem> batch,
                        Done<Result<std::vector<AdoptAnswer>>> done) = 0;
  // Marks `other` reaped if its beat is still `beat_seen`, and gives back what it held. True: it was ours to reap.
  virtual void reap(SessionId other, std::uint64_t beat_seen, Done<Result<bool>> done) = 0;

  // Workers. A report replaces the last one of its session and is best effort; it goes when the session is reaped or
  // closed. workers() gives those of all sessions.
  virtual void report_workers(SessionId session, std::vector<WorkerReport> workers) = 0;
  virtual void workers(Done<Result<std::vector<WorkerReport>>> done) = 0;

  virtual Counters counters() const = 0;
  virtual Level level() const = 0;
  virtual std::string describe() const = 0;  // for the start line: "SQLite treadle-data/treadle.db, strict"

  // Hosting: call turn() when wake_fd() is readable (-1: never), when next_deadline() has passed, and after a burst of
  // calls, so that what they began leaves as one batch. Returns whether it ran callbacks.
  virtual int wake_fd() const = 0;
  virtual bool turn(Instant now) = 0;
  virtual Instant next_deadline() const = 0;
  // Makes everything durable that was accepted; nothing is accepted after it. Blocks.
  virtual void close() = 0;
};

}  // namespace treadle::store

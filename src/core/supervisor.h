// Runs attempts in executors: slots, credit, time limits, cancel, blame, and outcomes that are repeated until settled.
// A pure machine: events in, effects out, no clock, no I/O. One per worker program; LOCAL has one in the server's
// process.
//
// Use, in each turn: step() for every event, then tick() once, which acts on deadlines and hands work out; carry out
// the commands; step() their answers (Recalled, Measured) at once and tick() again while there are any; last flush(),
// which makes at most one message to the dispatcher. What an executor of a slot is, and the law of the pipe:
// docs/executor-protocol.md.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/rng.h"
#include "core/executor_port.h"
#include "core/function_cache.h"
#include "core/message.h"
#include "core/outcome_buffer.h"
#include "core/run_stats.h"
#include "core/supervisor_executor.h"
#include "core/supervisor_work.h"
#include "core/token_memory.h"

namespace treadle::core {

struct SupervisorConfig {
  WorkerId worker;
  std::uint64_t boot = 0;           // 0: made from the seed
  WorkerInfo info;                  // slots, pythons (one per interpreter, in order), host ...
  bool warm = true;                 // keeps `slots` executors ready
  bool asks = false;                // PULL: keeps one request with the dispatcher, which speaks only when asked
  bool heartbeat_when_idle = true;  // LOCAL: false, nobody needs it
  Duration heartbeat = limits::kHeartbeatInterval;  // until the dispatcher says another one
  Duration start_freshness = limits::kStartFreshness;
  Duration kill_grace = limits::kKillGrace;
  Duration drain = limits::kDrain;
  Duration executor_start = limits::kExecutorStart;
  std::uint64_t function_cache_bytes = 64ull << 20;
  // An executor is replaced after so many tasks, so long a life, or with so much memory of its own; 0 = never for it.
  std::uint64_t executor_tasks = limits::kExecutorTasks;
  Duration executor_age = limits::kExecutorAge;
  std::uint64_t executor_memory = 0;
  std::size_t async_slots = kAsyncSlots;  // tasks of a coroutine function that run side by side in one executor
};

namespace event {
struct DispatcherSaid {
  DispatcherMessage message;
};
struct LinkDown {};          // what is said now would be lost
struct LinkUp {};            // it may be another dispatcher, or one that forgot us
struct WorkerDrainAsked {};  // finish what runs, within SupervisorConfig::drain, and give back the rest; again: now
}  // namespace event
using SupervisorEvent =
    std::variant<event::DispatcherSaid, event::LinkDown, event::LinkUp, event::WorkerDrainAsked, ExecutorEvent>;

// One line of the log: an event name, then fields ("executor=3 tasks=2").
struct TrailEntry {
  std::string event;
  std::string fields;
};

struct SupervisorEffects {
  std::vector<ExecutorCommand> commands;  // to be carried out in this order
  std::optional<WorkerMessage> message;   // made by flush() only
  std::vector<TrailEntry> trail;
};

struct SupervisorCounters {
  std::uint64_t attempts = 0, duplicates = 0, begun = 0, done = 0;
  std::uint64_t spawned = 0, start_failures = 0, deaths = 0, recycled = 0;
  std::uint64_t recalls = 0, recalled = 0, given_back = 0;
  std::uint64_t timeouts = 0, cancelled = 0, out_of_memory = 0, over_limits = 0, suspects = 0, blamed = 0;
  std::uint64_t messages = 0, registrations = 0, repeated = 0;
};

struct SupervisorView {
  std::uint32_t slots = 0, slots_used = 0;
  std::size_t waiting = 0, piped = 0, held = 0, unsettled = 0;
  std::size_t executors = 0, idle = 0;
  bool registered = false;
};

class Supervisor {
 public:
  Supervisor(SupervisorConfig config, Rng rng);

  void step(Instant now, SupervisorEvent event, SupervisorEffects& effects);
  void tick(Instant now, SupervisorEffects& effects);
  void flush(Instant now, SupervisorEffects& effects);
  // tick() and flush() must be called then at the latest.
  Instant next_deadline() const;

  const SupervisorCounters& counters() const { return counters_; }
  SupervisorView view() const;
  // Draining, and holds nothing that the dispatcher does not have for good: the program may end.
  bool drained() const { return draining_ && works_.empty() && (said_goodbye_ || link_ != Link::Registered); }

 private:
  enum class Link : std::uint8_t { Unregistered, Registering, Registered };

  // supervisor.cpp: the turn
  void on(event::LinkDown&);
  void on(event::LinkUp&);
  void on(event::WorkerDrainAsked&);
  void on(ExecutorEvent& e);
  void act_on_deadlines();
  void watch(const Executor& executor);
  void look_at_executors();
  void look_at(Executor& executor);
  template <class Command>
  void command(Command c) {
    effects_->commands.emplace_back(std::move(c));
  }
  void trail(std::string event, std::string fields) {
    effects_->trail.push_back({std::move(event), std::move(fields)});
  }

  // supervisor_link.cpp: the talk with the dispatcher
  void on(event::DispatcherSaid& e);
  bool take_session(const DispatcherMessage& message);
  void take_registration(const DispatcherMessage& message);
  void give_back_unsure();
  void take_ack(std::uint64_t ack);
  void take_attempt(Attempt& attempt);
  void take_function(FunctionBody& function);
  void take_revoke(const Revoke& revoke);
  void register_anew();
  bool something_to_say() const;
  void fill_registration(WorkerMessage& message);
  void fill_report(WorkerMessage& message);
  void fill_started(WorkerMessage& message);
  void fill_live(WorkerMessage& message);
  struct Credit {
    std::uint32_t free_slots = 0, prefetch = 0;
  };
  Credit credit() const;
  bool credit_changed(Credit now) const;
  bool may_begin_at_most_once() const;

  // supervisor_assign.cpp: who runs what where
  void hand_out();
  bool begin(Work& work);
  bool soon_idle(const ExecutorKey& key);
  bool append(Work& work);
  bool must_be_alone(const Executor& executor, const Work& work) const;
  bool has_room(const Executor& executor, Duration expected) const;
  void fill_from_standby();
  Executor* pick(const Work& work, const ExecutorKey& key);
  ExecutorKey key_for(const Work& work) const;
  Duration estimate(const Work& work) const;
  void send(Executor& executor, Work& work);
  void make_ready(Work& work, bool first);
  void give_back_overdue();
  void take_out_of_queue(Work& work);
  void end(Work& work, Outcome outcome);
  void give_back(Work& work, GiveBack why, std::string last_error = {}, Outcome failure = {});
  void close(Work& work);
  void return_unbegun(Work& work);
  Outcome failure(const Work& work, ErrorKind kind, std::string message) const;

  // supervisor_async.cpp: tasks that run side by side in one executor
  bool join(Work& work);
  std::uint32_t joiners(const Executor& executor) const;
  void begin_beside(Executor& executor, Instant begun);
  void on(event::TaskStarted& e);
  void done_beside(Executor& executor, event::TaskDone& done);
  void answered_ending(Work& work, KillWhy why, const std::string& words, event::TaskDone& done);
  void look_beside(Executor& executor);
  void end_beside(Executor& executor, const Work& target, KillWhy why, std::string words = {});
  void end_unfinished_beside(Executor& executor, const event::ExecutorDied& died);

  // supervisor_executors.cpp: processes come and go
  void on(event::ExecutorReady& e);
  void on(event::TaskDone& e);
  void on(event::ExecutorIdle& e);
  void on(event::NeedFunction& e);
  void on(event::Recalled& e);
  void count_run(Executor& executor, Work& work, const event::TaskDone& done);
  void on(event::SpawnFailed& e);
  void on(event::ZygoteFailed& e);
  Executor* find(ExecutorNo no);
  struct Census {            // of executors that are neither leaving nor being killed
    std::uint32_t warm = 0;  // of the base key
    std::uint32_t starting = 0;
    std::uint32_t live = 0;
    std::uint32_t spares = 0;  // of Isolation::Fresh without a task
  };
  const Census& census() const;
  bool may_spawn() const;
  Executor& spawn(const ExecutorKey& key);
  void start_failed(const ExecutorKey& key, const std::string& why);
  void keep_warm();
  void retire(Executor& executor);
  void settle_place(Executor& executor);
  void begin_front(Executor& executor, Instant begun);
  void unpipe(Executor& executor, const Executor::Piped& piped);
  void came_to_rest(Executor& executor);
  std::uint32_t usable_slots() const;
  void gone(Executor& executor);

  // supervisor_blame.cpp: who pays for a death
  void on(event::ExecutorDied& e);
  void end_unfinished(Executor& executor, const event::ExecutorDied& died);
  void blame(Executor& executor, Work& work, const event::ExecutorDied& died, bool first_and_alone);
  void lose(Work& work, std::string why);
  void add_last_words(const Executor& executor, const event::ExecutorDied& died, Outcome& outcome);
  void end_killed(Executor& executor, Work& work, const event::ExecutorDied& died);
  Outcome verdict(const Work& work, KillWhy why, const std::string& words);

  // supervisor_watch.cpp: what tasks take, and what they leave behind
  void on(event::Measured& e);
  void check_running(Executor& executor, const event::Measured& measured);
  void check_allowance(const Work& work, event::TaskDone& done);
  bool worn(const Executor& executor) const;
  void measure_wear(Executor& executor);
  void check_wear(Executor& executor, const event::Measured& measured);

  // supervisor_live.cpp: what running tasks show of themselves
  void on(event::TaskProgress& e);
  void on(event::OutputRead& e);
  void take_follow(const Held& attempt);
  void look_at_followed();
  void take_output(Work& work, OutputPart part);
  void show(Work& work);

  // supervisor_environment.cpp: requirements
  struct Environment {
    enum class State : std::uint8_t { Unknown, Wanted, Ready, Failed };
    State state = State::Unknown;
    std::string why, log;  // of a failed one
    Instant try_at;        // of a failed one: it may be built again then
    std::vector<Token> waiting;
  };
  bool awaits_environment(Work& work);
  void build_next();
  void on(event::EnvironmentBuilt& e);
  void environment_failed(const ExecutorKey& key, std::string why, std::string log);
  void environment_gone(const ExecutorKey& key);
  Environment& environment(const ExecutorKey& key);
  void release_waiting(Environment& one);
  void end_without_environment(Work& work, const Environment& one);

  // supervisor_kill.cpp: time limits, cancel, drain
  void recall(Executor& executor, std::size_t count);
  bool recall_standby(Executor& executor);
  void want_kill(Executor& executor, Work& target, KillWhy why, std::string words = {});
  void go_on_with_kill(Executor& executor);
  Duration grace(KillWhy why) const;
  void terminate(Executor& executor);
  void kill_tree(Executor& executor);
  void drain_waiting();
  void kill_for_drain();

  SupervisorConfig config_;
  Rng rng_;
  WorkerInfo info_;
  std::uint32_t slots_;
  Instant now_;                           // of the call that is running
  SupervisorEffects* effects_ = nullptr;  // of the call that is running

  // Link.
  Link link_ = Link::Unregistered;
  bool link_up_ = true;
  SessionId session_;
  std::uint64_t in_seq_ = 0, out_seq_ = 0;
  Instant register_at_;
  Duration register_backoff_{0};
  Instant heartbeat_at_;
  std::deque<std::pair<std::uint64_t, Instant>> sent_at_;  // messages that no ack covers yet
  Instant proven_at_;                                      // the dispatcher spoke after it had heard what we said then
  bool has_proof_ = false;
  bool answer_due_ = false;     // a ping
  bool asked_ = false;          // the dispatcher has a request of ours that it has not answered
  Credit told_;                 // what the dispatcher may still use of the credit that we granted
  std::vector<Token> started_;  // to be reported in the next message
  std::vector<Token> showing_;  // have something to show that was not sent
  Instant show_at_;             // a message is worth it then
  std::vector<Token> followed_;
  Instant follow_at_ = Instant::never();  // their output is read then
  TokenMemory seen_;

  // Attempts.
  WorkTable works_;
  FunctionCache functions_;
  OutcomeBuffer outcomes_;
  std::deque<Work*> ready_;                                                    // oldest first, roughly
  std::size_t needing_body_ = 0;                                               // works that are NeedsBody
  std::size_t piped_ = 0;                                                      // works that are Piped
  std::size_t needing_environment_ = 0;                                        // works that are NeedsEnvironment
  std::map<std::pair<std::uint32_t, std::string>, Environment> environments_;  // by interpreter and requirements
  std::deque<ExecutorKey> to_build_;  // the first one is being built, if any is
  bool building_ = false;
  RunMean mean_;  // of all tasks of this worker

  // Executors.
  std::unordered_map<std::uint32_t, std::unique_ptr<Executor>> executors_;
  std::vector<Executor*> idle_;  // nothing sent to them, may be starting; most recently used last
  std::vector<Executor*> busy_;  // hold a slot
  std::size_t next_busy_ = 0;    // where append() looks first
  std::uint32_t next_executor_ = 1;
  mutable Census census_;
  mutable bool census_stale_ = true;
  int start_failures_ = 0;  // in a row
  Instant spawn_after_;
  Instant idle_by_ = Instant::never();  // a waiting attempt gets a new executor then
  Instant fresh_until_;                 // a spare of Isolation::Fresh is kept until then
  Instant look_at_ = Instant::never();  // no executor is due before it

  bool draining_ = false;
  bool dispatcher_drains_ = false;
  bool said_draining_ = false, said_goodbye_ = false;
  Instant drain_until_ = Instant::never();
  SupervisorCounters counters_;
};

}  // namespace treadle::core

// For the supervisor's tests: executors that do what a test says, and the dispatcher's side of the talk.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/supervisor.h"

namespace treadle::core::testing_rig {

inline const WorkerId kWorker{Uuid{7, 7}};
inline const SessionId kSession{Uuid{9, 1}};

inline Attempt attempt(std::uint64_t n, std::uint64_t function = 1) {
  Attempt a;
  a.task = TaskId{Uuid{1, n}};
  a.token = Token{n};
  a.number = 1;
  a.body_digest.words[0] = function;
  a.args.bytes = Buffer::of("args");
  return a;
}

inline FunctionBody body(std::uint64_t function, bool found = true) {
  FunctionBody b;
  b.digest.words[0] = function;
  b.body.bytes = Buffer::of("body");
  b.found = found;
  return b;
}

inline SupervisorConfig local_config(std::uint32_t slots) {
  SupervisorConfig config;
  config.worker = kWorker;
  config.boot = 42;
  config.info.slots = slots;
  config.info.in_process = true;
  config.heartbeat_when_idle = false;
  return config;
}

struct FakeExecutor {
  struct Task {
    std::uint64_t seq = 0;
    std::uint32_t function = 0;
    TaskId task;
    bool concurrent = false;
  };
  ExecutorKey key;
  bool ready = false, exiting = false, killed = false, dumped = false;
  int signals = 0;
  std::vector<std::uint64_t> cancelled;  // seqs
  std::uint64_t last_seq = 0;
  std::deque<Task> tasks;  // sent, not answered, not recalled; the first one runs if `begun`
  bool begun = false;
  std::vector<std::uint32_t> functions;
};

class Rig {
 public:
  explicit Rig(SupervisorConfig config = local_config(2)) : supervisor(std::move(config), Rng(1)) {}

  // Registers with the dispatcher; executors that were spawned become ready; body 1 is there once it is asked for.
  static Rig started(SupervisorConfig config) {
    Rig rig(std::move(config));
    rig.turn();
    rig.registered();
    rig.ready_all();
    return rig;
  }

  void turn() {
    SupervisorEffects effects;
    supervisor.tick(now, effects);
    carry_out(effects);
    supervisor.flush(now, effects);
    carry_out(effects);
    if (effects.message) said.push_back(std::move(*effects.message));
  }
  void step(SupervisorEvent event) {
    SupervisorEffects effects;
    supervisor.step(now, std::move(event), effects);
    carry_out(effects);
  }
  void advance(Duration d) {
    now = now + d;
    turn();
  }

  // ---- the dispatcher's side ----
  DispatcherMessage message() {
    DispatcherMessage m;
    m.session = session;
    m.seq = ++seq;
    m.ack = said.empty() ? 0 : said.back().seq;
    return m;
  }
  void registered() {
    DispatcherMessage m = message();
    m.registered = true;
    say(std::move(m));
  }
  void say(DispatcherMessage m) {
    step(event::DispatcherSaid{std::move(m)});
    turn();
  }
  void give(std::vector<Attempt> attempts) {
    DispatcherMessage m = message();
    m.attempts = std::move(attempts);
    say(std::move(m));
  }
  void give_body(std::uint64_t function, bool found = true) {
    DispatcherMessage m = message();
    m.functions.push_back(body(function, found));
    say(std::move(m));
  }
  void settle_all() {
    DispatcherMessage m = message();
    for (const auto& one : said) {
      for (const auto& report : one.outcomes) m.settled.push_back(report.attempt);
      for (const auto& given : one.given_back) m.settled.push_back(given.attempt);
    }
    say(std::move(m));
  }
  void revoke(std::uint64_t n, bool kill) {
    DispatcherMessage m = message();
    m.revokes.push_back({{TaskId{Uuid{1, n}}, Token{n}}, kill});
    say(std::move(m));
  }
  // Teaches the worker how long function 1 runs, with attempts numbered from `first` on.
  void teach(std::uint64_t first, Duration ran, int times = 1) {
    for (int i = 0; i < times; ++i) {
      give({attempt(first + static_cast<std::uint64_t>(i))});
      if (!said.empty() && !said.back().wants.empty()) give_body(1);
      finish(runner(first + static_cast<std::uint64_t>(i)), ran);
    }
    settle_all();
    said.clear();
  }

  // ---- the executors' side ----
  void ready_all() {
    for (auto& [no, executor] : executors) {
      if (!executor.ready && !executor.killed) ready(no);
    }
    turn();
  }
  void ready(std::uint32_t no) {
    FakeExecutor& executor = executors.at(no);
    executor.ready = true;
    executor.begun = !executor.tasks.empty();
    step(ExecutorEvent{event::ExecutorReady{ExecutorNo{no}, 1000 + no, 3, 11}});
  }
  // The task in front of this executor ends well after `ran`.
  void finish(std::uint32_t no, Duration ran, event::TaskDone done = {}) {
    FakeExecutor& executor = executors.at(no);
    now = now + ran;
    done.no = ExecutorNo{no};
    done.seq = executor.tasks.front().seq;
    done.outcome.measures.started_ns = (now - ran).ns;
    done.outcome.measures.finished_ns = now.ns;
    executor.tasks.pop_front();
    executor.begun = !executor.tasks.empty();
    step(ExecutorEvent{std::move(done)});
    turn();
  }
  // Attempt n, which runs beside others in this executor, ends.
  void finish_task(std::uint32_t no, std::uint64_t n, event::TaskDone done = {}) {
    FakeExecutor& executor = executors.at(no);
    done.no = ExecutorNo{no};
    done.seq = task(n).seq;
    std::erase_if(executor.tasks, [&](const FakeExecutor::Task& one) { return one.task.lo == n; });
    step(ExecutorEvent{std::move(done)});
    turn();
  }
  // The function of the task in front is a coroutine function.
  void started_async(std::uint32_t no) {
    step(ExecutorEvent{event::TaskStarted{ExecutorNo{no}, executors.at(no).tasks.front().seq}});
    turn();
  }
  void idle(std::uint32_t no) {
    step(ExecutorEvent{event::ExecutorIdle{ExecutorNo{no}, executors.at(no).last_seq}});
    turn();
  }
  void die(std::uint32_t no, int wait_status, event::ExecutorDied died = {}) {
    died.no = ExecutorNo{no};
    died.was_ready = executors.at(no).ready;
    died.exited = true;
    died.wait_status = wait_status;
    executors.erase(no);
    step(ExecutorEvent{std::move(died)});
    turn();
  }
  // The executor that has attempt n; 0 if none.
  std::uint32_t runner(std::uint64_t n) const {
    for (const auto& [no, executor] : executors) {
      for (const auto& task : executor.tasks) {
        if (task.task.lo == n) return no;
      }
    }
    return 0;
  }

  // As it was sent to the executor that has it.
  const FakeExecutor::Task& task(std::uint64_t n) const {
    const auto& tasks = executors.at(runner(n)).tasks;
    return *std::find_if(tasks.begin(), tasks.end(), [&](const auto& one) { return one.task.lo == n; });
  }

  // ---- what was said ----
  std::vector<OutcomeReport> outcomes() const {
    std::vector<OutcomeReport> all;
    for (const auto& m : said) all.insert(all.end(), m.outcomes.begin(), m.outcomes.end());
    return all;
  }
  std::vector<GivenBack> given_back() const {
    std::vector<GivenBack> all;
    for (const auto& m : said) all.insert(all.end(), m.given_back.begin(), m.given_back.end());
    return all;
  }
  std::vector<Held> reported_started() const {
    std::vector<Held> all;
    for (const auto& m : said) all.insert(all.end(), m.started.begin(), m.started.end());
    return all;
  }

  Supervisor supervisor;
  Instant now{1'000'000'000};
  SessionId session = kSession;
  std::uint64_t seq = 0;
  std::map<std::uint32_t, FakeExecutor> executors;
  std::vector<WorkerMessage> said;
  std::vector<TrailEntry> trail;
  std::vector<ExecutorCommand> log;  // all commands, in order

 private:
  void carry_out(SupervisorEffects& effects) {
    while (!effects.commands.empty() || !effects.trail.empty()) {
      for (auto& entry : std::exchange(effects.trail, {})) trail.push_back(std::move(entry));
      for (auto& command : std::exchange(effects.commands, {})) {
        log.push_back(command);
        std::visit([&](auto& c) { run(c, effects); }, command);
      }
      if (answered_) supervisor.tick(now, effects);
      answered_ = false;
    }
  }
  void run(command::Spawn& c, SupervisorEffects&) { executors[static_cast<std::uint32_t>(c.no)].key = c.key; }
  void run(command::SendFunction& c, SupervisorEffects&) { at(c.no).functions.push_back(c.function); }
  void run(command::SendTask& c, SupervisorEffects&) {
    FakeExecutor& executor = at(c.no);
    executor.last_seq = c.seq;
    executor.tasks.push_back({c.seq, c.function, c.task, c.concurrent});
    executor.begun = executor.ready;
  }
  void run(command::Recall& c, SupervisorEffects& effects) {
    const auto it = executors.find(static_cast<std::uint32_t>(c.no));
    if (it == executors.end()) return;
    FakeExecutor& executor = it->second;
    const std::size_t free = executor.tasks.size() - (executor.begun ? 1 : 0);
    const std::size_t taken = std::min<std::size_t>(c.count, free);
    executor.tasks.resize(executor.tasks.size() - taken);
    supervisor.step(now, ExecutorEvent{event::Recalled{c.no, static_cast<std::uint32_t>(taken)}}, effects);
    answered_ = true;
  }
  void run(command::CancelTask& c, SupervisorEffects&) { at(c.no).cancelled.push_back(c.seq); }
  void run(command::Signal& c, SupervisorEffects&) { ++at(c.no).signals; }
  void run(command::DumpStack& c, SupervisorEffects&) { at(c.no).dumped = true; }
  void run(command::Kill& c, SupervisorEffects&) { at(c.no).killed = true; }
  void run(command::Exit& c, SupervisorEffects&) { at(c.no).exiting = true; }
  void run(command::Measure& c, SupervisorEffects& effects) {
    event::Measured answer = measured;
    answer.no = c.no;
    supervisor.step(now, ExecutorEvent{answer}, effects);
    answered_ = true;
  }
  void run(command::ReadOutput& c, SupervisorEffects& effects) {
    const std::string& all = written[c.seq];
    if (all.size() < c.from) return;
    const event::OutputRead read{c.no, c.seq, {c.from, all.size(), all.substr(c.from)}};
    supervisor.step(now, ExecutorEvent{read}, effects);
    answered_ = true;
  }
  void run(command::BuildEnvironment& c, SupervisorEffects&) { builds.push_back(c.environment); }
  FakeExecutor& at(ExecutorNo no) { return executors[static_cast<std::uint32_t>(no)]; }
  bool answered_ = false;

 public:
  event::Measured measured;                      // what every executor is found to use
  std::vector<std::string> builds;               // environments that were to be built
  std::map<std::uint64_t, std::string> written;  // output of the task of this seq, in whatever executor
};

}  // namespace treadle::core::testing_rig

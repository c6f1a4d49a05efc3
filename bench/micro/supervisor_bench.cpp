// What the supervisor core costs for one no-op task, from its arrival to the settling of its outcome. Target: under 1
// us.
#include <benchmark/benchmark.h>

#include <deque>
#include <vector>

#include "core/supervisor.h"

namespace {

using namespace treadle;
using namespace treadle::core;

const SessionId kSession{Uuid{9, 1}};

SupervisorConfig local_config() {
  SupervisorConfig config;
  config.worker = WorkerId{Uuid{7, 7}};
  config.boot = 1;
  config.info.slots = 2;
  config.info.in_process = true;
  config.heartbeat_when_idle = false;
  return config;
}

// Plays dispatcher and executors at once: each command for an executor is answered as if the task took 2 us.
class Mill {
 public:
  Mill() : supervisor_(local_config(), Rng(1)) {
    turn();
    DispatcherMessage registered = message();
    registered.registered = true;
    step(event::DispatcherSaid{std::move(registered)});
    for (std::uint32_t no = 1; no <= 2; ++no) step(ExecutorEvent{event::ExecutorReady{ExecutorNo{no}, no, 3, 11}});
    run(1);
    DispatcherMessage body = message();
    body.functions.push_back({Digest{{1, 0, 0, 0}}, {Buffer::of("body"), {}}, true});
    step(event::DispatcherSaid{std::move(body)});
    turn();
    answer();
  }

  // One batch: arrives, runs, is reported; the one before it is settled by the same message. Returns the tasks
  // reported.
  std::size_t run(int tasks) {
    DispatcherMessage batch = message();
    batch.settled.swap(to_settle_);
    for (int i = 0; i < tasks; ++i) {
      Attempt attempt;
      attempt.task = TaskId{Uuid{1, ++tasks_}};
      attempt.token = Token{tasks_};
      attempt.body_digest.words[0] = 1;
      attempt.args.bytes = args_;
      batch.attempts.push_back(std::move(attempt));
    }
    step(event::DispatcherSaid{std::move(batch)});
    turn();
    return answer();
  }

 private:
  DispatcherMessage message() {
    DispatcherMessage m;
    m.session = kSession;
    m.seq = ++seq_;
    return m;
  }
  void step(SupervisorEvent event) { supervisor_.step(now_, std::move(event), effects_); }
  std::size_t answer() {
    while (!sent_.empty()) {
      for (auto& task : std::exchange(sent_, {})) {
        event::TaskDone done;
        done.no = task.no;
        done.seq = task.seq;
        done.outcome.result.bytes = args_;
        done.outcome.measures.started_ns = now_.ns;
        done.outcome.measures.finished_ns = (now_ = now_ + 2us).ns;
        step(ExecutorEvent{std::move(done)});
      }
      turn();
    }
    return to_settle_.size();
  }
  void turn() {
    supervisor_.tick(now_, effects_);
    for (auto& command : effects_.commands) {
      if (auto* task = std::get_if<command::SendTask>(&command)) sent_.push_back({task->no, task->seq});
    }
    supervisor_.flush(now_, effects_);
    if (effects_.message) {
      for (const auto& report : effects_.message->outcomes) to_settle_.push_back(report.attempt);
    }
    effects_.commands.clear();
    effects_.trail.clear();
    effects_.message.reset();
  }

  struct Sent {
    ExecutorNo no;
    std::uint64_t seq;
  };
  Supervisor supervisor_;
  SupervisorEffects effects_;
  Instant now_{1'000'000'000};
  Buffer args_ = Buffer::of("arguments of a task");
  std::uint64_t seq_ = 0, tasks_ = 0;
  std::vector<Sent> sent_;
  std::vector<Held> to_settle_;
};

void supervisor_noop_tasks(benchmark::State& state) {
  Mill mill;
  std::int64_t done = 0;
  for (auto _ : state) done += static_cast<std::int64_t>(mill.run(static_cast<int>(state.range(0))));
  if (done != state.iterations() * state.range(0)) state.SkipWithError("tasks are missing");
  state.SetItemsProcessed(done);
}
BENCHMARK(supervisor_noop_tasks)->Arg(1)->Arg(64);

}  // namespace

// Executors of one simulated worker: keep the law of the pipe (docs/executor-protocol.md) exactly, run plans instead of
// Python.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <unordered_map>
#include <vector>

#include "core/executor_port.h"
#include "user_code.h"
#include "world.h"

namespace treadle::sim {

class FakeExecutors {
 public:
  // `notify` is called whenever take_events() has something new.
  FakeExecutors(World& world, RunLog& log, Habits habits, std::function<void()> notify);

  // Carries a command out. Recall and Measure are answered through take_events() before anything else happens.
  void run(const core::ExecutorCommand& command);
  std::vector<core::ExecutorEvent> take_events() { return std::exchange(events_, {}); }
  std::size_t running() const;  // user code under way, over all executors
  // kill -9 of the worker: everything below it is gone, and nobody is told.
  void vanish();
  // So that starts can be counted per token; commands name attempts by number.
  void note_attempt(const core::Attempt& attempt) { tokens_[{attempt.task, attempt.number}] = attempt.token; }
  std::uint64_t recalled() const { return recalled_; }

 private:
  static constexpr int kSegmentationFault = 11;
  struct Task {
    std::uint64_t seq = 0;
    TaskId task;
    std::uint32_t attempt = 0;
  };
  struct Executor {
    std::deque<Task> read;  // sent and not begun
    std::uint64_t tokens = 0;
    std::uint64_t last_seq = 0;
    bool ready = false;
    bool exiting = false;
    bool running = false;
    bool damaged = false;  // by an earlier task: it dies under the next one
    Task current;
    Plan plan;
    Instant began;
    std::uint64_t generation = 0;  // of timers; an old one finds another number and does nothing
  };

  void carry_out(const core::command::Spawn& c);
  void carry_out(const core::command::SendFunction&) {}
  void carry_out(const core::command::SendTask& c);
  void carry_out(const core::command::Recall& c);
  void carry_out(const core::command::Signal& c);
  void carry_out(const core::command::DumpStack&) {}
  void carry_out(const core::command::Kill& c);
  void carry_out(const core::command::Exit& c);
  void carry_out(const core::command::CancelTask&) {}  // no function here is async
  void carry_out(const core::command::Measure& c);
  void carry_out(const core::command::ReadOutput&) {}        // nobody follows a task there
  void carry_out(const core::command::BuildEnvironment&) {}  // and no function has requirements
  Executor* find(core::ExecutorNo no);
  void timer(core::ExecutorNo no, Duration delay, void (FakeExecutors::*what)(core::ExecutorNo, Executor&));
  void become_ready(core::ExecutorNo no, Executor& e);
  void next_task(core::ExecutorNo no, Executor& e);
  void end_task(core::ExecutorNo no, Executor& e);
  void killed(core::ExecutorNo no, Executor&);
  void break_down(core::ExecutorNo no, Executor&) { die(no, kSegmentationFault); }
  void die(core::ExecutorNo no, int wait_status);
  void emit(core::ExecutorEvent event);

  World& world_;
  RunLog& log_;
  Habits habits_;
  std::function<void()> notify_;
  std::map<core::ExecutorNo, Executor> executors_;
  std::map<std::pair<TaskId, std::uint32_t>, Token> tokens_;
  std::vector<core::ExecutorEvent> events_;
  std::uint64_t generations_ = 0;
  std::uint64_t recalled_ = 0;
};

}  // namespace treadle::sim

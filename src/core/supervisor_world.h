// For the random test of the supervisor: a small world of executors that keep the law of the pipe, run tasks, hang,
// die, and whose words arrive late; and a dispatcher whose messages are lost, doubled and delayed. One seed is one
// history.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "core/supervisor.h"

namespace treadle::core::testing_world {

struct Tally {  // over all seeds: every kind of trouble must have struck
  std::uint64_t tasks = 0, runs = 0, crashes = 0, hangs = 0, start_failures = 0, lost = 0, doubled = 0, sessions = 0;
  std::uint64_t recalled = 0, timeouts = 0, cancelled = 0, suspects = 0, blamed = 0, unstarted = 0, cut_by_sigterm = 0;
  std::uint64_t beside = 0, cut_by_cancel = 0, victims = 0;  // of tasks that run side by side
};

class World {
 public:
  World(std::uint64_t seed, int tasks, Tally& tally);
  // Runs to the end; what was broken, in words ("" = nothing).
  std::string run();

 private:
  struct Task {
    Duration takes{0};
    bool crashes = false, minds_sigterm = true;
    Attempt attempt;
    std::uint64_t sent_in = 0;  // number of the message that carried it; 0 = it is to be given
    int starts = 0;
    bool returned = false, settled = false;
    bool victim = false;  // ran beside a task whose end took the process along
    bool is_async() const { return attempt.body_digest.words[0] == kAsyncFunction; }
    std::string end;  // how it was said to have ended; must never change
  };
  struct Frame {
    std::uint64_t seq, token;  // of the attempt
    bool concurrent;
  };
  struct Beside {
    std::uint64_t token;
    Instant began;
  };
  static constexpr std::uint64_t kAsyncFunction = 4;
  struct Process {
    ExecutorKey key;
    bool ready = false, exiting = false, dead = false;
    std::uint64_t tokens = 0, last_seq = 0, runs = 0;
    std::deque<Frame> frames;
    std::map<std::uint64_t, Beside> beside;  // by seq: what runs side by side
    std::uint64_t running = 0;               // token of the attempt; 0 = outside user code
    std::uint64_t running_seq = 0;
    Instant began;
    bool owes_idle = false;   // from a recall until the supervisor has heard IDLE
    std::uint64_t epoch = 0;  // of what it is doing; a timer of another epoch is stale
    Instant heard_at;         // its words arrive in order
  };
  struct Timer {
    Instant at;
    std::uint64_t order;
    std::function<void()> act;
    friend bool operator<(const Timer& a, const Timer& b) { return std::tie(a.at, a.order) > std::tie(b.at, b.order); }
  };

  void after(Duration delay, std::function<void()> act) { timers_.push({now_ + delay, ++order_, std::move(act)}); }
  Duration between(Duration a, Duration b) {
    return a + Duration(static_cast<std::int64_t>(rng_.below(static_cast<std::uint64_t>((b - a).count()))));
  }
  void broken(std::string what);
  void hear(std::uint32_t no, ExecutorEvent event);
  void turn();
  void carry_out(SupervisorEffects& effects);
  void check_slots();

  // supervisor -> executors
  void obey(const command::Spawn& c);
  void obey(const command::SendFunction& c);
  void obey(const command::SendTask& c);
  void obey(const command::Recall& c);
  void obey(const command::Signal& c);
  void obey(const command::DumpStack&) {}
  void obey(const command::Kill& c);
  void obey(const command::Exit& c);
  void obey(const command::Measure&) {}
  void obey(const command::ReadOutput&) {}
  void obey(const command::BuildEnvironment&) {}
  void obey(const command::CancelTask& c);
  void next(std::uint32_t no);
  bool drops_what_was_recalled(std::uint32_t no, Process& process);
  Task& begin(Process& process, std::uint64_t token);
  void begin_beside(std::uint32_t no, Process& process);
  void finish(std::uint32_t no, bool cut);
  void finish_beside(std::uint32_t no, std::uint64_t seq, bool cut);
  void answer(std::uint32_t no, std::uint64_t seq, std::uint64_t token, Instant began, bool cut);
  void die(std::uint32_t no, int status);
  Process* find(ExecutorNo no);

  // supervisor -> dispatcher
  void take(const WorkerMessage& message);
  void take_end(Held held, std::string how, bool unstarted, bool completed);
  void find_dropped(const WorkerMessage& message);
  void dispatch();
  void say(DispatcherMessage message);
  void meddle();

  Rng rng_;
  Tally& tally_;
  std::uint32_t slots_;
  Supervisor supervisor_;
  Instant now_{1'000'000'000'000};
  std::uint64_t order_ = 0;
  std::priority_queue<Timer> timers_;
  std::map<std::uint32_t, Process> processes_;
  std::map<std::uint64_t, Task> tasks_;  // by token
  std::vector<ExecutorEvent> heard_;
  std::deque<std::uint64_t> to_give_;
  std::set<Digest> wanted_;
  std::vector<Held> to_settle_;
  std::uint64_t session_ = 1, seq_ = 0, heard_seq_ = 0;
  std::uint32_t credit_ = 0, free_ = 0;
  bool registered_due_ = false, lossy_ = true;
  std::string broken_;
};

}  // namespace treadle::core::testing_world

// A whole simulated service from one seed: clients, one store, dispatchers, workers, and faults; and the checkers
// outside of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "dispatcher_node.h"
#include "network.h"
#include "store/memory/memory_store.h"
#include "user_code.h"
#include "worker_node.h"
#include "world.h"

namespace treadle::sim {

// What one seed makes of the dice.
struct Scenario {
  core::Mode mode = core::Mode::Push;
  int dispatchers = 1;
  int workers = 1;
  std::uint32_t slots = 2;  // each
  int tasks = 100;
  bool at_most_once = false;  // a fifth of the tasks
  bool may_hang = false;      // then there is a time limit
  NetworkFaults network;
  StoreFaults store;
  int worker_kills = 0, dispatcher_kills = 0, process_crashes = 0, stalls = 0, partitions = 0, cancels = 0;
  Duration faults_end{6s};

  static Scenario of(std::uint64_t seed);
  std::string describe() const;
};

struct Verdict {
  std::vector<std::string> violations;  // empty: all promises were kept
  std::uint64_t events = 0, accepted = 0, completed = 0, failed = 0, starts = 0, requeued = 0, stale = 0, adopted = 0,
                reaped = 0;
  std::uint64_t messages_dropped = 0, answers_lost = 0, claims_replayed = 0, worker_deaths = 0, dispatcher_deaths = 0,
                crashes = 0, held_at_death = 0, recalled = 0, cancelled = 0;
  Duration longest_after_faults{0};
};

class Cluster {
 public:
  Cluster(std::uint64_t seed, bool print_trail);
  Verdict run();

 private:
  struct Client {  // what the outside world knows of one task
    bool accepted = false;
    bool at_most_once = false;
    bool cancel_asked = false;
    core::TaskState seen = core::TaskState::Queued;  // last state that a reader saw
    std::string result;                              // of the first terminal answer
    core::ErrorKind kind = core::ErrorKind::None;
  };

  void build();
  void plan_faults();
  void submit(int number);
  void look_at(std::vector<TaskId> tasks);
  void cancel_some();
  void crash_process();
  void pump_store();
  void check_now();
  void check_end();
  void judge(TaskId id, const Client& client);
  void violation(const std::string& text);
  void trail(const std::string& who, const std::string& text);
  std::size_t unfinished() const;

  std::uint64_t seed_;
  bool print_;
  World world_;
  Scenario scenario_;
  Network network_;
  RunLog log_;
  std::unique_ptr<store::MemoryStore> store_;
  std::vector<std::unique_ptr<DispatcherNode>> dispatchers_;
  std::vector<std::unique_ptr<WorkerNode>> workers_;
  FunctionId function_[2];  // at least once, at most once
  std::unordered_map<TaskId, Client> clients_;
  Verdict verdict_;
};

}  // namespace treadle::sim

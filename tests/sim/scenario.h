// What one seed makes of the dice: how big the cluster is, and which faults it meets how often.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/policy.h"
#include "network.h"

namespace treadle::sim {

struct StoreFaults {
  double lose_answer = 0;  // the operation happened, the answer is an error
  double away = 0;         // nothing happened, the answer is an error
  double slow = 0;         // the answer comes seconds late
};

struct Scenario {
  core::Mode mode = core::Mode::Push;
  int gateways = 1;
  int dispatchers = 1;
  int workers = 1;
  int slots = 2;  // each
  int plain = 0;  // plain clients beside the workers
  int tasks = 100;
  int at_most_once = 0;  // 1: a fifth of the tasks; 2: half of them
  int may_hang = 0;      // 1: some do, and there is a time limit
  int kill_often = 0;    // 1: a tenth of the tasks kill their executors
  int delays = 0;        // 1: a tenth of the tasks may not run at once
  NetworkFaults network;
  StoreFaults store;
  double hint_loss = 0;  // of the store's hints: work, cancel
  int worker_kills = 0, plain_kills = 0, dispatcher_kills = 0, gateway_kills = 0;
  int process_crashes = 0;  // of the one that owns the store, with all roles in it
  int all_at_once = 0;      // 1: and everything else with it
  int store_restarts = 0, flushes = 0;
  int stalls = 0, store_stalls = 0, client_stalls = 0, gateway_stalls = 0;
  int store_outages = 0;  // nobody reaches it
  int partitions = 0, half_opens = 0;
  int moves = 0;    // of workers: to another connection, if there is another dispatcher to that one
  int doubles = 0;  // another worker with the same id for a while
  int liars = 0;    // 1: what worker 0 says is not always true
  int wall_steps = 0, cancels = 0;
  Duration faults_end{6s};

  static Scenario of(std::uint64_t seed);
  // No fault that may take an attempt from its worker: then everything runs once, and nothing is lost with a worker.
  bool calm() const;
  std::string describe() const;
  // "tasks=10,stalls=0": changes what it names. False: there is no such knob.
  bool change(std::string_view wishes);
};

// Each number of a scenario by its name, for describe(), change() and the shrinker.
struct Knob {
  const char* name;
  double least;
  double (*get)(const Scenario&);
  void (*set)(Scenario&, double);
};
std::span<const Knob> knobs();

}  // namespace treadle::sim

// A whole simulated service from one seed: clients, one store, dispatchers, workers, and faults; and the checkers
// outside of it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "dispatcher_node.h"
#include "gateway_node.h"
#include "liar.h"
#include "network.h"
#include "plain_node.h"
#include "scenario.h"
#include "store/memory/memory_store.h"
#include "store_law.h"
#include "user_code.h"
#include "worker_node.h"
#include "world.h"

namespace treadle::sim {

struct Verdict {
  std::vector<std::string> violations;         // "at 12 ms: [checker] what"; empty: all promises were kept
  std::map<std::string, std::uint64_t> tally;  // of what happened and of every kind of fault that struck
  Duration longest_after_faults{0};
};

class Cluster {
 public:
  Cluster(std::uint64_t seed, Scenario scenario, bool print_trail);
  Cluster(std::uint64_t seed, bool print_trail) : Cluster(seed, Scenario::of(seed), print_trail) {}
  Verdict run();

 private:
  struct Client {                // what the outside world knows of one task
    store::Submission task;      // as it is sent; with a key each try has an id of its own
    bool accepted = false;       // as task.id
    std::optional<TaskId> runs;  // the id under which its function was seen to start
    bool at_most_once = false;
    bool cancel_asked = false;
    bool waits = false;    // for its end, and has not been told
    bool flushed = false;  // the store lost everything after it was sent
    Instant not_before;
    core::TaskState seen = core::TaskState::Queued;  // last state that a reader saw
    std::string result;                              // of the first terminal answer
    core::ErrorKind kind = core::ErrorKind::None;
  };

  // cluster.cpp: the parts and the run
  void build();
  void make_store();
  void put_functions();
  void add_dispatcher(int number);
  void add_worker(int number);
  void add_plain(int index);
  void plain_speaks(int number, core::WorkerMessage message);
  std::unique_ptr<WorkerNode> make_worker(int number, std::uint64_t first_boot);
  void from_worker(int number, WorkerNode* node, core::WorkerMessage message);
  void to_worker(int dispatcher, int number, core::DispatcherMessage message);
  bool may_reply(int dispatcher, int number);
  void to_plain(int number, core::DispatcherMessage message);
  DispatcherNode& dispatcher_of(int worker) { return *dispatchers_[static_cast<std::size_t>(attached_.at(worker))]; }
  Habits habits() const { return {scenario_.may_hang > 0, scenario_.kill_often > 0}; }
  void pump_store();
  void keep_pumping();
  bool time_passes();
  bool all_is_said(Instant faults_end) const;
  void tally();
  void keep_counters();
  void violation(const char* checker, const std::string& text);
  void trail(const std::string& who, const std::string& text);

  // clients.cpp: who asks from outside, and the checkers of what they see
  void submit(std::size_t number);
  void send(std::size_t number, int tries);
  void send_again(std::size_t number, int tries);
  void accept(Client& client, const store::SubmitAnswer& answer);
  void wait_for(Client& client);
  void waiters_are_cut_off();
  void look();
  void see(Client& client, const Result<store::TaskView>& view);
  void cancel(Client& client);
  void cancel_some();
  void check_now();
  void check_start(TaskId id, RunLog::By by);
  bool all_are_awake() const;
  void check_end();
  std::string what_is_known_of(TaskId id);
  void judge(const Client& client);
  bool fits(const Client& client, std::uint32_t starts) const;
  std::size_t unfinished() const;

  // faults.cpp
  void plan_faults();
  void plan_deaths();
  void plan_gateway_faults();
  void plan_stalls();
  void plan_links();
  void move_worker(int number);
  void connection_ends(int dispatcher, int number);
  void plan_store_faults();
  template <class What>
  void some_times(int times, What what);
  template <class List>
  auto& any(List& list) {
    return *list[world_.rng.below(list.size())];
  }
  void crash_process();
  void start_what_is_dead();
  void store_goes_away();
  void restart_store();
  void flush_store();
  void add_double();
  void end_faults();

  std::uint64_t seed_;
  bool print_;
  World world_;
  Scenario scenario_;
  Network network_;
  RunLog log_;
  StoreLaw law_;
  Liar liar_;
  std::unique_ptr<store::MemoryStore> store_;
  std::vector<std::unique_ptr<store::MemoryStore>> flushed_stores_;
  std::vector<std::unique_ptr<GatewayNode>> gateways_;
  std::vector<std::unique_ptr<DispatcherNode>> dispatchers_;
  std::vector<std::unique_ptr<WorkerNode>> workers_;
  std::vector<std::unique_ptr<WorkerNode>> doubles_;
  std::vector<std::unique_ptr<PlainNode>> plains_;
  std::map<int, int> attached_;  // of each worker id: the dispatcher that it speaks to
  struct Route {
    WorkerNode* node = nullptr;
    std::uint64_t life = 0;  // of the node: its connection ends with it
  };
  std::map<std::pair<int, int>, Route> route_;  // dispatcher, worker id: whom it heard last
  std::set<std::pair<int, int>> asked_;         // PULL: dispatcher, worker id: a request that has no reply yet
  std::set<int> leaves_;                        // worker ids: connect anew as soon as they are given attempts
  std::map<int, std::uint64_t> heard_;          // of each plain client: the connection that was heard last
  FunctionId function_[2];                      // at least once, at most once
  std::vector<Client> clients_;
  std::unordered_map<TaskId, std::size_t> client_of_;  // each id that was ever sent
  Instant pump_at_ = Instant::never();
  std::uint64_t committed_ = 0;
  Instant store_stands_until_, clients_stand_until_;
  bool faults_on_ = true;
  std::uint64_t looks_ = 0;
  std::uint64_t events_at_ = 0;  // that happened at still_since_
  Instant still_since_;
  Verdict verdict_;
};

}  // namespace treadle::sim

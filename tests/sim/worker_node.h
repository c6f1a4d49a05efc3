// One simulated worker program: the real supervisor core over fake executors, and a network end.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/policy.h"
#include "core/supervisor.h"
#include "fake_executors.h"
#include "world.h"

namespace treadle::sim {

class WorkerNode {
 public:
  using Send = std::function<void(core::WorkerMessage)>;
  WorkerNode(World& world, RunLog& log, WorkerId id, core::Mode mode, std::uint32_t slots, Habits habits, Send send,
             std::uint64_t first_boot = 0);

  void deliver(core::DispatcherMessage message);
  void kill();   // kill -9: the program and everything below it
  void start();  // another boot
  void stall(Duration d);
  void die_at_effect(std::uint64_t n) { die_in_ = n; }  // of its next ones: commands to executors, messages
  void reconnect();                                     // its connection breaks, and another one is made
  bool alive() const { return core_ != nullptr; }
  WorkerId id() const { return id_; }
  std::uint64_t life() const { return life_; }
  Instant stalled_until() const { return stalled_until_; }
  std::uint32_t slots() const { return slots_; }
  const FakeExecutors& executors() const { return *executors_; }
  const core::SupervisorCounters& counters() const { return core_->counters(); }
  std::function<void(const std::string&)> on_note;

  std::uint64_t deaths = 0, held_at_death = 0, recalled = 0, stalls = 0, superseded = 0, reconnects = 0,
                transitions = 0;

 private:
  void say(core::SupervisorEvent event);
  void wake(Instant at);
  void turn();
  // False: it died before all was done.
  bool carry_out(core::SupervisorEffects& effects);
  bool dies_now();

  World& world_;
  RunLog& log_;
  WorkerId id_;
  core::Mode mode_;
  std::uint32_t slots_;
  Habits habits_;
  Send send_;
  std::unique_ptr<core::Supervisor> core_;
  std::unique_ptr<FakeExecutors> executors_;
  std::vector<std::unique_ptr<FakeExecutors>> buried_;  // of earlier lives
  std::vector<core::SupervisorEvent> events_;
  std::uint64_t life_ = 0;
  std::uint64_t boots_ = 0;
  std::uint64_t die_in_ = 0;     // effects from now; 0 = not planned
  std::uint64_t last_said_ = 0;  // number of the newest message
  Instant stalled_until_;
  Instant wake_at_ = Instant::never();
};

}  // namespace treadle::sim

// The supervisor's shell: feeds the core what the link and the executors say, and carries out what it decides.
#pragma once

#include <vector>

#include "core/supervisor.h"
#include "runtime/shell.h"
#include "transport/link.h"
#include "worker/executor_pool.h"

namespace treadle::worker {

class WorkerLoop final : public runtime::Shell {
 public:
  // `pool` and `link` outlive the loop; all are used from the thread that calls turn().
  WorkerLoop(core::SupervisorConfig config, Rng rng, ExecutorPool& pool, transport::WorkerLink& link);

  bool turn(Instant now) override;
  Instant next_deadline() const override;
  int wake_fd() const override { return pool_.wake_fd(); }
  // Finish what runs, within SupervisorConfig::drain, and give back the rest. A second call ends what runs now.
  void drain() { events_.push_back(core::event::WorkerDrainAsked{}); }
  const core::Supervisor& core() const { return core_; }

 private:
  void settle(Instant now);
  void carry_out();

  const bool in_process_;
  ExecutorPool& pool_;
  transport::WorkerLink& link_;
  core::Supervisor core_;
  std::vector<core::SupervisorEvent> events_;
  std::vector<core::ExecutorEvent> said_;  // by the pool
  core::SupervisorEffects effects_;
};

}  // namespace treadle::worker

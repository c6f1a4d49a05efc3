// One process of Treadle: builds the parts of its role once, top to bottom, hands references down, and runs them on one
// loop. `serve` has all parts; gateway, dispatcher and worker have some.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "cli/fleet_watch.h"
#include "cli/options.h"
#include "gateway/gateway.h"
#include "runtime/dispatch_loop.h"
#include "runtime/host_loop.h"
#include "runtime/system_clock.h"
#include "store/store.h"
#include "transport/inproc.h"
#include "transport/zmq/zmq_dispatcher_link.h"
#include "transport/zmq/zmq_worker_link.h"
#include "worker/executor_pool.h"
#include "worker/interpreter.h"
#include "worker/worker_loop.h"

namespace treadle::cli {

class Node final : private gateway::StatusSource {
 public:
  explicit Node(Options options);
  ~Node() override;
  // Everything that can be wrong at start is found here; the error is one sentence with the way out.
  Result<void> start();
  // Until SIGINT or SIGTERM: the first lets running tasks end, the second stops now. Returns the exit code.
  int run();

 private:
  gateway::Status status() const override;
  gateway::BuildInfo build() const override;

  // node_parts.cpp: what is built, in this order
  Result<void> start_pool();
  Result<void> open_store();
  Result<void> start_dispatcher();
  Result<void> start_worker();
  Result<void> start_gateway();
  gateway::GatewayConfig gateway_config() const;
  core::SupervisorConfig supervisor_config();
  void host(std::unique_ptr<runtime::Shell> shell);
  void wake_on(int fd);
  Error explain_http_port(const Error& error) const;

  // node.cpp: life
  void print_start_lines() const;
  void print_ready_line() const;
  void on_signal(int count);
  void print_state() const;  // node_state.cpp
  void begin_stop();
  void stop_now();
  bool everything_ended() const;
  bool over(Instant now);
  void add_fleet(gateway::Status& status) const;
  std::size_t running() const;
  bool outlived_by_workers() const { return dispatch_ && !worker_; }

  Options options_;
  runtime::SystemClock clock_;
  Rng rng_;
  gateway::IdSource ids_{clock_};
  std::vector<worker::InterpreterInfo> interpreters_;
  WorkerId worker_id_;

  // In the order of construction: what comes later refers to what came before. The guard is started first, before there
  // is any thread.
  std::unique_ptr<worker::ExecutorPool> pool_;
  std::unique_ptr<runtime::HostLoop> loop_;
  std::unique_ptr<store::Store> store_;
  transport::ZmqContext zmq_;
  transport::InprocPair inproc_;
  std::unique_ptr<transport::ZmqDispatcherLink> dispatcher_link_;
  std::unique_ptr<transport::ZmqWorkerLink> worker_link_;
  std::unique_ptr<runtime::DispatchLoop> dispatch_;
  std::unique_ptr<worker::WorkerLoop> worker_;
  std::unique_ptr<gateway::Gateway> gateway_;
  FleetWatch* fleet_ = nullptr;  // one of shells_, of a gateway alone
  std::vector<std::unique_ptr<runtime::Shell>> shells_;

  bool stopping_ = false;
  bool stopped_now_ = false;
  std::string refusal_;  // of the dispatcher that this worker wanted to serve
  Instant give_up_at_ = Instant::never();
};

}  // namespace treadle::cli

// `treadle serve`: builds every object of one process once, top to bottom, and hands references down.
#pragma once

#include <memory>
#include <string>

#include "cli/serve_options.h"
#include "gateway/gateway.h"
#include "runtime/dispatch_loop.h"
#include "runtime/host_loop.h"
#include "runtime/system_clock.h"
#include "store/store.h"
#include "transport/inproc.h"
#include "worker/executor_pool.h"
#include "worker/interpreter.h"
#include "worker/worker_loop.h"

namespace treadle::cli {

class Serve final : private gateway::StatusSource {
 public:
  explicit Serve(ServeOptions options);
  ~Serve() override;
  // Everything that can be wrong at start is found here; the error is one sentence with the way out.
  Result<void> start();
  // Until SIGINT or SIGTERM: the first lets running tasks end, the second stops now. Returns the exit code.
  int run();

 private:
  gateway::Status status() const override;
  gateway::BuildInfo build() const override;

  Result<std::unique_ptr<worker::ExecutorPool>> start_pool() const;
  Result<std::unique_ptr<store::Store>> open_store() const;
  gateway::GatewayConfig gateway_config() const;
  core::SupervisorConfig supervisor_config() const;
  Result<void> explain_port(const Error& error) const;
  void print_start_lines() const;
  void on_signal(int count);
  bool everything_ended() const;

  ServeOptions options_;
  runtime::SystemClock clock_;
  gateway::IdSource ids_{clock_};
  worker::InterpreterInfo interpreter_;
  WorkerId worker_id_;

  // In the order of construction: what comes later refers to what came before. The guard is started first, before there
  // is any thread.
  std::unique_ptr<worker::ExecutorPool> pool_;
  std::unique_ptr<store::Store> store_;
  transport::InprocPair link_;
  std::unique_ptr<runtime::HostLoop> loop_;
  std::unique_ptr<runtime::DispatchLoop> dispatch_;
  std::unique_ptr<worker::WorkerLoop> worker_;
  std::unique_ptr<gateway::Gateway> gateway_;

  class StoreShell;
  class GatewayShell;
  class StopWatch;
  std::unique_ptr<runtime::Shell> store_shell_, gateway_shell_, stop_watch_;
  bool stopping_ = false;
  bool stop_now_ = false;
  Instant give_up_at_ = Instant::never();
};

}  // namespace treadle::cli

#include "cli/node.h"

#include <cstdio>

#include "cli/shells.h"
#include "cli/version.h"
#include "runtime/log.h"

namespace treadle::cli {
namespace {

constexpr int kExitStoppedNow = 130;  // what a shell shows for a program that Ctrl-C ended
constexpr Duration kStopNowLimit = 3s;
constexpr Duration kFlushLimit = 5s;  // for the last words to the store, when nothing that runs is waited for

runtime::LogLevel parse_level(const std::string& name) {
  if (name == "debug") return runtime::LogLevel::Debug;
  if (name == "warning") return runtime::LogLevel::Warning;
  return name == "error" ? runtime::LogLevel::Error : runtime::LogLevel::Info;
}

const char* plural(std::size_t count, const char* one, const char* many) { return count == 1 ? one : many; }

}  // namespace

Node::Node(Options options) : options_(std::move(options)), rng_(runtime::os_seed()) {
  worker_id_ = WorkerId(Uuid{rng_.next(), rng_.next()});
}
Node::~Node() = default;

Result<void> Node::start() {
  runtime::set_log_level(parse_level(options_.log_level));
  if (options_.has_gateway) {
    if (auto usable = gateway::check_address(gateway_config()); !usable) return usable.error();
  }
  if (options_.has_executors) {
    if (auto started = start_pool(); !started) return started;
  }
  loop_ = std::make_unique<runtime::HostLoop>(clock_);
  if (options_.has_gateway || options_.has_dispatcher) {
    if (auto opened = open_store(); !opened) return opened;
  }
  if (options_.has_dispatcher) {
    if (auto started = start_dispatcher(); !started) return started;
  }
  if (options_.has_executors) {
    if (auto started = start_worker(); !started) return started;
  }
  if (options_.has_gateway) {
    if (auto started = start_gateway(); !started) return started;
  }
  host(std::make_unique<StopShell>(
      [this](Instant now) {
        if (over(now)) loop_->stop();
      },
      give_up_at_));
  return {};
}

int Node::run() {
  loop_->on_stop_signal([this](int count) { on_signal(count); });
  loop_->on_dump_signal([this] { print_state(); });
  print_start_lines();  // who reads them may send signals
  loop_->run();
  gateway_.reset();
  worker_.reset();
  pool_.reset();  // ends everything below the guard
  if (store_) store_->close();
  if (!refusal_.empty()) {
    std::fprintf(stderr, "treadle worker: the dispatcher at %s refuses this worker: %s\n",
                 options_.dispatcher_endpoint.c_str(), refusal_.c_str());
    return kExitUsage;
  }
  return stopped_now_ ? kExitStoppedNow : 0;
}

// ---- what people see ----

void Node::print_start_lines() const {
  const std::string mode(core::name_of(options_.dispatch.mode));
  std::printf("treadle %s: %s", kVersion, options_.verb.c_str());
  if (options_.verb != "gateway") std::printf(", %s mode", mode.c_str());
  if (options_.has_executors) {
    std::printf(", %d slots", options_.executors.slots);
    for (const worker::InterpreterInfo& one : interpreters_)
      std::printf(", Python %s (%s, dill %s%s%s)", one.version().c_str(), one.path.c_str(), one.dill.c_str(),
                  one.cloudpickle.empty() ? "" : ", cloudpickle ", one.cloudpickle.c_str());
  }
  std::printf("\n");
  if (store_) {
    std::printf("store: %s; HTTP 200 on submit is durable at level '%s'\n", store_->describe().c_str(),
                std::string(store::name_of(store_->level())).c_str());
  }
  if (dispatcher_link_) {
    const std::string endpoint = dispatcher_link_->socket().endpoint();
    std::printf("workers: treadle worker %s SLOTS %s\n", mode.c_str(), endpoint.c_str());
  }
  print_ready_line();
  std::fflush(stdout);
}

void Node::print_ready_line() const {
  if (gateway_) {
    const std::string& host = options_.http.host;
    const std::string shown = host.find(':') == std::string::npos ? host : "[" + host + "]";
    std::printf("listening on http://%s:%u   (docs: /docs, metrics: /metrics; Ctrl-C stops)\n", shown.c_str(),
                gateway_->port());
  } else if (worker_link_) {
    std::printf("serving the dispatcher at %s   (Ctrl-C stops)\n", options_.dispatcher_endpoint.c_str());
  } else {
    std::printf("dispatching   (Ctrl-C stops)\n");
  }
}

// ---- the end ----

std::size_t Node::running() const { return worker_ ? worker_->core().view().slots_used : 0; }

void Node::on_signal(int count) {
  count == 1 ? begin_stop() : stop_now();
  std::fflush(stdout);
}

void Node::begin_stop() {
  const std::size_t count = running();
  stopping_ = true;
  give_up_at_ = clock_.now() + (worker_ ? core::limits::kDrain + core::limits::kKillGrace + 1s : kFlushLimit);
  if (count > 0) {
    std::printf("stopping: %zu %s running, waiting up to %lld s; Ctrl-C again stops now, and %s\n", count,
                plural(count, "task is", "tasks are"), static_cast<long long>(core::limits::kDrain / 1s),
                worker_link_ ? plural(count, "it goes back to the queue", "they go back to the queue")
                             : plural(count, "it runs again after a restart", "they run again after a restart"));
  } else if (const std::size_t held = outlived_by_workers() ? dispatch_->core().attempts_held() : 0; held > 0) {
    std::printf("stopping: %zu %s on in the workers, which will look for the next dispatcher\n", held,
                plural(held, "task goes", "tasks go"));
  } else {
    std::printf("stopping\n");
  }
  if (gateway_) gateway_->begin_drain();
  if (dispatch_) dispatch_->drain(!outlived_by_workers());
  if (worker_) worker_->drain();
}

void Node::stop_now() {
  const std::size_t count = running();
  stopped_now_ = stopped_now_ || count > 0;
  give_up_at_ = std::min(give_up_at_, clock_.now() + kStopNowLimit);
  std::printf("stopping now: %zu running %s will run again%s\n", count, plural(count, "task", "tasks"),
              worker_link_ ? "" : " after a restart");
  if (worker_) worker_->drain();
}

bool Node::everything_ended() const {
  if (worker_ && !worker_->core().drained()) return false;
  if (!dispatch_) return true;
  return worker_ ? dispatch_->core().drained() : dispatch_->core().quiet();
}

bool Node::over(Instant now) {
  if (worker_link_) refusal_ = worker_link_->refusal();
  return !refusal_.empty() || (stopping_ && (everything_ended() || now >= give_up_at_));
}

// ---- for the gateway's pages ----

namespace {

std::string pythons_of(const core::WorkerInfo& info) {
  std::string text;
  for (const auto& python : info.pythons) {
    text += (text.empty() ? "" : ", ") + std::to_string(python.major) + "." + std::to_string(python.minor) + "." +
            std::to_string(python.micro);
  }
  return text;
}

gateway::WorkerStatus status_of(WorkerId id, const core::WorkerInfo& info, std::uint32_t free, std::string state) {
  gateway::WorkerStatus one;
  one.id = to_string(id);
  one.host = info.host;
  one.pid = info.pid;
  one.slots = info.slots;
  one.slots_free = free;
  one.python = pythons_of(info);
  one.state = std::move(state);
  return one;
}

}  // namespace

gateway::Status Node::status() const {
  gateway::Status status;
  status.draining = stopping_;
  if (!dispatch_) {
    add_fleet(status);
    return status;
  }
  status.mode = core::name_of(options_.dispatch.mode);
  if (dispatcher_link_) status.workers_at = dispatcher_link_->socket().endpoint();
  status.slots = dispatch_->core().slots();
  status.slots_free = dispatch_->core().free_slots();
  for (const core::WorkerView& view : dispatch_->core().workers()) {
    status.workers.push_back(status_of(view.worker, view.info, view.free_slots, view.draining ? "draining" : "ready"));
  }
  if (!status.workers.empty()) return status;
  status.not_ready = "no worker is registered yet";
  if (dispatcher_link_) status.not_ready += "; start one: treadle worker " + status.mode + " 4 " + status.workers_at;
  return status;
}

// A gateway alone takes tasks whoever runs them, so it is ready without workers too.
void Node::add_fleet(gateway::Status& status) const {
  if (!fleet_) return;
  for (const store::WorkerReport& report : fleet_->workers()) {
    if (report.state == "lost") continue;
    status.slots += report.info.slots;
    status.slots_free += report.free_slots;
    status.workers.push_back(status_of(report.id, report.info, report.free_slots, report.state));
  }
}

gateway::BuildInfo Node::build() const { return {kVersion, ""}; }

// ---- the verbs ----

namespace {

int run_role(Parsed parsed) {
  if (const int* code = std::get_if<int>(&parsed)) return *code;
  const std::string verb = std::get<Options>(parsed).verb;
  Node node(std::move(std::get<Options>(parsed)));
  if (auto started = node.start(); !started) {
    std::fprintf(stderr, "treadle %s: %s\n", verb.c_str(), started.error().message.c_str());
    return kExitUsage;
  }
  return node.run();
}

}  // namespace

int serve(const Arguments& arguments) { return run_role(parse_serve(arguments)); }
int gateway(const Arguments& arguments) { return run_role(parse_gateway(arguments)); }
int dispatcher(const Arguments& arguments) { return run_role(parse_dispatcher(arguments)); }
int worker(const Arguments& arguments) { return run_role(parse_worker(arguments)); }

}  // namespace treadle::cli

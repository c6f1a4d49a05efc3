#include "cli/serve.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "base/assert.h"
#include "cli/cpus.h"
#include "cli/port_owner.h"
#include "cli/version.h"
#include "core/failure_object.h"
#include "runtime/log.h"
#include "store/memory/memory_store.h"
#include "store/sqlite/sqlite_store.h"

namespace treadle::cli {
namespace {

constexpr int kExitStoppedNow = 130;  // what a shell shows for a program that Ctrl-C ended
constexpr Duration kStopNowLimit = 3s;

std::string host_name() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

runtime::LogLevel parse_level(const std::string& name) {
  if (name == "debug") return runtime::LogLevel::Debug;
  if (name == "warning") return runtime::LogLevel::Warning;
  return name == "error" ? runtime::LogLevel::Error : runtime::LogLevel::Info;
}

// Where functions find their modules: --path first, then what PYTHONPATH names, then the working directory.
std::vector<std::string> module_paths(const std::vector<std::string>& given) {
  std::vector<std::string> paths;
  for (const auto& path : given) paths.push_back(std::filesystem::absolute(path).lexically_normal().string());
  const char* variable = std::getenv("PYTHONPATH");
  std::string entries = variable ? variable : "";
  for (std::size_t from = 0; from < entries.size();) {
    const std::size_t end = std::min(entries.find(':', from), entries.size());
    if (end > from) paths.push_back(std::filesystem::absolute(entries.substr(from, end - from)).string());
    from = end + 1;
  }
  paths.push_back(std::filesystem::current_path().string());
  return paths;
}

core::Payload store_failure(core::ErrorKind kind, TaskId task, const std::string& worker, const std::string& text) {
  return core::worker_failure_object(task, worker, std::string(core::name_of(kind)) + ": " + text);
}

}  // namespace

// The gateway's place in the round of shells: last, so that the answers of a turn leave with it.
class Serve::GatewayShell final : public runtime::Shell {
 public:
  explicit GatewayShell(gateway::Gateway& gateway) : gateway_(gateway) {}
  bool turn(Instant now) override {
    gateway_.turn(now);
    return false;
  }
  Instant next_deadline() const override { return Instant::never(); }

 private:
  gateway::Gateway& gateway_;
};

class Serve::StoreShell final : public runtime::Shell {
 public:
  explicit StoreShell(store::Store& store) : store_(store) {}
  bool turn(Instant now) override { return store_.turn(now); }
  Instant next_deadline() const override { return store_.next_deadline(); }
  int wake_fd() const override { return store_.wake_fd(); }

 private:
  store::Store& store_;
};

// Ends the loop when there is nothing left to wait for.
class Serve::StopWatch final : public runtime::Shell {
 public:
  explicit StopWatch(Serve& serve) : serve_(serve) {}
  bool turn(Instant now) override {
    if (serve_.stopping_ && (serve_.everything_ended() || now >= serve_.give_up_at_)) serve_.loop_->stop();
    return false;
  }
  Instant next_deadline() const override { return serve_.stopping_ ? serve_.give_up_at_ : Instant::never(); }

 private:
  Serve& serve_;
};

Serve::Serve(ServeOptions options) : options_(std::move(options)) {}
Serve::~Serve() = default;

Result<void> Serve::start() {
  runtime::set_log_level(parse_level(options_.log_level));
  if (options_.slots == 0) options_.slots = usable_cpus();
  Rng rng(runtime::os_seed());
  worker_id_ = WorkerId(Uuid{rng.next(), rng.next()});
  if (auto usable = gateway::check_address(gateway_config()); !usable) return usable.error();
  TRY(interpreter_, worker::ask_interpreter(options_.python));
  TRY(pool_, start_pool());
  TRY(store_, open_store());
  loop_ = std::make_unique<runtime::HostLoop>(clock_);

  core::DispatcherConfig dispatcher{
      .mode = options_.mode, .session = SessionId(Uuid{rng.next(), rng.next()}), .name = "serve"};
  dispatcher.time_limit = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(options_.timeout_s));
  dispatch_ = std::make_unique<runtime::DispatchLoop>(dispatcher, Rng(runtime::os_seed()), clock_, *store_,
                                                      link_.dispatcher_end());
  worker_ =
      std::make_unique<worker::WorkerLoop>(supervisor_config(), Rng(runtime::os_seed()), *pool_, link_.worker_end());
  gateway_ = std::make_unique<gateway::Gateway>(loop_->context(), *store_, gateway_config(),
                                                static_cast<gateway::StatusSource&>(*this), ids_, clock_);
  if (auto listening = gateway_->listen(); !listening) return explain_port(listening.error());

  store_shell_ = std::make_unique<StoreShell>(*store_);
  gateway_shell_ = std::make_unique<GatewayShell>(*gateway_);
  stop_watch_ = std::make_unique<StopWatch>(*this);
  for (runtime::Shell* shell : {store_shell_.get(), static_cast<runtime::Shell*>(dispatch_.get()),
                                static_cast<runtime::Shell*>(worker_.get()), gateway_shell_.get(), stop_watch_.get()}) {
    loop_->add(*shell);
  }
  return {};
}

Result<std::unique_ptr<worker::ExecutorPool>> Serve::start_pool() const {
  worker::PoolOptions pool;
  pool.interpreters = {{.python = interpreter_.path,
                        .preload = options_.preload,
                        .threads_per_executor = std::max(1, usable_cpus() / options_.slots)}};
  pool.worker_id = to_string(worker_id_);
  pool.paths = module_paths(options_.paths);
  pool.max_result = options_.max_payload;
  return worker::ExecutorPool::start(std::move(pool));
}

Result<std::unique_ptr<store::Store>> Serve::open_store() const {
  if (options_.store == "memory:")
    return std::unique_ptr<store::Store>(std::make_unique<store::MemoryStore>(clock_, store_failure));
  store::SqliteConfig sqlite;
  sqlite.dir = options_.data_dir;
  sqlite.durability = *store::parse_durability(options_.durability);
  sqlite.failure = store_failure;
  return store::open_sqlite(std::move(sqlite), clock_);
}

gateway::GatewayConfig Serve::gateway_config() const {
  gateway::GatewayConfig config;
  config.address = options_.host;
  config.port = options_.port;
  config.insecure_public = options_.insecure_public;
  config.allow_hosts = options_.allow_hosts;
  config.allow_origins = options_.allow_origins;
  config.created_status = options_.created_status;
  config.max_payload = options_.max_payload;
  return config;
}

core::SupervisorConfig Serve::supervisor_config() const {
  core::SupervisorConfig config;
  config.worker = worker_id_;
  config.boot = runtime::os_random() | 1;
  config.info.host = host_name();
  config.info.pid = static_cast<std::uint32_t>(getpid());
  config.info.slots = static_cast<std::uint32_t>(options_.slots);
  config.info.pythons = {{static_cast<std::uint8_t>(interpreter_.major), static_cast<std::uint8_t>(interpreter_.minor),
                          static_cast<std::uint8_t>(interpreter_.micro)}};
  config.info.in_process = true;
  config.heartbeat_when_idle = false;
  return config;
}

Result<void> Serve::explain_port(const Error& error) const {
  if (error.code != Code::Conflict) return error;
  const std::uint16_t free = next_free_port(options_.port);
  std::string text = "port " + std::to_string(options_.port) + " is taken by " + port_owner(options_.port) + ".";
  if (free != 0) text += " Stop it, or take the next free one: --port " + std::to_string(free);
  return fail(Code::Conflict, text);
}

int Serve::run() {
  print_start_lines();
  loop_->on_stop_signal([this](int count) { on_signal(count); });
  loop_->run();
  gateway_.reset();
  worker_.reset();
  pool_.reset();  // ends everything below the guard
  store_->close();
  return stop_now_ ? kExitStoppedNow : 0;
}

void Serve::print_start_lines() const {
  std::printf("treadle %s: %s mode, %d slots, Python %s (%s, dill %s%s%s)\n", kVersion,
              std::string(core::name_of(options_.mode)).c_str(), options_.slots, interpreter_.version().c_str(),
              interpreter_.path.c_str(), interpreter_.dill.c_str(),
              interpreter_.cloudpickle.empty() ? "" : ", cloudpickle ", interpreter_.cloudpickle.c_str());
  std::printf("store: %s; HTTP 200 on submit is durable at level '%s'\n", store_->describe().c_str(),
              std::string(store::name_of(store_->level())).c_str());
  const std::string shown = options_.host.find(':') == std::string::npos ? options_.host : "[" + options_.host + "]";
  std::printf("listening on http://%s:%u   (docs: /docs, metrics: /metrics; Ctrl-C stops)\n", shown.c_str(),
              gateway_->port());
  std::fflush(stdout);
}

void Serve::on_signal(int count) {
  const Instant now = clock_.now();
  const std::size_t running = worker_->core().view().slots_used;
  if (count == 1) {
    stopping_ = true;
    give_up_at_ = now + core::limits::kDrain + core::limits::kKillGrace + 1s;
    if (running == 0) {
      std::printf("stopping\n");
    } else {
      std::printf(
          "stopping: %zu task%s running, waiting up to %lld s; Ctrl-C again stops now, and %s after a restart\n",
          running, running == 1 ? " is" : "s are", static_cast<long long>(core::limits::kDrain / 1s),
          running == 1 ? "it runs again" : "they run again");
    }
    gateway_->begin_drain();
    dispatch_->drain();
    worker_->drain();
  } else {
    stop_now_ = stop_now_ || running > 0;
    give_up_at_ = std::min(give_up_at_, now + kStopNowLimit);
    std::printf("stopping now: %zu running task%s will run again after a restart\n", running, running == 1 ? "" : "s");
    worker_->drain();
  }
  std::fflush(stdout);
}

bool Serve::everything_ended() const { return worker_->core().drained() && dispatch_->core().drained(); }

gateway::Status Serve::status() const {
  gateway::Status status;
  status.mode = core::name_of(options_.mode);
  status.slots = dispatch_->core().slots();
  status.slots_free = dispatch_->core().free_slots();
  status.draining = stopping_;
  for (const core::WorkerView& view : dispatch_->core().workers()) {
    gateway::WorkerStatus one;
    one.id = to_string(view.worker);
    one.host = view.info.host;
    one.pid = view.info.pid;
    one.slots = view.info.slots;
    one.slots_free = view.free_slots;
    one.python = interpreter_.version();
    one.state = view.draining ? "draining" : "ready";
    status.workers.push_back(std::move(one));
  }
  if (status.workers.empty()) status.not_ready = "no worker is registered yet";
  return status;
}

gateway::BuildInfo Serve::build() const { return {kVersion, ""}; }

int serve(const Arguments& arguments) {
  auto parsed = parse_serve_options(arguments);
  if (const int* code = std::get_if<int>(&parsed)) return *code;
  Serve process(std::move(std::get<ServeOptions>(parsed)));
  if (auto started = process.start(); !started) {
    std::fprintf(stderr, "treadle serve: %s\n", started.error().message.c_str());
    return kExitUsage;
  }
  return process.run();
}

}  // namespace treadle::cli

// How the parts of a process are built from its options.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <set>

#include "cli/cpus.h"
#include "cli/node.h"
#include "cli/port_owner.h"
#include "cli/running_service.h"
#include "cli/shells.h"
#include "cli/takeover.h"
#include "core/failure_object.h"
#include "runtime/log.h"
#include "store/memory/memory_store.h"
#include "store/redis/redis_store.h"
#include "store/sqlite/sqlite_store.h"

namespace treadle::cli {
namespace {

std::string host_name() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

// "" stays as it is.
std::string absolute(const std::string& path) {
  return path.empty() ? path : std::filesystem::absolute(path).lexically_normal().string();
}

// Where functions find their modules: --path first, then what PYTHONPATH names, then the folder in which they run.
std::vector<std::string> module_paths(const std::vector<std::string>& given, const std::string& cwd) {
  std::vector<std::string> paths;
  for (const auto& path : given) paths.push_back(absolute(path));
  const char* variable = std::getenv("PYTHONPATH");
  std::string entries = variable ? variable : "";
  for (std::size_t from = 0; from < entries.size();) {
    const std::size_t end = std::min(entries.find(':', from), entries.size());
    if (end > from) paths.push_back(std::filesystem::absolute(entries.substr(from, end - from)).string());
    from = end + 1;
  }
  paths.push_back(cwd.empty() ? std::filesystem::current_path().string() : cwd);
  return paths;
}

core::Payload store_failure(core::ErrorKind kind, TaskId task, const std::string& worker, const std::string& text) {
  return core::worker_failure_object(task, worker, std::string(core::name_of(kind)) + ": " + text);
}

// Those that it was given, and its Python versions; sorted, each once.
std::vector<std::string> labels_of(const std::vector<std::string>& given,
                                   const std::vector<core::PythonVersion>& pythons) {
  std::set<std::string> labels(given.begin(), given.end());
  for (const core::PythonVersion& python : pythons)
    labels.insert("python=" + std::to_string(python.major) + '.' + std::to_string(python.minor));
  return {labels.begin(), labels.end()};
}

bool is_loopback(const std::string& host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

}  // namespace

void Node::host(std::unique_ptr<runtime::Shell> shell) {
  loop_->add(*shell);
  shells_.push_back(std::move(shell));
}

void Node::wake_on(int fd) { host(std::make_unique<WakeShell>(fd)); }

Result<void> Node::start_pool() {
  if (options_.executors.slots == 0) options_.executors.slots = usable_cpus();
  worker::PoolOptions pool;
  for (const std::string& python : options_.executors.pythons) {
    TRY(auto interpreter, worker::ask_interpreter(python));
    pool.interpreters.push_back({.python = interpreter.path,
                                 .preload = options_.executors.preload,
                                 .threads_per_executor = std::max(1, usable_cpus() / options_.executors.slots),
                                 .version = interpreter.version()});
    interpreters_.push_back(std::move(interpreter));
  }
  pool.worker_id = to_string(worker_id_);
  pool.cwd = absolute(options_.executors.cwd);
  pool.secrets_dir = absolute(options_.executors.secrets_dir);
  pool.paths = module_paths(options_.executors.paths, pool.cwd);
  pool.max_result = options_.http.max_payload;
  const ExecutorOptions& o = options_.executors;
  pool.environments = {absolute(o.env_cache), absolute(o.wheelhouse), o.env_cache_size};
  TRY(pool_, worker::ExecutorPool::start(std::move(pool)));
  return {};
}

Result<void> Node::open_store() {
  const StoreOptions& o = options_.store;
  if (o.store == "memory:") {
    store_ = std::make_unique<store::MemoryStore>(clock_, store_failure);
  } else if (o.store.empty()) {
    store::SqliteConfig sqlite;
    sqlite.dir = o.data_dir;
    sqlite.durability = *store::parse_durability(o.durability);
    sqlite.failure = store_failure;
    // Workers of another process may still hold what the file says was running; those of this one died with it.
    if (options_.dispatch.mode != core::Mode::Local) sqlite.adoption_window = core::limits::kAdoptionWindow;
    TRY(store_, store::open_sqlite(std::move(sqlite), clock_));
  } else {
    store::RedisConfig redis;
    TRY(redis.address, store::redis::parse_address(o.store));
    redis.client.jitter_seed = rng_.next();
    redis.partitions = o.partitions;
    redis.wait.replicas = o.redis_wait;
    if (const std::string& name = options_.dispatch.name; !name.empty()) {
      redis.is_dead = [own = lasting_name(name, host_name())](const std::string& other) {
        return is_dead_predecessor(own, other);
      };
      // A local dispatcher's workers died with it; others come to us with what they hold, and are given time for that.
      if (options_.dispatch.mode != core::Mode::Local) redis.take_over_after = core::limits::kAdoptionWindow;
    }
    redis.failure = store_failure;
    redis.warn = [](const std::string& warning) { runtime::log(runtime::LogLevel::Warning, "store.weak " + warning); };
    auto opened = store::open_redis(loop_->context(), std::move(redis), clock_);
    if (!opened && opened.error().code == Code::StoreAway)
      return fail(Code::StoreAway, opened.error().message + running_service_hint());
    TRY(store_, std::move(opened));
  }
  if (o.require_durable && store_->level() < store::Level::Process)
    return fail(Code::Invalid, store_->describe() + " keeps tasks at the level '" +
                                   std::string(store::name_of(store_->level())) +
                                   "' and loses them when it is killed, and --require-durable asks for more: choose "
                                   "--durability strict or fast, or a Redis with appendonly yes");
  host(std::make_unique<StoreShell>(*store_));
  return {};
}

Result<void> Node::start_dispatcher() {
  const DispatchOptions& o = options_.dispatch;
  core::DispatcherConfig config{.mode = o.mode, .session = SessionId(Uuid{rng_.next(), rng_.next()})};
  config.name = o.name.empty() ? host_name() + ":" + std::to_string(getpid()) : lasting_name(o.name, host_name());
  config.time_limit = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(o.timeout_s));
  transport::DispatcherLink* link = &inproc_.dispatcher_end();
  if (o.mode != core::Mode::Local) {
    if (!is_loopback(o.host) && !options_.http.insecure_public)
      return fail(Code::Invalid, "workers on " + o.host +
                                     " would run and answer for anybody who reaches that address, since keys are not "
                                     "there yet; allow it with --insecure-public, or use 127.0.0.1");
    const std::string endpoint = "tcp://" + (o.host == "localhost" ? std::string("127.0.0.1") : o.host) + ":" +
                                 (o.port == 0 ? std::string("*") : std::to_string(o.port));
    auto listening = transport::ZmqDispatcherLink::listen(zmq_, o.mode, endpoint, options_.http.max_payload);
    if (!listening && listening.error().code == Code::Conflict)
      return fail(Code::Conflict, "port " + std::to_string(o.port) + " is taken by " +
                                      port_owner(static_cast<std::uint16_t>(o.port)) +
                                      ". Stop it, or take another one: -p " +
                                      std::to_string(next_free_port(static_cast<std::uint16_t>(o.port))));
    TRY(dispatcher_link_, std::move(listening));
    link = dispatcher_link_.get();
    wake_on(dispatcher_link_->socket().wake_fd());
  }
  dispatch_ =
      std::make_unique<runtime::DispatchLoop>(std::move(config), Rng(runtime::os_seed()), clock_, *store_, *link);
  loop_->add(*dispatch_);
  return {};
}

Result<void> Node::start_worker() {
  transport::WorkerLink* link = &inproc_.worker_end();
  if (!options_.has_dispatcher) {
    TRY(worker_link_, transport::ZmqWorkerLink::connect(zmq_, options_.dispatch.mode, options_.dispatcher_endpoint,
                                                        options_.http.max_payload));
    link = worker_link_.get();
    wake_on(worker_link_->socket().wake_fd());
    wake_on(worker_link_->socket().monitor_fd());
  }
  worker_ = std::make_unique<worker::WorkerLoop>(supervisor_config(), Rng(runtime::os_seed()), *pool_, *link);
  loop_->add(*worker_);
  return {};
}

core::SupervisorConfig Node::supervisor_config() {
  core::SupervisorConfig config;
  config.worker = worker_id_;
  config.boot = runtime::os_random() | 1;
  config.info.host = host_name();
  config.info.pid = static_cast<std::uint32_t>(getpid());
  config.info.slots = static_cast<std::uint32_t>(options_.executors.slots);
  for (const worker::InterpreterInfo& one : interpreters_)
    config.info.pythons.push_back({static_cast<std::uint8_t>(one.major), static_cast<std::uint8_t>(one.minor),
                                   static_cast<std::uint8_t>(one.micro)});
  const ExecutorOptions& o = options_.executors;
  config.async_slots = o.async_slots;
  config.executor_tasks = o.tasks_each;
  config.executor_age = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(o.age_s));
  config.executor_memory = o.memory_each >= 0 ? static_cast<std::uint64_t>(o.memory_each)
                                              : machine_memory() / 2 / static_cast<std::uint64_t>(o.slots);
  for (const std::string& queue : o.queues) config.info.queues.push_back(queue == "default" ? std::string() : queue);
  config.info.labels = labels_of(o.labels, config.info.pythons);
  config.info.in_process = options_.has_dispatcher;
  config.heartbeat_when_idle = !options_.has_dispatcher;
  config.asks = !options_.has_dispatcher && core::speaks_only_when_asked(options_.dispatch.mode);
  return config;
}

Result<void> Node::start_gateway() {
  gateway_ = std::make_unique<gateway::Gateway>(loop_->context(), *store_, gateway_config(),
                                                static_cast<gateway::StatusSource&>(*this), ids_, clock_);
  if (auto listening = gateway_->listen(); !listening) return explain_http_port(listening.error());
  host(std::make_unique<GatewayShell>(*gateway_));
  if (!options_.has_dispatcher) {
    auto fleet = std::make_unique<FleetWatch>(*store_);
    fleet_ = fleet.get();
    host(std::move(fleet));
  }
  return {};
}

gateway::GatewayConfig Node::gateway_config() const {
  const HttpOptions& o = options_.http;
  gateway::GatewayConfig config;
  config.address = o.host;
  config.port = o.port;
  config.insecure_public = o.insecure_public;
  config.allow_hosts = o.allow_hosts;
  config.allow_origins = o.allow_origins;
  config.created_status = o.created_status;
  config.max_payload = o.max_payload;
  return config;
}

Error Node::explain_http_port(const Error& error) const {
  if (error.code != Code::Conflict) return error;
  const std::uint16_t port = options_.http.port;
  const std::uint16_t free = next_free_port(port);
  std::string text = "port " + std::to_string(port) + " is taken by " + port_owner(port) + ".";
  if (free != 0) text += " Stop it, or take the next free one: --port " + std::to_string(free);
  return fail(Code::Conflict, text);
}

}  // namespace treadle::cli

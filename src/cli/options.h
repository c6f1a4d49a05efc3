// What a role is told: flags, then TREADLE_* variables, then the defaults that stand here. Each verb takes the groups
// that its role has.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "cli/commands.h"
#include "core/limits.h"
#include "core/policy.h"
#include "core/supervisor_executor.h"

namespace treadle::cli {

inline constexpr std::uint16_t kDispatcherPort = 7001;
inline constexpr const char* kDefaultRedis = "redis://127.0.0.1:6379/0";

struct HttpOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8000;
  std::uint64_t max_payload = 0;  // 0: core/limits.h
  bool insecure_public = false;
  std::vector<std::string> allow_hosts;
  std::vector<std::string> allow_origins;
  int created_status = 200;
};

struct StoreOptions {
  std::string store;  // "" = SQLite in data_dir; "memory:"; a Redis address
  std::string data_dir = "treadle-data";
  std::string durability = "strict";
  bool require_durable = false;
  unsigned partitions = 0;  // of Redis; 0: as it has it
  int redis_wait = 0;       // replicas that must have what is acknowledged
};

struct DispatchOptions {
  core::Mode mode = core::Mode::Local;
  std::string host = "127.0.0.1";
  int port = -1;         // of zmq; -1: not given; 0: any free one
  double timeout_s = 0;  // 0: none
  std::string name;      // "": host and pid
};

struct ExecutorOptions {
  int slots = 0;                                   // 0: one per usable CPU
  std::vector<std::string> pythons = {"python3"};  // the first one runs what tells no version
  std::vector<std::string> paths;
  std::vector<std::string> preload;
  std::string cwd;                  // "": this process's
  std::string secrets_dir;          // "": none
  std::vector<std::string> queues;  // whose tasks it takes; none: "default"
  std::vector<std::string> labels;
  std::size_t async_slots = core::kAsyncSlots;  // tasks of a coroutine function side by side in one executor
  std::string env_cache;                        // of environments of requirements; "": in the user's cache
  std::uint64_t env_cache_size = core::limits::kEnvironmentCache;
  std::string wheelhouse;  // "": packages come from the index that pip or uv is configured for
  // When an executor is replaced; 0: never for it.
  std::uint64_t tasks_each = core::limits::kExecutorTasks;
  double age_s = std::chrono::duration<double>(core::limits::kExecutorAge).count();
  std::int64_t memory_each = -1;  // bytes; -1: an equal share of half of the machine's
};

// The parts that run in this process, and what they are told.
struct Options {
  std::string verb;  // for messages: "serve", "gateway" ...
  bool has_gateway = false, has_dispatcher = false, has_executors = false;
  HttpOptions http;
  StoreOptions store;
  DispatchOptions dispatch;  // a worker's mode too
  ExecutorOptions executors;
  std::string dispatcher_endpoint;  // of a worker: tcp://host:port
  std::string log_level = "info";
};

// Options, or the exit code when there is nothing more to do (--help: 0, a wrong flag: 2; what is wrong has been
// printed).
using Parsed = std::variant<Options, int>;
Parsed parse_serve(const Arguments& arguments);
Parsed parse_gateway(const Arguments& arguments);
Parsed parse_dispatcher(const Arguments& arguments);
Parsed parse_worker(const Arguments& arguments);

}  // namespace treadle::cli

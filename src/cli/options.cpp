#include "cli/options.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <optional>

#include "core/limits.h"

namespace treadle::cli {
namespace {

constexpr const char* kServeExamples = R"(
Examples:
  treadle serve                            one slot per CPU, data in ./treadle-data
  treadle serve -w 4 -t 60                 four slots, a minute for each task
  treadle serve -m push -p 7001            tasks go to workers: treadle worker push 4 tcp://127.0.0.1:7001
  treadle serve --python venv/bin/python   functions run in that environment
  treadle serve --path src                 functions pickled by reference are found in src
)";
constexpr const char* kGatewayExamples = R"(
Examples:
  treadle gateway                                   on the Redis of this machine
  treadle gateway --store redis://10.0.0.5:6379/0   on another one
  treadle gateway --store redis+sentinel://10.0.0.5:26379,10.0.0.6:26379/mymaster/0
  treadle gateway --store redis+cluster://10.0.0.5:6379,10.0.0.6:6379
)";
constexpr const char* kDispatcherExamples = R"(
Examples:
  treadle dispatcher -m local -w 4          runs the tasks itself, four at once
  treadle dispatcher -m push -p 7001        for: treadle worker push 4 tcp://127.0.0.1:7001
  treadle dispatcher -m pull -p 7001 -t 12  for: treadle worker pull 4 tcp://127.0.0.1:7001
)";
constexpr const char* kWorkerExamples = R"(
Examples:
  treadle worker push 4 tcp://127.0.0.1:7001
  treadle worker pull 4 tcp://127.0.0.1:7001 --python venv/bin/python
  treadle worker push -H 10.0.0.5 -p 7001 -w 16
)";

constexpr double kMaxAgeS = 10.0 * 365 * 24 * 3600;

// A verb's options while they are parsed: words that are checked afterwards stand beside them.
struct Form {
  Form(const char* verb, const char* about, const char* examples) : app(about, std::string("treadle ") + verb) {
    options.verb = verb;
    app.footer(examples);
    app.add_option("--max-payload", options.http.max_payload,
                   "largest payload in bytes, before base64 (default: 128 MiB); the same for all parts")
        ->envname("TREADLE_MAX_PAYLOAD");
    app.add_option("--log-level", options.log_level, "debug, info, warning or error")
        ->envname("TREADLE_LOG_LEVEL")
        ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
        ->capture_default_str();
  }
  CLI::App app;
  Options options;
  std::string mode = "local";
  std::string worker_host;                // -H
  std::vector<std::string> worker_words;  // push|pull, slots, tcp://...
};

int complain(const Form& form, const std::string& text) {
  std::fprintf(stderr, "treadle %s: %s\n", form.options.verb.c_str(), text.c_str());
  return kExitUsage;
}

void add_http(Form& form) {
  HttpOptions& o = form.options.http;
  form.options.has_gateway = true;
  form.app.add_option("--host", o.host, "address to listen on")->envname("TREADLE_HOST")->capture_default_str();
  form.app.add_option("--port", o.port, "port of the HTTP API; 0 = any free one")
      ->envname("TREADLE_PORT")
      ->capture_default_str();
  form.app.add_option("--allow-host", o.allow_hosts, "further name in the Host header (repeatable)");
  form.app.add_option("--allow-origin", o.allow_origins, "web origin whose pages may call the API (repeatable)");
  form.app.add_option("--created-status", o.created_status, "answer of create calls: 200 or 201")
      ->check(CLI::IsMember({200, 201}))
      ->capture_default_str();
}

void add_insecure_public(Form& form) {
  form.app
      .add_flag("--insecure-public", form.options.http.insecure_public,
                "allow an address that others can reach; anyone who can, runs code here")
      ->envname("TREADLE_INSECURE_PUBLIC");
}

void add_store(Form& form, bool embedded) {
  StoreOptions& o = form.options.store;
  if (!embedded) o.store = kDefaultRedis;
  form.app
      .add_option("--store", o.store,
                  embedded ? "redis://host:6379/0, or memory: to keep nothing (default: SQLite in the data directory)"
                           : "redis://host:6379/0 (several with commas between), rediss://... (TLS), unix:///path, "
                             "redis+sentinel://host:26379/master-name/0 or redis+cluster://host:6379")
      ->envname("TREADLE_STORE")
      ->capture_default_str();
  form.app.add_flag("--require-durable", o.require_durable, "refuse a store that loses tasks when it is killed");
  form.app
      .add_option("--partitions", o.partitions,
                  "parts in which a Redis store is kept, a power of two up to 256; fixed at its first use (default: as "
                  "it is; at first 1, or 16 on several servers)")
      ->envname("TREADLE_PARTITIONS")
      ->check(CLI::Range(1, 256));
  form.app
      .add_option("--redis-wait", o.redis_wait,
                  "replicas of Redis that must have what is acknowledged, within 100 ms; fewer are answered with 503 "
                  "(default: 0, none is waited for)")
      ->envname("TREADLE_REDIS_WAIT")
      ->check(CLI::Range(0, 16));
  if (!embedded) return;
  form.app.add_option("--data-dir", o.data_dir, "where tasks and results are kept")
      ->envname("TREADLE_DATA_DIR")
      ->capture_default_str();
  form.app
      .add_option("--durability", o.durability, "what HTTP 200 survives: strict (power loss), fast (kill -9), none")
      ->envname("TREADLE_DURABILITY")
      ->check(CLI::IsMember({"strict", "fast", "none"}))
      ->capture_default_str();
}

void add_dispatcher(Form& form, const char* port_flags, const char* host_flag) {
  DispatchOptions& o = form.options.dispatch;
  form.options.has_dispatcher = true;
  form.app.add_option("-m,--mode", form.mode, "local: runs tasks itself; push, pull: workers connect to its port")
      ->envname("TREADLE_MODE")
      ->capture_default_str();
  form.app.add_option(port_flags, o.port, "port for workers, in the modes push and pull; 0 = any free one")
      ->envname("TREADLE_DISPATCHER_PORT")
      ->check(CLI::Range(0, 65535));
  form.app.add_option(host_flag, o.host, "address on which workers are awaited")->capture_default_str();
  form.app.add_option("-t,--timeout", o.timeout_s, "time limit of every task, in seconds (default: none)")
      ->envname("TREADLE_TIMEOUT")
      ->check(CLI::PositiveNumber);
}

void add_executors(Form& form) {
  ExecutorOptions& o = form.options.executors;
  form.app
      .add_option("-w,--workers,--worker,--num_workers,--num_worker_processors", o.slots,
                  "slots: how many tasks run at once (default: one per usable CPU)")
      ->envname("TREADLE_WORKERS")
      ->check(CLI::Range(1, 4096));
  form.app
      .add_option("--python", o.pythons,
                  "interpreter that runs the functions (repeatable: each function goes to one of its Python version)")
      ->envname("TREADLE_PYTHON")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->capture_default_str();
  form.app.add_option("--path", o.paths, "directory in which functions find their modules (repeatable)");
  form.app.add_option("--preload", o.preload, "modules imported once, before any task: numpy,pandas")
      ->delimiter(',')
      ->envname("TREADLE_PRELOAD");
  form.app.add_option("--cwd", o.cwd, "folder in which functions run (default: the one in which this is started)")
      ->envname("TREADLE_CWD")
      ->check(CLI::ExistingDirectory);
  form.app
      .add_option("--secrets-dir", o.secrets_dir,
                  "folder with one file for each secret; functions name those that they need, and find them in their "
                  "environment")
      ->envname("TREADLE_SECRETS_DIR")
      ->check(CLI::ExistingDirectory);
  form.app
      .add_option("--env-cache", o.env_cache,
                  "folder for environments that are built for functions with requirements (default: "
                  "~/.cache/treadle/environments)")
      ->envname("TREADLE_ENV_CACHE");
  form.app
      .add_option("--env-cache-size", o.env_cache_size,
                  "bytes that they may have together; the least recently used go (default: 10 GiB)")
      ->envname("TREADLE_ENV_CACHE_SIZE");
  form.app
      .add_option("--wheelhouse", o.wheelhouse,
                  "folder of wheels from which requirements are installed; no index is asked")
      ->envname("TREADLE_WHEELHOUSE")
      ->check(CLI::ExistingDirectory);
  form.app
      .add_option("--queue", o.queues,
                  "queue whose tasks are taken (repeatable; default: the queue that is called default)")
      ->envname("TREADLE_QUEUE")
      ->delimiter(',');
  form.app
      .add_option("--label", o.labels,
                  "word that tasks may ask for with the option labels (repeatable); one like python=3.11 is there for "
                  "each interpreter")
      ->envname("TREADLE_LABEL")
      ->delimiter(',');
  form.app
      .add_option("--async-slots", o.async_slots,
                  "tasks of one async function that run side by side in one Python process, which takes one slot")
      ->check(CLI::Range(std::size_t{1}, core::kAsyncSlotsMax))
      ->capture_default_str();
  form.app.add_option("--executor-tasks", o.tasks_each, "tasks after which a Python process is replaced; 0: never")
      ->capture_default_str();
  form.app
      .add_option("--executor-age", o.age_s, "seconds of life after which it is replaced, between two tasks; 0: never")
      ->check(CLI::Range(0.0, kMaxAgeS))
      ->capture_default_str();
  form.app
      .add_option(
          "--executor-memory", o.memory_each,
          "bytes that its tasks may leave in it, then it is replaced; 0: never for that (default: an equal share "
          "of half of the machine's memory)")
      ->check(CLI::NonNegativeNumber);
}

constexpr std::string_view kNameLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

bool is_dispatcher_name(const std::string& name) {
  return name.size() <= 64 && name.find_first_not_of(kNameLetters) == std::string::npos;
}

// Of a worker: as the options of tasks may be that are to match.
std::optional<int> check_words(const Form& form) {
  const ExecutorOptions& o = form.options.executors;
  for (const std::string& queue : o.queues) {
    if (queue.empty() || queue.size() > core::limits::kMaxQueueName ||
        queue.find_first_not_of(kNameLetters) != std::string::npos)
      return complain(form, "--queue takes up to 64 letters, digits, '.', '_' and '-', not '" + queue + "'.");
  }
  const std::string letters = std::string(kNameLetters) + "=:/@+";
  for (const std::string& label : o.labels) {
    if (label.empty() || label.size() > core::limits::kMaxLabel ||
        label.find_first_not_of(letters) != std::string::npos)
      return complain(form, "--label takes up to 64 letters, digits and signs of ._-=:/@+, not '" + label + "'.");
  }
  if (o.labels.size() > core::limits::kMaxLabels)
    return complain(form, "--label may be given " + std::to_string(core::limits::kMaxLabels) + " times at most.");
  return std::nullopt;
}

std::optional<int> parse(Form& form, const Arguments& arguments) {
  try {
    form.app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them from the back
  } catch (const CLI::CallForHelp&) {
    std::printf("%s", form.app.help().c_str());
    return 0;
  } catch (const CLI::ParseError& error) {
    return complain(form, std::string(error.what()) + ". See treadle " + form.options.verb + " --help.");
  }
  if (form.options.http.max_payload == 0) form.options.http.max_payload = core::limits::kMaxPayload;
  const auto mode = core::parse_mode(form.mode);
  if (!mode) return complain(form, "there is no mode '" + form.mode + "'; -m takes local, push or pull.");
  form.options.dispatch.mode = *mode;
  // In push and pull the workers have the slots; -w is taken all the same, as the seed's programs take it.
  form.options.has_executors = form.options.has_dispatcher && *mode == core::Mode::Local;
  return check_words(form);
}

bool is_redis(const std::string& store) {
  for (const char* scheme :
       {"redis://", "rediss://", "unix://", "redis+sentinel://", "redis+cluster://", "rediss+cluster://"}) {
    if (store.starts_with(scheme)) return true;
  }
  return false;
}

// A worker's words: push or pull, slots, tcp://host:port, in any order.
std::optional<int> read_worker_words(Form& form) {
  Options& o = form.options;
  bool has_mode = false;
  for (const std::string& word : form.worker_words) {
    int number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (word == "push" || word == "pull") {
      o.dispatch.mode = *core::parse_mode(word);
      has_mode = true;
    } else if (word.find("://") != std::string::npos) {
      o.dispatcher_endpoint = word;
    } else if (error == std::errc{} && end == word.data() + word.size() && number >= 1 && number <= 4096) {
      o.executors.slots = number;
    } else {
      return complain(form, "'" + word + "' is neither push, pull, a number of slots (1 to 4096) nor tcp://host:port.");
    }
  }
  if (!has_mode)
    return complain(form, "say push or pull, as the dispatcher's -m: treadle worker push 4 tcp://host:7001");
  return std::nullopt;
}

std::optional<int> settle_endpoint(Form& form) {
  Options& o = form.options;
  if (o.dispatcher_endpoint.empty()) {
    if (o.dispatch.port < 1)
      return complain(form, "say where the dispatcher is: treadle worker push 4 tcp://host:7001, or -H host -p 7001");
    o.dispatcher_endpoint = "tcp://" + (form.worker_host.empty() ? std::string("127.0.0.1") : form.worker_host) + ":" +
                            std::to_string(o.dispatch.port);
  }
  const std::size_t colon = o.dispatcher_endpoint.rfind(':');
  const std::string port = o.dispatcher_endpoint.substr(colon + 1);
  const bool digits = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos;
  if (!o.dispatcher_endpoint.starts_with("tcp://") || colon < 7 || !digits || std::stoi(port) < 1 ||
      std::stoi(port) > 65535)
    return complain(form, "'" + o.dispatcher_endpoint + "' is not tcp://host:port, e.g. tcp://127.0.0.1:7001");
  return std::nullopt;
}

}  // namespace

Parsed parse_serve(const Arguments& arguments) {
  Form form("serve", "Gateway, store, dispatcher and workers in one process.", kServeExamples);
  add_http(form);
  add_insecure_public(form);
  add_dispatcher(form, "-p,--dispatcher-port", "--dispatcher-host");
  add_store(form, true);
  add_executors(form);
  if (const auto code = parse(form, arguments)) return *code;
  Options& o = form.options;
  if (o.dispatch.port < 0) o.dispatch.port = kDispatcherPort;
  if (!o.store.store.empty() && o.store.store != "memory:" && !is_redis(o.store.store))
    return complain(form,
                    "--store takes redis://host:6379/0, rediss://..., unix:///path or memory:, or leave it out for "
                    "SQLite in --data-dir; '" +
                        o.store.store + "' is none of them.");
  return o;
}

Parsed parse_gateway(const Arguments& arguments) {
  Form form("gateway", "The HTTP API alone, on Redis.", kGatewayExamples);
  add_http(form);
  add_insecure_public(form);
  add_store(form, false);
  if (const auto code = parse(form, arguments)) return *code;
  if (!is_redis(form.options.store.store))
    return complain(form, "a gateway alone shares its store with dispatchers, so it needs Redis; '" +
                              form.options.store.store + "' is none. Everything in one process: treadle serve");
  return form.options;
}

Parsed parse_dispatcher(const Arguments& arguments) {
  Form form("dispatcher", "The dispatcher alone, on Redis.", kDispatcherExamples);
  add_dispatcher(form, "-p,--port", "--host");
  form.app
      .add_option("--name", form.options.dispatch.name,
                  "name of this dispatcher: started again on this machine, it takes over at once from one of its name "
                  "that was killed")
      ->envname("TREADLE_NAME");
  add_insecure_public(form);
  add_store(form, false);
  add_executors(form);
  if (const auto code = parse(form, arguments)) return *code;
  const Options& o = form.options;
  if (o.dispatch.mode != core::Mode::Local && o.dispatch.port < 0)
    return complain(form, "mode " + form.mode + " needs the port for its workers: -p 7001");
  if (!is_dispatcher_name(o.dispatch.name))
    return complain(form, "--name takes up to 64 letters, digits, '.', '_' and '-'.");
  if (!is_redis(o.store.store))
    return complain(form, "a dispatcher alone shares its store with a gateway, so it needs Redis; '" + o.store.store +
                              "' is none. Everything in one process: treadle serve -m " + form.mode);
  return o;
}

Parsed parse_worker(const Arguments& arguments) {
  Form form("worker", "Runs tasks of a dispatcher: push or pull, as that one's mode.", kWorkerExamples);
  form.app
      .add_option("push|pull SLOTS tcp://host:port", form.worker_words,
                  "as the dispatcher's -m; tasks at once; its address")
      ->expected(0, 3);
  form.app.add_option("-H,--host", form.worker_host, "host of the dispatcher");
  form.app.add_option("-p,--port", form.options.dispatch.port, "port of the dispatcher")->check(CLI::Range(1, 65535));
  add_executors(form);
  if (const auto code = parse(form, arguments)) return *code;
  if (const auto code = read_worker_words(form)) return *code;
  if (const auto code = settle_endpoint(form)) return *code;
  form.options.has_executors = true;
  return form.options;
}

}  // namespace treadle::cli

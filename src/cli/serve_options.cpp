#include "cli/serve_options.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "core/limits.h"

namespace treadle::cli {
namespace {

constexpr const char* kExamples = R"(
Examples:
  treadle serve                            one slot per CPU, data in ./treadle-data
  treadle serve -w 4 -t 60                 four slots, a minute for each task
  treadle serve --python venv/bin/python   functions run in that environment
  treadle serve --path src                 functions pickled by reference are found in src
)";

struct Words {  // options whose text is checked after parsing
  std::string mode = "local";
};

void add_options(CLI::App& app, ServeOptions& o, Words& words) {
  app.add_option("--host", o.host, "address to listen on")->envname("TREADLE_HOST")->capture_default_str();
  app.add_option("--port", o.port, "port of the HTTP API; 0 = any free one")
      ->envname("TREADLE_PORT")
      ->capture_default_str();
  app.add_option("-m,--mode", words.mode, "local (push and pull are not there yet)")
      ->envname("TREADLE_MODE")
      ->capture_default_str();
  app.add_option("-w,--workers,--worker,--num_workers,--num_worker_processors", o.slots,
                 "slots: how many tasks run at once (default: one per usable CPU)")
      ->envname("TREADLE_WORKERS")
      ->check(CLI::Range(1, 4096));
  app.add_option("-t,--timeout", o.timeout_s, "time limit of every task, in seconds (default: none)")
      ->envname("TREADLE_TIMEOUT")
      ->check(CLI::PositiveNumber);
  app.add_option("--store", o.store, "memory: keeps nothing on disk (default: SQLite in the data directory)")
      ->envname("TREADLE_STORE");
  app.add_option("--data-dir", o.data_dir, "where tasks and results are kept")
      ->envname("TREADLE_DATA_DIR")
      ->capture_default_str();
  app.add_option("--durability", o.durability, "what HTTP 200 survives: strict (power loss), fast (kill -9), none")
      ->envname("TREADLE_DURABILITY")
      ->check(CLI::IsMember({"strict", "fast", "none"}))
      ->capture_default_str();
  app.add_option("--python", o.python, "interpreter that runs the functions")
      ->envname("TREADLE_PYTHON")
      ->capture_default_str();
  app.add_option("--path", o.paths, "directory in which functions find their modules (repeatable)");
  app.add_option("--preload", o.preload, "modules imported once, before any task: numpy,pandas")
      ->delimiter(',')
      ->envname("TREADLE_PRELOAD");
  app.add_option("--max-payload", o.max_payload, "largest payload in bytes, before base64 (default: 128 MiB)")
      ->envname("TREADLE_MAX_PAYLOAD");
  app.add_flag("--insecure-public", o.insecure_public,
               "allow an address that others can reach; anyone who can, runs code here")
      ->envname("TREADLE_INSECURE_PUBLIC");
  app.add_option("--allow-host", o.allow_hosts, "further name in the Host header (repeatable)");
  app.add_option("--allow-origin", o.allow_origins, "web origin whose pages may call the API (repeatable)");
  app.add_option("--created-status", o.created_status, "answer of create calls: 200 or 201")
      ->check(CLI::IsMember({200, 201}))
      ->capture_default_str();
  app.add_option("--log-level", o.log_level, "debug, info, warning or error")
      ->envname("TREADLE_LOG_LEVEL")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  app.footer(kExamples);
}

int complain(const std::string& text) {
  std::fprintf(stderr, "treadle serve: %s\n", text.c_str());
  return kExitUsage;
}

}  // namespace

std::variant<ServeOptions, int> parse_serve_options(const Arguments& arguments) {
  ServeOptions options;
  Words words;
  CLI::App app("Gateway, store, dispatcher and workers in one process.", "treadle serve");
  add_options(app, options, words);
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them from the back
  } catch (const CLI::CallForHelp&) {
    std::printf("%s", app.help().c_str());
    return 0;
  } catch (const CLI::ParseError& error) {
    return complain(std::string(error.what()) + ". See treadle serve --help.");
  }
  const auto mode = core::parse_mode(words.mode);
  if (!mode) return complain("there is no mode '" + words.mode + "'; -m takes local, push or pull.");
  if (*mode != core::Mode::Local)
    return complain("mode " + words.mode + " is not there yet; -m local runs tasks in this process.");
  options.mode = *mode;
  if (options.max_payload == 0) options.max_payload = core::limits::kMaxPayload;
  if (!options.store.empty() && options.store != "memory:") {
    return complain("--store takes memory:, or leave it out for SQLite in --data-dir; '" + options.store +
                    "' is neither.");
  }
  return options;
}

}  // namespace treadle::cli

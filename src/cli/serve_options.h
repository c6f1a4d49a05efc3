// What `treadle serve` is told: flags, then TREADLE_* variables, then the defaults that stand here.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "cli/commands.h"
#include "core/policy.h"

namespace treadle::cli {

struct ServeOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8000;
  core::Mode mode = core::Mode::Local;
  int slots = 0;         // 0: one per usable CPU
  double timeout_s = 0;  // 0: none
  std::string store;     // "" = SQLite in data_dir; "memory:" keeps nothing
  std::string data_dir = "treadle-data";
  std::string durability = "strict";
  std::string python = "python3";
  std::vector<std::string> paths;
  std::vector<std::string> preload;
  std::uint64_t max_payload = 0;  // 0: core/limits.h
  bool insecure_public = false;
  std::vector<std::string> allow_hosts;
  std::vector<std::string> allow_origins;
  int created_status = 200;
  std::string log_level = "info";
};

// Options, or the exit code when there is nothing more to do (--help: 0, a wrong flag: 2; what is wrong has been
// printed).
std::variant<ServeOptions, int> parse_serve_options(const Arguments& arguments);

}  // namespace treadle::cli

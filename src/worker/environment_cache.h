// Where environments of requirements lie, and what a builder is told. The building itself is Python's
// (python/treadle/executor/environment.py): this knows names and whether one is there.
//
//   CACHE/NAME/        a virtual environment
//   CACHE/NAME.json    it is complete: its requirements, its size
//   CACHE/NAME.log     what was said while it was built
//   CACHE/NAME.lock    held shared by who uses it, exclusively by who builds or evicts it
#pragma once

#include <cstdint>
#include <string>

#include "core/limits.h"
#include "worker/interpreter.h"

namespace treadle::worker {

struct EnvironmentOptions {
  std::string cache;       // folder; "" = default_environment_cache()
  std::string wheelhouse;  // folder that alone is looked in for packages; "" = the index of pip's or uv's configuration
  std::uint64_t most_bytes = core::limits::kEnvironmentCache;
};

std::string default_environment_cache();

class EnvironmentCache {
 public:
  explicit EnvironmentCache(EnvironmentOptions options);

  // `requirements` is a JSON list. The name is a hash of all that makes one environment differ from another.
  std::string name_of(const ZygoteOptions& interpreter, const std::string& requirements) const;
  // False also in a folder that others can write to: they would choose what runs. The builder says so.
  bool is_there(const std::string& name) const;
  std::string python_of(const std::string& name) const { return folder_of(name) + "/bin/python"; }
  std::string lock_of(const std::string& name) const { return folder_of(name) + ".lock"; }
  std::string log_of(const std::string& name) const { return folder_of(name) + ".log"; }
  // The member "build" of a builder's settings, as JSON.
  std::string job(const std::string& name, const std::string& requirements) const;

 private:
  std::string folder_of(const std::string& name) const { return options_.cache + "/" + name; }
  EnvironmentOptions options_;
};

}  // namespace treadle::worker

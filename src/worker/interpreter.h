// What the Python that the user chose is, and how a zygote of it is started.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace treadle::worker {

struct InterpreterInfo {
  std::string path;  // sys.executable
  int major = 0;
  int minor = 0;
  int micro = 0;
  std::string dill;         // version
  std::string cloudpickle;  // version; empty: not installed, which is allowed
  std::string version() const;
};

// Runs the interpreter once (a name on PATH or a path) and asks it. Blocks, up to `limit`. An Error is one sentence
// that says what is missing, the command that installs it there, and the other way out.
Result<InterpreterInfo> ask_interpreter(const std::string& python, Duration limit = 20s);

// What a zygote is started with.
struct ZygoteOptions {
  std::string python;
  std::vector<std::string> preload;
  std::vector<std::string> paths;  // where preload modules are looked for; the pool sets it
  int threads_per_executor = 1;    // for OMP_NUM_THREADS and its like, unless the user set them
  std::string version;             // of the interpreter; a part of the names of its environments
  std::string lock;                // of its environment, held while it lives; "" = the worker's own
};

using Environment = std::map<std::string, std::string>;
// Ours, without our own variables: some hold credentials, and none is the functions' business.
Environment current_environment();

// The description that the guard is sent (START_ZYGOTE). PYTHONPATH is taken out of the environment and put into the
// zygote's CONFIG, since it must not shadow the standard library while dill is imported.
std::string zygote_spec(const ZygoteOptions& options, Environment environment, const std::string& cwd);

}  // namespace treadle::worker

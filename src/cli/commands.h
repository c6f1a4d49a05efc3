// The one dispatch table of the binary: each verb of the command line, in the order of `treadle --help`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace treadle::cli {

using Arguments = std::vector<std::string>;  // without the verb

inline constexpr int kExitUsage = 2;  // start-up faults and wrong flags

struct Command {
  std::string_view name;
  std::string_view summary;
  int (*run)(const Arguments& arguments);
};

const std::vector<Command>& commands();

int serve(const Arguments& arguments);
int gateway(const Arguments& arguments);
int dispatcher(const Arguments& arguments);
int worker(const Arguments& arguments);
int why(const Arguments& arguments);
int version(const Arguments& arguments);

}  // namespace treadle::cli

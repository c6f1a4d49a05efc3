#include "cli/commands.h"

#include <cstdio>

#include "cli/version.h"

namespace treadle::cli {

const std::vector<Command>& commands() {
  static const std::vector<Command> table = {
      {"serve", "gateway, store, dispatcher and workers in one process", serve},
      {"gateway", "the HTTP API alone, on Redis", gateway},
      {"dispatcher", "the dispatcher alone: -m local|push|pull, on Redis", dispatcher},
      {"worker", "a worker: push|pull SLOTS tcp://host:port", worker},
      {"why", "the story of one task, in words", why},
      {"version", "the version of this binary", version},
  };
  return table;
}

int version(const Arguments&) {
  std::printf("treadle %s\n", kVersion);
  return 0;
}

}  // namespace treadle::cli

// Starts a zygote: the guard's only exec.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/result.h"
#include "worker/fds.h"

namespace treadle::worker {

struct LaunchedZygote {
  pid_t pid = -1;
  UniqueFd socket;  // SOCK_SEQPACKET, ours does not block
  UniqueFd errors;  // read end of its stderr, does not block
};

// `spec` is JSON {"argv": [...], "env": {...}, "cwd": "..."}; `source` is the memfd with the executor's source. The
// process gets its socket as fd 3 and the source as fd 4, no signal blocked or ignored, and dies with us. That the
// program cannot be executed is told by its exit code 127 and a line on its stderr. It runs with the nice value
// `niceness`, whatever ours is.
Result<LaunchedZygote> launch_zygote(std::string_view spec, int source, int niceness);

}  // namespace treadle::worker

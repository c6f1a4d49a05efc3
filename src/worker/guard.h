// The program `treadle --guard`: parent of all that runs user code. It starts zygotes, learns of executors, waits for
// them, and kills whole trees; when the supervisor's end of its socket closes, it kills everything below it and leaves.
#pragma once

namespace treadle::worker {

inline constexpr int kGuardSocket = 3;

// The whole life of the process; the socket to the supervisor is fd 3. Must be called before any thread is started.
// Returns the exit code: 0 after the supervisor went away and nothing is left below, 2 if it was not started as a
// guard.
int run_guard();

}  // namespace treadle::worker

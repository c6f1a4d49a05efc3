// What a process has taken: memory of its own, and CPU time.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace treadle::worker {

// RssAnon + RssShmem in bytes: what a process has written, including pages that it shares with its zygote since the
// fork. So the growth of this figure counts, not the figure. 0 if the process is gone.
std::uint64_t own_memory(pid_t pid);

// User and system time in microseconds, with that of children which it has waited for; counted in ticks of 10 ms. 0 if
// the process is gone.
std::uint64_t cpu_time_us(pid_t pid);

}  // namespace treadle::worker

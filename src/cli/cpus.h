// How many CPUs and how much memory this process may really use: what the machine has, less what its affinity and its
// cgroup take away.
#pragma once

#include <cstdint>

namespace treadle::cli {

int usable_cpus();               // at least 1
std::uint64_t machine_memory();  // bytes

}  // namespace treadle::cli

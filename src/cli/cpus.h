// How many CPUs this process may really use: its affinity, less what a cgroup quota takes away.
#pragma once

namespace treadle::cli {

int usable_cpus();  // at least 1

}  // namespace treadle::cli

// Many seeds on all cores: processes, so that a failed assertion ends one seed and not the run.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "cluster.h"

namespace treadle::sim {

struct Totals {
  std::map<std::string, std::uint64_t> tally;  // summed over all seeds
  Duration longest_after_faults{0};
  double cpu_seconds = 0;
  std::uint64_t passed = 0, failed = 0;

  void add(const Verdict& v);
  // Prints all, and counts what never happened over all seeds: then the run would prove nothing about it.
  std::uint64_t missing() const;
};

// One seed in this process; a failure is printed with the way to see it again.
bool run_seed(std::uint64_t seed, const Scenario& scenario, bool print, Totals& totals);
// Seeds from .. from + seeds - 1 in `jobs` processes.
void run_batch(std::uint64_t from, std::uint64_t seeds, unsigned jobs, Totals& totals);

}  // namespace treadle::sim

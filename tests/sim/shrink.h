// Makes the scenario of a failing seed smaller as long as the same checker still complains.
#pragma once

#include <string>

#include "cluster.h"

namespace treadle::sim {

// The checker that a violation names; "" = none.
std::string checker_of(const Verdict& verdict);

struct Shrunk {
  Scenario scenario;
  std::string wishes;  // for --with: what was changed
  std::string says;    // the violation that is left
  int runs = 0;
};
Shrunk shrink(std::uint64_t seed, Scenario scenario);

}  // namespace treadle::sim

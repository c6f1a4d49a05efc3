// regressions.tsv: seeds that once found a fault, by name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "scenario.h"

namespace treadle::sim {

struct Regression {
  std::string name;
  std::uint64_t seed = 0;
  Scenario scenario;
  std::string plant;  // that brings the fault back; "" = there is none
  std::string found;
};

// Ends the program with a sentence if the table is not as it should be.
std::vector<Regression> read_regressions();

}  // namespace treadle::sim

#include "regressions.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace treadle::sim {
namespace {

[[noreturn]] void stop(int line, const char* what) {
  std::fprintf(stderr, "%s:%d: %s\n", TREADLE_SIM_REGRESSIONS, line, what);
  std::exit(2);
}

}  // namespace

std::vector<Regression> read_regressions() {
  std::ifstream file(TREADLE_SIM_REGRESSIONS);
  if (!file) stop(0, "the table of regression seeds cannot be read");
  std::vector<Regression> rows;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.empty() || line[0] == '#') continue;
    std::vector<std::string> cells;
    std::istringstream in(line);
    for (std::string cell; std::getline(in, cell, '\t');) cells.push_back(cell);
    if (cells.size() != 5) stop(number, "a row has 5 cells with tabs between them: name, seed, with, plant, found");
    Regression row{cells[0], std::strtoull(cells[1].c_str(), nullptr, 10), {}, cells[3], cells[4]};
    if (row.seed == 0) stop(number, "the second cell is a seed, a number from 1");
    row.scenario = Scenario::of(row.seed);
    if (cells[2] != "-" && !row.scenario.change(cells[2])) stop(number, "the third cell is - or name=number,...");
    if (row.plant == "-") row.plant.clear();
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace treadle::sim

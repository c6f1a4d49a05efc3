// treadle_sim [--seeds N] [--from F] [--jobs J] | --seed S [--with tasks=9,stalls=0] | --shrink S | --regressions |
// --planted [...]
//
// Whole clusters from seeds. Prints a line per failing seed and how to see it again; the last line counts seeds as
// tests. The named seeds of regressions.tsv are run first. A run in which a kind of fault never struck fails: it would
// prove nothing. --seed prints one line per transition; --shrink looks for less that still fails; --planted hands over
// to treadle_sim_planted beside this program.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "batch.h"
#include "regressions.h"
#include "shrink.h"

using namespace treadle::sim;

namespace {

constexpr std::uint64_t kSeedsThatMustStrike = 200;

int report(std::uint64_t passed, std::uint64_t failed) {
  std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(passed),
              static_cast<unsigned long long>(failed));
  return failed == 0 ? 0 : 1;
}

int run_one(std::uint64_t seed, const char* wishes) {
  Scenario scenario = Scenario::of(seed);
  if (wishes && !scenario.change(wishes)) {
    std::fprintf(stderr,
                 "treadle_sim: --with takes name=number,...; the names are those of the first line of --seed\n");
    return 2;
  }
  Totals totals;
  run_seed(seed, scenario, true, totals);
  return report(totals.passed, totals.failed);
}

int run_shrink(std::uint64_t seed) {
  const Shrunk shrunk = shrink(seed, Scenario::of(seed));
  if (shrunk.says.empty())
    return std::printf("seed %llu keeps all promises\n", static_cast<unsigned long long>(seed)), 0;
  std::printf("%s\n  after %d runs: %s\n  again: ./dev sim --seed %llu --with %s\n", shrunk.scenario.describe().c_str(),
              shrunk.runs, shrunk.says.c_str(), static_cast<unsigned long long>(seed), shrunk.wishes.c_str());
  return 1;
}

std::uint64_t run_regressions(Totals& totals) {
  std::uint64_t failed = 0;
  for (const Regression& row : read_regressions()) {
    if (run_seed(row.seed, row.scenario, false, totals)) continue;
    ++failed;
    std::printf("  it is the regression %s: %s\n", row.name.c_str(), row.found.c_str());
  }
  return failed;
}

int run_many(std::uint64_t from, std::uint64_t seeds, unsigned jobs) {
  Totals totals;
  const auto begun = std::chrono::steady_clock::now();
  run_regressions(totals);
  run_batch(from, seeds, jobs, totals);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  const std::uint64_t missing = seeds < kSeedsThatMustStrike ? 0 : totals.missing();
  const auto transitions = static_cast<double>(totals.tally["transitions"]);
  std::printf("%llu seeds in %.1f s with %u processes; longest end after the faults %.1f s\n",
              static_cast<unsigned long long>(seeds), seconds, jobs,
              std::chrono::duration<double>(totals.longest_after_faults).count());
  std::printf("%.0f transitions in %.1f s of processor time: %.0f a second on one core\n", transitions,
              totals.cpu_seconds, transitions / std::max(totals.cpu_seconds, 1e-3));
  return report(totals.passed, totals.failed + missing);
}

int hand_over(char** argv) {
  const std::string program = std::string(argv[0]) + "_planted";
  argv[1] = argv[0];
  execv(program.c_str(), argv + 1);
  std::fprintf(stderr, "treadle_sim: cannot run %s; build it first: ninja treadle_sim_planted\n", program.c_str());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "--planted") == 0) return hand_over(argv);
  if (argc == 2 && std::strcmp(argv[1], "--regressions") == 0) {
    Totals totals;
    run_regressions(totals);
    return report(totals.passed, totals.failed);
  }
  std::uint64_t seeds = 200, from = 1, one = 0, shrunk = 0;
  const char* wishes = nullptr;
  unsigned jobs = std::max(1u, std::thread::hardware_concurrency());
  for (int i = 1; i < argc; i += 2) {
    const std::uint64_t value = i + 1 < argc ? std::strtoull(argv[i + 1], nullptr, 10) : 0;
    const std::string flag = i + 1 < argc ? argv[i] : "";
    if (flag == "--seeds")
      seeds = value;
    else if (flag == "--from")
      from = value;
    else if (flag == "--jobs")
      jobs = static_cast<unsigned>(std::clamp<std::uint64_t>(value, 1, 256));
    else if (flag == "--seed")
      one = value;
    else if (flag == "--with")
      wishes = argv[i + 1];
    else if (flag == "--shrink")
      shrunk = value;
    else
      return std::fprintf(stderr,
                          "treadle_sim: %s is no flag with a value; it takes --seeds N, --from F, --jobs J, "
                          "--seed S, --with NAME=NUMBER,..., --shrink S, or --regressions alone, or --planted first\n",
                          argv[i]),
             2;
  }
  if (shrunk > 0) return run_shrink(shrunk);
  if (one > 0) return run_one(one, wishes);
  return run_many(from, seeds, jobs);
}

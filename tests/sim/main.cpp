// treadle_sim [--seeds N] [--from F] | --seed S [--with tasks=9,stalls=0] | --shrink S | --planted [...]
//
// Whole clusters from seeds. Prints a line per failing seed and how to see it again; the last line counts seeds as
// tests. A run in which a kind of fault never struck fails: it would prove nothing. --seed prints one line per
// transition; --shrink looks for less that still fails; --planted hands over to treadle_sim_planted beside this
// program.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "cluster.h"
#include "shrink.h"

using namespace treadle::sim;

namespace {

constexpr std::uint64_t kSeedsThatMustStrike = 200;

struct Totals {
  std::map<std::string, std::uint64_t> tally;
  treadle::Duration longest_after_faults{0};

  void add(const Verdict& v) {
    for (const auto& [name, value] : v.tally) tally[name] += value;
    longest_after_faults = std::max(longest_after_faults, v.longest_after_faults);
  }
  // Prints all, and counts what never happened over all seeds.
  std::uint64_t missing() const {
    std::uint64_t count = 0;
    for (const auto& [name, value] : tally) {
      std::printf("  %-20s %llu\n", name.c_str(), static_cast<unsigned long long>(value));
      if (value == 0) std::printf("  NEVER HAPPENED: %s\n", name.c_str()), ++count;
    }
    for (const char* name : {"cancelled", "crashes", "delayed", "doubles", "flushes", "plain_starts", "store_restarts",
                             "store_stalls", "client_stalls", "submits_repeated", "wall_steps"}) {
      if (!tally.contains(name)) std::printf("  NEVER HAPPENED: %s\n", name), ++count;
    }
    return count;
  }
};

bool run_seed(std::uint64_t seed, const Scenario& scenario, bool print, Totals& totals) {
  const Verdict verdict = Cluster(seed, scenario, print).run();
  totals.add(verdict);
  if (verdict.violations.empty()) return true;
  const auto number = static_cast<unsigned long long>(seed);
  std::printf("FAILED seed %llu: %s   (again: ./dev sim --seed %llu; less of it: ./dev sim --shrink %llu)\n", number,
              verdict.violations[0].c_str(), number, number);
  if (print) {
    for (const auto& violation : verdict.violations) std::printf("  %s\n", violation.c_str());
  }
  return false;
}

int run_one(std::uint64_t seed, const char* wishes) {
  Scenario scenario = Scenario::of(seed);
  if (wishes && !scenario.change(wishes)) {
    std::fprintf(stderr,
                 "treadle_sim: --with takes name=number,...; the names are those of the first line of --seed\n");
    return 2;
  }
  Totals totals;
  const bool passed = run_seed(seed, scenario, true, totals);
  std::printf("%d passed, %d failed\n", passed ? 1 : 0, passed ? 0 : 1);
  return passed ? 0 : 1;
}

int run_shrink(std::uint64_t seed) {
  const Shrunk shrunk = shrink(seed, Scenario::of(seed));
  if (shrunk.says.empty())
    return std::printf("seed %llu keeps all promises\n", static_cast<unsigned long long>(seed)), 0;
  std::printf("%s\n  after %d runs: %s\n  again: ./dev sim --seed %llu --with %s\n", shrunk.scenario.describe().c_str(),
              shrunk.runs, shrunk.says.c_str(), static_cast<unsigned long long>(seed), shrunk.wishes.c_str());
  return 1;
}

int run_many(std::uint64_t from, std::uint64_t seeds) {
  Totals totals;
  std::uint64_t passed = 0;
  const auto begun = std::chrono::steady_clock::now();
  for (std::uint64_t seed = from; seed < from + seeds; ++seed)
    passed += run_seed(seed, Scenario::of(seed), false, totals) ? 1 : 0;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  const std::uint64_t missing = seeds < kSeedsThatMustStrike ? 0 : totals.missing();
  std::printf(
      "%llu seeds, %llu events, %llu task starts in %.1f s (%.0f task starts/s); longest end after the faults %.1f s\n",
      static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(totals.tally["events"]),
      static_cast<unsigned long long>(totals.tally["starts"]), seconds,
      static_cast<double>(totals.tally["starts"]) / seconds,
      std::chrono::duration<double>(totals.longest_after_faults).count());
  const std::uint64_t failed = seeds - passed + missing;
  std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(passed),
              static_cast<unsigned long long>(failed));
  return failed == 0 ? 0 : 1;
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
  std::uint64_t seeds = 200, from = 1, one = 0, shrunk = 0;
  const char* wishes = nullptr;
  for (int i = 1; i < argc; i += 2) {
    const std::uint64_t value = i + 1 < argc ? std::strtoull(argv[i + 1], nullptr, 10) : 0;
    const std::string flag = i + 1 < argc ? argv[i] : "";
    if (flag == "--seeds")
      seeds = value;
    else if (flag == "--from")
      from = value;
    else if (flag == "--seed")
      one = value;
    else if (flag == "--with")
      wishes = argv[i + 1];
    else if (flag == "--shrink")
      shrunk = value;
    else
      return std::fprintf(stderr,
                          "treadle_sim: %s is no flag with a value; it takes --seeds N, --from F, --seed S, --with "
                          "NAME=NUMBER,..., --shrink S, or --planted first\n",
                          argv[i]),
             2;
  }
  if (shrunk > 0) return run_shrink(shrunk);
  if (one > 0) return run_one(one, wishes);
  return run_many(from, seeds);
}

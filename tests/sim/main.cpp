// treadle_sim [--seeds N] [--seed S] [--from F]: whole clusters from seeds. Prints a line per failing seed and how to
// see it again; the last line counts seeds as tests. A run in which a kind of fault never struck fails: it would prove
// nothing.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cluster.h"

using namespace treadle::sim;

namespace {

struct Totals {
  Verdict sum;
  void add(const Verdict& v) {
    sum.events += v.events, sum.accepted += v.accepted, sum.completed += v.completed, sum.failed += v.failed,
        sum.starts += v.starts;
    sum.requeued += v.requeued, sum.stale += v.stale, sum.adopted += v.adopted, sum.reaped += v.reaped;
    sum.messages_dropped += v.messages_dropped, sum.answers_lost += v.answers_lost,
        sum.claims_replayed += v.claims_replayed;
    sum.worker_deaths += v.worker_deaths, sum.dispatcher_deaths += v.dispatcher_deaths, sum.crashes += v.crashes;
    sum.held_at_death += v.held_at_death, sum.recalled += v.recalled, sum.cancelled += v.cancelled;
    sum.longest_after_faults = std::max(sum.longest_after_faults, v.longest_after_faults);
  }
  // Names of what never happened over all seeds.
  int missing() const {
    const std::pair<const char*, std::uint64_t> all[] = {{"accepted", sum.accepted},
                                                         {"completed", sum.completed},
                                                         {"failed", sum.failed},
                                                         {"requeued", sum.requeued},
                                                         {"stale", sum.stale},
                                                         {"adopted", sum.adopted},
                                                         {"reaped", sum.reaped},
                                                         {"messages_dropped", sum.messages_dropped},
                                                         {"answers_lost", sum.answers_lost},
                                                         {"claims_replayed", sum.claims_replayed},
                                                         {"worker_deaths", sum.worker_deaths},
                                                         {"dispatcher_deaths", sum.dispatcher_deaths},
                                                         {"crashes", sum.crashes},
                                                         {"held_at_death", sum.held_at_death},
                                                         {"recalled", sum.recalled},
                                                         {"cancelled", sum.cancelled}};
    int count = 0;
    for (const auto& [name, value] : all) {
      std::printf("  %-18s %llu\n", name, static_cast<unsigned long long>(value));
      if (value == 0) std::printf("  NEVER HAPPENED: %s\n", name), ++count;
    }
    return count;
  }
};

bool run_seed(std::uint64_t seed, bool print, Totals& totals) {
  const Verdict verdict = Cluster(seed, print).run();
  totals.add(verdict);
  if (verdict.violations.empty()) return true;
  std::printf("FAILED seed %llu: %s   (again: ./dev sim --seed %llu)\n", static_cast<unsigned long long>(seed),
              verdict.violations[0].c_str(), static_cast<unsigned long long>(seed));
  if (print) {
    for (const auto& violation : verdict.violations) std::printf("  %s\n", violation.c_str());
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t seeds = 200, from = 1;
  bool one = false;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::uint64_t value = std::strtoull(argv[i + 1], nullptr, 10);
    if (std::strcmp(argv[i], "--seeds") == 0)
      seeds = value;
    else if (std::strcmp(argv[i], "--from") == 0)
      from = value;
    else if (std::strcmp(argv[i], "--seed") == 0)
      from = value, seeds = 1, one = true;
    else
      return std::fprintf(stderr, "treadle_sim: unknown flag %s; it takes --seeds N, --from F, --seed S\n", argv[i]), 2;
  }
  Totals totals;
  std::uint64_t passed = 0;
  const auto begun = std::chrono::steady_clock::now();
  for (std::uint64_t seed = from; seed < from + seeds; ++seed) passed += run_seed(seed, one, totals) ? 1 : 0;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  const int missing = one || seeds < 100 ? 0 : totals.missing();
  std::printf(
      "%llu seeds, %llu events, %llu task starts in %.1f s (%.0f task starts/s); longest end after the faults %.1f s\n",
      static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(totals.sum.events),
      static_cast<unsigned long long>(totals.sum.starts), seconds, static_cast<double>(totals.sum.starts) / seconds,
      std::chrono::duration<double>(totals.sum.longest_after_faults).count());
  const std::uint64_t failed = seeds - passed + static_cast<std::uint64_t>(missing);
  std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(passed),
              static_cast<unsigned long long>(failed));
  return failed == 0 ? 0 : 1;
}

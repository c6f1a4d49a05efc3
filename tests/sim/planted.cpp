// treadle_sim_planted [--plant NAME] [--tries N] [--most N] [--with tasks=9,...] | --plant NAME --seed S |
// --regressions: the simulator over copies of the cores and the ledger in which one line is broken at a time
// (plants.tsv), and how many seeds it takes to find each. Prints a JSON line per plant; fails if one is found neither
// by most tries nor by a kept seed, or if a seed fails with nothing planted. Then, or alone with
// --regressions: each seed of regressions.tsv still fails when the fault that it once found is planted again.
//
// Each seed runs in a process of its own: an assertion of the core is a finding too.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "cluster.h"
#include "plant_list.h"
#include "regressions.h"

namespace treadle::plant {
int active = none;
}

namespace {

constexpr unsigned kSecondsPerSeed = 60;
constexpr std::uint64_t kTryDistance = 10'000;  // between the first seeds of two tries
constexpr int kCleanSeeds = 100;

struct Finding {
  std::string checker;  // "" = nothing was found
  std::string text;
};

[[noreturn]] void run_child(std::uint64_t seed, const treadle::sim::Scenario& scenario, int out) {
  if (!std::freopen("/dev/null", "w", stderr)) std::abort();  // an assertion's trail is long
  alarm(kSecondsPerSeed);
  const treadle::sim::Verdict verdict = treadle::sim::Cluster(seed, scenario, false).run();
  if (!verdict.violations.empty()) {
    const std::string& text = verdict.violations.front();
    if (write(out, text.data(), text.size()) != static_cast<ssize_t>(text.size())) std::abort();
  }
  _exit(0);
}

std::string read_all(int fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(n));
  return text;
}

// "at 120 ms: [reader] accepted task ..." tells its checker.
Finding finding_of(const std::string& text, int status) {
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    return {signal == SIGABRT ? "assertion" : signal == SIGALRM ? "hang" : "crash", strsignal(signal)};
  }
  const auto from = text.find('['), to = text.find(']');
  if (text.empty()) return {};
  return {text.substr(from + 1, to - from - 1), text};
}

Finding run_seed(std::uint64_t seed, const treadle::sim::Scenario& scenario) {
  int ends[2];
  if (pipe(ends) != 0) std::perror("treadle_sim_planted: pipe"), std::exit(2);
  std::fflush(stdout);
  const pid_t child = fork();
  if (child < 0) std::perror("treadle_sim_planted: fork"), std::exit(2);
  if (child == 0) run_child(seed, scenario, ends[1]);
  close(ends[1]);
  const std::string text = read_all(ends[0]);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return finding_of(text, status);
}

const char* wishes = nullptr;  // of --with

Finding run_seed(std::uint64_t seed) {
  treadle::sim::Scenario scenario = treadle::sim::Scenario::of(seed);
  if (wishes && !scenario.change(wishes))
    std::fputs("treadle_sim_planted: --with takes name=number,...\n", stderr), std::exit(2);
  return run_seed(seed, scenario);
}

int number_of(const std::string& plant) {
  for (int i = 1; i < static_cast<int>(std::size(treadle::plant::kAll)); ++i) {
    if (plant == treadle::plant::kAll[i].name) return i;
  }
  std::fprintf(stderr, "treadle_sim_planted: there is no plant %s in plants.tsv\n", plant.c_str());
  std::exit(2);
}

struct Hunt {
  std::vector<std::uint64_t> seeds_needed;  // of the tries that found it
  std::map<std::string, int> checkers;
  std::uint64_t example = 0;
  std::string says;
};

Hunt hunt(int tries, std::uint64_t most) {
  Hunt hunt;
  for (int attempt = 0; attempt < tries; ++attempt) {
    for (std::uint64_t n = 1; n <= most; ++n) {
      const std::uint64_t seed = static_cast<std::uint64_t>(attempt) * kTryDistance + n;
      const Finding finding = run_seed(seed);
      if (finding.checker.empty()) continue;
      hunt.seeds_needed.push_back(n);
      ++hunt.checkers[finding.checker];
      if (hunt.example == 0) hunt.example = seed, hunt.says = finding.text;
      break;
    }
  }
  std::ranges::sort(hunt.seeds_needed);
  return hunt;
}

// The middle of the tries; one that found nothing counts as needing more than all others.
std::string median(const Hunt& hunt, int tries) {
  const auto middle = static_cast<std::size_t>(tries / 2);
  return middle < hunt.seeds_needed.size() ? std::to_string(hunt.seeds_needed[middle]) : "null";
}

std::string json_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

// A seed of regressions.tsv that finds what is planted now; 0: there is none.
std::uint64_t kept_seed(const std::string& plant) {
  for (const treadle::sim::Regression& row : treadle::sim::read_regressions())
    if (row.plant == plant && !run_seed(row.seed, row.scenario).checker.empty()) return row.seed;
  return 0;
}

void print(const treadle::plant::Entry& plant, const Hunt& hunt, int tries, std::uint64_t kept) {
  std::string checkers;
  for (const auto& [name, times] : hunt.checkers)
    checkers += (checkers.empty() ? "\"" : ", \"") + name + "\": " + std::to_string(times);
  std::printf(
      "{\"plant\": \"%s\", \"broken\": \"%s\", \"tries\": %d, \"found\": %zu, \"seeds_median\": %s, \"checkers\": "
      "{%s}, "
      "\"seed\": %llu, \"kept_seed\": %llu, \"says\": \"%s\"}\n",
      plant.name, plant.broken, tries, hunt.seeds_needed.size(), median(hunt, tries).c_str(), checkers.c_str(),
      static_cast<unsigned long long>(hunt.example), static_cast<unsigned long long>(kept),
      json_text(hunt.says).c_str());
  std::fflush(stdout);
}

int clean_failures() {
  int failures = 0;
  for (int seed = 1; seed <= kCleanSeeds; ++seed) {
    const Finding finding = run_seed(static_cast<std::uint64_t>(seed));
    if (finding.checker.empty()) continue;
    ++failures;
    std::printf("FAILED seed %d with nothing planted: %s\n", seed, finding.text.c_str());
  }
  return failures;
}

int show_one(std::uint64_t seed) {
  const treadle::sim::Verdict verdict = treadle::sim::Cluster(seed, true).run();
  for (const auto& violation : verdict.violations) std::printf("%s\n", violation.c_str());
  return verdict.violations.empty() ? 0 : 1;
}

// A seed that finds its fault no more proves nothing: it is to be replaced by one that does.
int blunt_regressions() {
  int blunt = 0;
  for (const treadle::sim::Regression& row : treadle::sim::read_regressions()) {
    if (row.plant.empty()) continue;
    treadle::plant::active = number_of(row.plant);
    if (!run_seed(row.seed, row.scenario).checker.empty()) continue;
    ++blunt;
    std::printf("FAILED: regression %s: seed %llu does not find %s any more\n", row.name.c_str(),
                static_cast<unsigned long long>(row.seed), row.plant.c_str());
  }
  treadle::plant::active = treadle::plant::none;
  return blunt;
}

int hunt_all(const char* only, int tries, std::uint64_t most) {
  int found = 0, hunted = 0;
  for (int i = 1; i < static_cast<int>(std::size(treadle::plant::kAll)); ++i) {
    const auto& plant = treadle::plant::kAll[i];
    if (only && std::strcmp(only, plant.name) != 0) continue;
    treadle::plant::active = i;
    const Hunt result = hunt(tries, most);
    const bool by_most = static_cast<int>(result.seeds_needed.size()) * 2 > tries;
    const std::uint64_t kept = kept_seed(plant.name);
    print(plant, result, tries, kept);
    ++hunted;
    found += by_most || kept != 0 ? 1 : 0;
  }
  if (only) number_of(only);
  treadle::plant::active = treadle::plant::none;
  const int blunt = only ? 0 : blunt_regressions();
  const int failures = (only ? 0 : clean_failures()) + blunt;
  std::printf("%d of %d planted bugs found; %d failures with nothing planted; %d regression seeds find nothing\n",
              found, hunted, failures - blunt, blunt);
  std::printf("%d passed, %d failed\n", found, hunted - found + failures);
  return found == hunted && failures == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const char* only = nullptr;
  int tries = 5;
  std::uint64_t most = 2000, seed = 0;
  if (argc == 2 && std::strcmp(argv[1], "--regressions") == 0) {
    const int blunt = blunt_regressions();
    std::printf("%d regression seeds find nothing\n", blunt);
    return blunt == 0 ? 0 : 1;
  }
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::uint64_t value = std::strtoull(argv[i + 1], nullptr, 10);
    if (std::strcmp(argv[i], "--plant") == 0)
      only = argv[i + 1];
    else if (std::strcmp(argv[i], "--tries") == 0)
      tries = static_cast<int>(std::clamp<std::uint64_t>(value, 1, 1000));
    else if (std::strcmp(argv[i], "--most") == 0)
      most = value;
    else if (std::strcmp(argv[i], "--with") == 0)
      wishes = argv[i + 1];
    else if (std::strcmp(argv[i], "--seed") == 0)
      seed = value;
    else
      return std::fprintf(stderr,
                          "treadle_sim_planted: unknown flag %s; it takes --plant, --tries, --most, --with, --seed, "
                          "or --regressions alone\n",
                          argv[i]),
             2;
  }
  if (seed == 0) return hunt_all(only, tries, most);
  if (only) treadle::plant::active = number_of(only);
  return show_one(seed);
}

#include "batch.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <optional>
#include <sstream>
#include <unordered_map>

namespace treadle::sim {
namespace {

constexpr std::uint64_t kChunk = 50;       // seeds of one process
constexpr unsigned kSecondsPerSeed = 120;  // then it hangs

// What has to strike in every long run. A tally of 0 of any other name is told too.
constexpr const char* kHasToStrike[] = {"all_killed_at_once",
                                        "cancelled",
                                        "client_stalls",
                                        "connections_ended",
                                        "crashes",
                                        "delayed",
                                        "doubles",
                                        "flushes",
                                        "gateway_stalls",
                                        "reaps_late",
                                        "lost_with_a_connection",
                                        "moves",
                                        "plain_starts",
                                        "store_outages",
                                        "store_restarts",
                                        "store_stalls",
                                        "submits_doubled",
                                        "submits_known",
                                        "submits_repeated",
                                        "waits_answered",
                                        "waits_cut_off",
                                        "wall_steps"};

struct Chunk {
  std::uint64_t from = 0, end = 0;
};

struct Child {
  Chunk chunk;
  int out = -1;
  std::atomic<std::uint64_t>* seed = nullptr;  // that it runs now; shared with it
};

[[noreturn]] void stop(const char* what) {
  std::perror(what);
  std::exit(2);
}

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

std::string text_of(const Totals& totals) {
  std::ostringstream text;
  text << totals.passed << ' ' << totals.failed << ' ' << totals.longest_after_faults.count() << ' ' << cpu_seconds()
       << '\n';
  for (const auto& [name, value] : totals.tally) text << name << ' ' << value << '\n';
  return text.str();
}

void add_text(const std::string& text, Totals& totals) {
  std::istringstream in(text);
  std::uint64_t passed = 0, failed = 0, value = 0;
  std::int64_t longest = 0;
  double cpu = 0;
  if (!(in >> passed >> failed >> longest >> cpu)) return;
  totals.passed += passed;
  totals.failed += failed;
  totals.cpu_seconds += cpu;
  totals.longest_after_faults = std::max(totals.longest_after_faults, Duration(longest));
  for (std::string name; in >> name >> value;) totals.tally[name] += value;
}

[[noreturn]] void run_chunk(const Child& child) {
  Totals totals;
  for (std::uint64_t seed = child.chunk.from; seed < child.chunk.end; ++seed) {
    *child.seed = seed;
    alarm(kSecondsPerSeed);
    run_seed(seed, Scenario::of(seed), false, totals);
  }
  const std::string text = text_of(totals);
  if (write(child.out, text.data(), text.size()) != static_cast<ssize_t>(text.size())) std::abort();
  std::fflush(stdout);
  _exit(0);
}

std::string read_all(int fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(n));
  return text;
}

class Batch {
 public:
  Batch(std::uint64_t from, std::uint64_t seeds, unsigned jobs, Totals& totals) : jobs_(jobs), totals_(totals) {
    for (std::uint64_t at = from; at < from + seeds; at += kChunk)
      chunks_.push_back({at, std::min(at + kChunk, from + seeds)});
  }

  void run() {
    while (!chunks_.empty() || !children_.empty()) {
      while (!chunks_.empty() && children_.size() < jobs_) begin();
      int status = 0;
      const pid_t ended = wait(&status);
      if (ended < 0) stop("treadle_sim: wait");
      finish(ended, status);
    }
  }

 private:
  void begin() {
    Child child{chunks_.front(), -1, nullptr};
    chunks_.pop_front();
    void* shared =
        mmap(nullptr, sizeof(std::atomic<std::uint64_t>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int ends[2];
    if (shared == MAP_FAILED || pipe(ends) != 0) stop("treadle_sim: no memory or pipe for a process");
    child.seed = new (shared) std::atomic<std::uint64_t>(child.chunk.from);
    std::fflush(stdout);
    const pid_t pid = fork();
    if (pid < 0) stop("treadle_sim: fork");
    if (pid == 0) {
      child.out = ends[1];
      run_chunk(child);
    }
    close(ends[1]);
    child.out = ends[0];
    children_[pid] = child;
  }

  // A tally is far smaller than a pipe holds, so a process never waits for its reader.
  void finish(pid_t pid, int status) {
    const auto it = children_.find(pid);
    if (it == children_.end()) return;
    const Child child = it->second;
    children_.erase(it);
    add_text(read_all(child.out), totals_);
    close(child.out);
    const std::uint64_t seed = *child.seed;
    munmap(child.seed, sizeof(*child.seed));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
    ++totals_.failed;
    std::printf("FAILED seed %llu: its process died: %s   (again: ./dev sim --seed %llu)\n",
                static_cast<unsigned long long>(seed), WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "exit",
                static_cast<unsigned long long>(seed));
    // The tally of the chunk's earlier seeds died with it: they are run again.
    if (seed > child.chunk.from) chunks_.push_back({child.chunk.from, seed});
    if (seed + 1 < child.chunk.end) chunks_.push_back({seed + 1, child.chunk.end});
  }

  unsigned jobs_;
  Totals& totals_;
  std::deque<Chunk> chunks_;
  std::unordered_map<pid_t, Child> children_;
};

}  // namespace

void Totals::add(const Verdict& v) {
  for (const auto& [name, value] : v.tally) tally[name] += value;
  longest_after_faults = std::max(longest_after_faults, v.longest_after_faults);
  ++(v.violations.empty() ? passed : failed);
}

std::uint64_t Totals::missing() const {
  std::uint64_t count = 0;
  for (const auto& [name, value] : tally) {
    std::printf("  %-28s %llu\n", name.c_str(), static_cast<unsigned long long>(value));
    if (value == 0) std::printf("  NEVER HAPPENED: %s\n", name.c_str()), ++count;
  }
  for (const char* name : kHasToStrike) {
    if (!tally.contains(name)) std::printf("  NEVER HAPPENED: %s\n", name), ++count;
  }
  return count;
}

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

void run_batch(std::uint64_t from, std::uint64_t seeds, unsigned jobs, Totals& totals) {
  Batch(from, seeds, jobs, totals).run();
}

}  // namespace treadle::sim

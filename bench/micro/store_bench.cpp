// What the store costs for a task's whole life (submit, claim, finish, result read) when so many lives go through
// together, and how fast a queue is claimed whose arguments are not in memory. One JSON line per figure.
//
//   store_bench [DIR]     a folder on the disk to be measured; default: the working directory
#include <poll.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "base/assert.h"
#include "runtime/system_clock.h"
#include "store/sqlite/sqlite_store.h"

namespace {

using namespace treadle;
using namespace treadle::store;

runtime::SystemClock real_time;

double cpu_us() {
  rusage used;
  getrusage(RUSAGE_SELF, &used);
  const auto us = [](const timeval& t) { return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec); };
  return us(used.ru_utime) + us(used.ru_stime);
}

class Bench {
 public:
  Bench(const std::filesystem::path& where, Durability durability, std::uint64_t args_cache) : durability_(durability) {
    dir_ = where / ("store-bench-" + std::to_string(runtime::os_random()));
    SqliteConfig config;
    config.dir = dir_;
    config.durability = durability;
    config.store.ledger.args_cache_bytes = args_cache;
    config.failure = [](core::ErrorKind, TaskId, const std::string&, const std::string&) { return core::Payload{}; };
    auto opened = open_sqlite(std::move(config), real_time);
    TREADLE_ASSERT_MSG(opened.has_value(), "the store does not open");
    store_ = std::move(*opened);
    core::Function f;
    f.id = FunctionId(Uuid{1, 1});
    f.digest.words[0] = 1;
    f.body.bytes = Buffer::of("body");
    bool done = false;
    store_->put_function(f, [&](auto) { done = true; });
    until([&] { return done; });
    store_->open_session(session_, "bench", [](auto) {});
  }
  ~Bench() {
    store_->close();
    store_.reset();
    std::filesystem::remove_all(dir_);
  }

  template <class Condition>
  void until(Condition condition) {
    while (!condition()) {
      if (store_->turn(real_time.now()) || condition()) continue;
      pollfd wake{store_->wake_fd(), POLLIN, 0};
      ::poll(&wake, 1, 1000);
    }
  }
  void submit(int n) {
    std::vector<Submission> batch(static_cast<std::size_t>(n));
    for (Submission& s : batch) {
      s.id = TaskId(Uuid{0x0190000000000000 + ++numbers_, runtime::os_random()});
      s.function = FunctionId(Uuid{1, 1});
      s.args.bytes = Buffer::of(std::string(200, 'a'));
    }
    bool done = false;
    store_->submit(std::move(batch), [&](auto) { done = true; });
    until([&] { return done; });
  }
  std::vector<core::Attempt> claim(int n) {
    ClaimRequest request{session_, ++calls_, {}, {}, {}};
    for (int i = 0; i < n; ++i) request.tokens.push_back(Token{runtime::os_random() | 1});
    std::vector<core::Attempt> attempts;
    bool done = false;
    store_->claim(std::move(request), [&](Result<ClaimAnswer> answer) {
      attempts = std::move(answer->attempts);
      done = true;
    });
    until([&] { return done; });
    return attempts;
  }
  void finish(const std::vector<core::Attempt>& attempts) {
    std::vector<FinishItem> batch;
    for (const auto& a : attempts) {
      FinishItem item{a.task, a.token, {}};
      item.outcome.result.bytes = Buffer::of(std::string(100, 'r'));
      batch.push_back(std::move(item));
    }
    bool done = false;
    store_->finish(session_, std::move(batch), [&](auto) { done = true; });
    until([&] { return done; });
    std::vector<TaskId> ids;
    for (const auto& a : attempts) ids.push_back(a.task);
    store_->get(std::move(ids), true, [&](auto) {});
  }

  void lives(int group, int lives_in_all) {
    std::vector<double> commits;
    const auto life = [&] {
      const Instant a = real_time.now();
      submit(group);
      const Instant b = real_time.now();
      const auto attempts = claim(group);
      const Instant c = real_time.now();
      finish(attempts);
      commits.push_back(static_cast<double>((b - a).count()) / 1e3);
      commits.push_back(static_cast<double>((real_time.now() - c).count()) / 1e3);
    };
    for (int i = 0; i < lives_in_all / group / 4; ++i) life();
    commits.clear();
    const double cpu = cpu_us();
    const Instant begun = real_time.now();
    const int rounds = lives_in_all / group;
    for (int i = 0; i < rounds; ++i) life();
    const double all = rounds * group;
    std::sort(commits.begin(), commits.end());
    std::printf(
        "{\"bench\": \"store_life\", \"durability\": \"%s\", \"group\": %d, \"wall_us\": %.1f, \"cpu_us\": %.1f, "
        "\"commit_p50_us\": %.0f, \"commit_p99_us\": %.0f}\n",
        std::string(name_of(durability_)).c_str(), group,
        static_cast<double>((real_time.now() - begun).count()) / 1e3 / all, (cpu_us() - cpu) / all,
        commits[commits.size() / 2], commits[commits.size() * 99 / 100]);
    std::fflush(stdout);
  }

  void claims(const char* what, int n) {
    for (int i = 0; i < n; i += 1000) submit(1000);
    const Instant begun = real_time.now();
    int got = 0;
    while (got < n) got += static_cast<int>(claim(128).size());
    std::printf("{\"bench\": \"store_claims\", \"arguments\": \"%s\", \"queue\": %d, \"claims_per_s\": %.0f}\n", what,
                n, n / (static_cast<double>((real_time.now() - begun).count()) / 1e9));
    std::fflush(stdout);
  }

 private:
  Durability durability_;
  std::filesystem::path dir_;
  std::unique_ptr<Store> store_;
  SessionId session_{Uuid{2, 2}};
  std::uint64_t numbers_ = 0, calls_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const std::filesystem::path where = argc > 1 ? argv[1] : ".";
  for (const Durability durability : {Durability::Strict, Durability::Fast}) {
    for (const int group : {1, 16, 128}) Bench(where, durability, 64 << 20).lives(group, group == 1 ? 20'000 : 200'000);
  }
  Bench(where, Durability::Fast, 1ull << 40).claims("in memory", 200'000);
  Bench(where, Durability::Fast, 0).claims("read back", 200'000);
}

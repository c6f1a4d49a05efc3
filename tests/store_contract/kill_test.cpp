// kill -9 at random moments: what was acknowledged is in the file, and no task ends twice.
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <map>

#include "engine.h"

namespace treadle::store::contract {
namespace {

namespace fs = std::filesystem;

constexpr int kKills = 60;

struct Said {  // to the pipe, when a callback has come
  char what;   // 's' submitted, 'f' finished, 'c' claimed at most once
  TaskId task;
};

SqliteConfig config_of(const fs::path& dir, Durability durability) {
  SqliteConfig config;
  config.dir = dir;
  config.durability = durability;
  config.failure = failure_bytes;
  config.reserve_bytes = 64 << 10;
  return config;
}

// The child: works until it is killed. Only what it says counts.
[[noreturn]] void work(const fs::path& dir, Durability durability, int out) {
  runtime::SystemClock clock;
  auto opened = open_sqlite(config_of(dir, durability), clock);
  if (!opened) _exit(3);
  Store& store = **opened;
  const auto say = [out](char what, TaskId task) {
    const Said said{what, task};
    if (::write(out, &said, sizeof said) != sizeof said) _exit(4);
  };
  core::Function function;
  function.id = FunctionId(Uuid{1, 1});
  function.digest.words[0] = 1;
  function.body.bytes = Buffer::of("body");
  bool registered = false;
  store.put_function(function, [&](auto) { registered = true; });
  while (!registered) store.turn(clock.now());
  const SessionId session(Uuid{2, runtime::os_random()});
  store.open_session(session, "test", [](auto) {});
  std::uint64_t n = 0, call = 0;
  bool claiming = false;
  for (;;) {
    std::vector<Submission> batch;
    for (int i = 0; i < 4; ++i) {
      Submission s;
      s.id = TaskId(Uuid{runtime::os_random(), runtime::os_random()});
      s.function = function.id;
      s.args.bytes = Buffer::of(std::string(++n % 50 == 0 ? 300'000 : 100, 'a'));
      if (n % 5 == 0) s.options.delivery = core::Delivery::AtMostOnce;
      batch.push_back(std::move(s));
    }
    store.submit(std::move(batch), [&](auto answers) {
      for (const auto& answer : *answers) say('s', answer->id);
    });
    if (!claiming) {
      claiming = true;
      ClaimRequest request{session, ++call, {}, {}, {}};
      for (int i = 0; i < 6; ++i) request.tokens.push_back(Token{runtime::os_random() | 1});
      store.claim(request, [&](Result<ClaimAnswer> answer) {
        claiming = false;
        for (const auto& a : answer->attempts) {
          if (a.delivery == core::Delivery::AtMostOnce) say('c', a.task);
          const std::uint64_t dice = runtime::os_random() % 4;
          if (dice < 2) store.started({{a.task, a.token, WorkerId(Uuid{1, 1})}});
          if (dice > 0 && dice < 3) continue;  // held until the end, started or not
          FinishItem item{a.task, a.token, {}};
          item.outcome.result.bytes = Buffer::of(std::string(++n % 50 == 0 ? 300'000 : 50, 'r'));
          store.finish(session, {item}, [&, task = a.task](Result<std::vector<FinishAnswer>> done) {
            if (done->at(0) == FinishAnswer::Applied) say('f', task);
          });
        }
      });
    }
    store.turn(clock.now());
    ::usleep(100);
    store.turn(clock.now());
  }
}

std::vector<Said> run_and_kill(const fs::path& dir, Durability durability, int after_us) {
  int ends[2];
  if (::pipe(ends) != 0) throw std::runtime_error("no pipe");
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    work(dir, durability, ends[1]);
  }
  ::close(ends[1]);
  std::vector<Said> all(1);
  if (::read(ends[0], all.data(), sizeof(Said)) != sizeof(Said)) all.clear();  // it works: now the time runs
  ::usleep(static_cast<useconds_t>(after_us));
  ::kill(child, SIGKILL);
  for (Said said; ::read(ends[0], &said, sizeof said) == sizeof said;) all.push_back(said);
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);
  return all;
}

void add_transition_log(const fs::path& dir) {
  sqlite3* db = nullptr;
  sqlite3_open((dir / "treadle.db").c_str(), &db);
  EXPECT_EQ(sqlite3_exec(db,
                         "CREATE TABLE moves(seq INTEGER, before INTEGER, after INTEGER);"
                         "CREATE TRIGGER moved AFTER UPDATE OF state ON tasks"
                         " BEGIN INSERT INTO moves VALUES(new.seq, old.state, new.state); END",
                         nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(db);
}

std::int64_t ask_file(const fs::path& dir, const char* sql) {
  sqlite3* db = nullptr;
  sqlite3_stmt* statement = nullptr;
  sqlite3_open((dir / "treadle.db").c_str(), &db);
  sqlite3_prepare_v2(db, sql, -1, &statement, nullptr);
  const std::int64_t value = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return value;
}

class Kill : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Engines, Kill, ::testing::Values("strict", "fast"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(Kill, NothingAcknowledgedIsLostAndNothingEndsTwice) {
  const fs::path dir = fs::temp_directory_path() / ("treadle-kill-" + std::to_string(runtime::os_random()));
  const Durability durability = *parse_durability(GetParam());
  runtime::SystemClock clock;
  ASSERT_TRUE(open_sqlite(config_of(dir, durability), clock));  // makes the file; closed at once
  add_transition_log(dir);
  std::map<TaskId, char> promised;  // the last that was said of it
  std::size_t finished = 0, claimed_once = 0;
  Rng rng(20261125);
  for (int i = 0; i < kKills; ++i) {
    for (const Said& said : run_and_kill(dir, durability, static_cast<int>(rng.below(12'000)))) {
      finished += said.what == 'f';
      claimed_once += said.what == 'c';
      if (said.what == 'f' && promised.contains(said.task)) {
        EXPECT_NE(promised[said.task], 'f') << "acknowledged twice as the one that ended it";
      }
      promised[said.task] = said.what;
    }
  }
  {
    Engine store(GetParam(), [&](SqliteConfig& config) { config.dir = dir; });
    store.turn_for(50ms);
    for (const auto& [task, what] : promised) {
      const auto view = store.view(task);
      ASSERT_TRUE(view) << what << " " << to_string(task);
      if (what == 'f') {
        EXPECT_EQ(view->state, core::TaskState::Completed);
        EXPECT_FALSE(view->result.bytes.empty());
      } else if (what == 'c') {
        EXPECT_TRUE(core::is_terminal(view->state)) << "an at-most-once claim was given, and waits again";
      }
    }
  }
  EXPECT_EQ(ask_file(dir, "SELECT count(*) FROM moves WHERE before >= 3"), 0);
  EXPECT_GT(ask_file(dir, "SELECT count(*) FROM moves WHERE before = 2 AND after = 0"), 0)
      << "no kill struck a running task";
  EXPECT_GT(ask_file(dir, "SELECT count(*) FROM moves WHERE before = 1 AND after = 4"), 0)
      << "no kill struck an at-most-once one";
  EXPECT_GT(finished, kKills) << "the kills came too early";
  EXPECT_GT(claimed_once, kKills / 4);
  std::printf("%d kills, %zu tasks acknowledged, %zu results\n", kKills, promised.size(), finished);
  fs::remove_all(dir);
}

}  // namespace
}  // namespace treadle::store::contract

// What only the engine with a file promises: recovery, retention, files of payloads, the schema.
#include <sqlite3.h>

#include <atomic>
#include <fstream>

#include "engine.h"
#include "store/sqlite/schema.h"

namespace treadle::store::contract {
namespace {

namespace fs = std::filesystem;
using core::Delivery;
using core::ErrorKind;
using core::GiveBack;
using core::TaskState;

// A look at the file from outside, as anybody may have it.
class Outside {
 public:
  explicit Outside(const fs::path& dir) {
    if (sqlite3_open((dir / "treadle.db").c_str(), &db_) != SQLITE_OK) throw std::runtime_error("no database");
    sqlite3_busy_timeout(db_, 5000);
  }
  ~Outside() { sqlite3_close(db_); }
  Outside(const Outside&) = delete;

  std::int64_t number(const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db_, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK)
      throw std::runtime_error(sqlite3_errmsg(db_));
    const std::int64_t value = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
    sqlite3_finalize(statement);
    return value;
  }
  void run(const std::string& sql) {
    if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
      throw std::runtime_error(sqlite3_errmsg(db_));
  }

 private:
  sqlite3* db_ = nullptr;
};

int blobs_in(const fs::path& dir) {
  if (!fs::exists(dir / "blobs")) return 0;
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(dir / "blobs")) files += entry.is_regular_file();
  return files;
}

// ---- recovery ----

TEST(Recovery, RecordedAttemptsWaitForTheirWorkerAndKeepTheirToken) {
  Engine store("strict", [](SqliteConfig& config) { config.adoption_window = 10s; });
  const FunctionId f = store.function();
  const TaskId id = store.submit_one(store.submission(f)), silent = store.submit_one(store.submission(f));
  const SessionId before = store.session();
  const core::Attempt a = store.claim_one(before, 1), unrecorded = store.claim_one(before, 2);
  store.start(a);
  store.reopen();
  EXPECT_EQ(store.view(id)->state, TaskState::Running);
  const SessionId after = store.session();
  const auto claimed = store.claim(store.request(after, 1, 10));
  ASSERT_EQ(claimed.attempts.size(), 1u) << "only the one whose start was not recorded";
  EXPECT_EQ(claimed.attempts[0].task, silent);
  EXPECT_EQ(store.adopt(after, {unrecorded.task, unrecorded.token}), AdoptAnswer::Refused);
  EXPECT_EQ(store.adopt(after, {a.task, a.token}), AdoptAnswer::Adopted);
  EXPECT_EQ(store.finish(after, a, "adopted"), FinishAnswer::Applied);
  EXPECT_EQ(store.story(id)->losses, 0u);
}

TEST(Recovery, WhatNobodyAdoptsIsBurntOrEnded) {
  Engine store("strict", [](SqliteConfig& config) { config.adoption_window = 150ms; });
  const TaskId id = store.submit_one(store.submission(store.function()));
  Submission s = store.submission(store.function());
  s.options.delivery = Delivery::AtMostOnce;
  const TaskId once = store.submit_one(std::move(s));
  const SessionId before = store.session();
  store.start(store.claim_one(before, 1));
  store.claim_one(before, 2);
  store.reopen();
  EXPECT_FALSE(core::is_terminal(store.view(once)->state));
  store.turn_until([&] { return core::is_terminal(store.view(once)->state); });
  EXPECT_EQ(store.view(once)->error_kind, ErrorKind::WorkerLost);
  EXPECT_EQ(store.claim_one(store.session(), 1).task, id);
  EXPECT_EQ(store.story(id)->losses, 1u);
  EXPECT_NE(store.story(id)->last_error.find(to_string(WorkerId(Uuid{1, 1}))), std::string::npos);
}

TEST(Recovery, AnAtMostOnceClaimIsInTheFileBeforeItIsGiven) {
  for (const char* kind : {"strict", "fast"}) {
    Engine store(kind);
    Submission s = store.submission(store.function());
    s.options.delivery = Delivery::AtMostOnce;
    const TaskId id = store.submit_one(std::move(s));
    const core::Attempt a = store.claim_one(store.session());
    EXPECT_EQ(Outside(store.dir()).number("SELECT token FROM tasks WHERE state = 1"),
              static_cast<std::int64_t>(a.token.value));
    store.reopen();
    store.turn_until([&] { return core::is_terminal(store.view(id)->state); });
    EXPECT_EQ(store.view(id)->error_kind, ErrorKind::WorkerLost);
  }
}

TEST(Recovery, ACancelThatWasAskedForIsKeptOverARestart) {
  Engine store("strict");
  const TaskId id = store.submit_one(store.submission(store.function()));
  store.claim_one(store.session());
  EXPECT_EQ(store.cancel(id), CancelAnswer::Requested);
  store.reopen();
  store.turn_until([&] { return core::is_terminal(store.view(id)->state); });
  EXPECT_EQ(store.view(id)->error_kind, ErrorKind::Cancelled);
}

TEST(Recovery, DelaysOptionsCountersAndKeysAreKept) {
  Engine store("strict");
  const FunctionId f = store.function();
  Submission s = store.submission(f);
  s.options.priority = -3;
  s.options.queue = "q";
  s.options.retries = 5;
  s.options.time_limit_ms = 1234;
  s.options.more = R"({"later": 1})";
  s.idempotency_scope = "scope";
  s.idempotency_key = "key";
  s.body_digest.words[2] = 9;
  const TaskId id = store.submit_one(s);
  const SessionId before = store.session();
  ClaimRequest request = store.request(before, 1, 1);
  request.queues = {"q"};
  const core::Attempt a = store.claim(request).attempts.at(0);
  EXPECT_EQ(store.requeue(before, a, GiveBack::Retry, 400ms), RequeueAnswer::Queued);
  const Instant begun = store.now();
  store.reopen();
  const SessionId after = store.session();
  EXPECT_EQ(store->counters().delayed, 1u);
  ClaimAnswer answer;
  std::uint64_t call = 0;
  store.turn_until([&] {
    if (!answer.attempts.empty()) return true;
    request = store.request(after, ++call, 1);
    request.queues = {"q"};
    answer = store.claim(request);
    return !answer.attempts.empty();
  });
  ASSERT_EQ(answer.attempts.size(), 1u);
  EXPECT_GE(store.now() - begun, 300ms);
  EXPECT_EQ(answer.attempts[0].task, id);
  EXPECT_EQ(answer.attempts[0].retries_left, 4u);
  EXPECT_EQ(answer.attempts[0].time_limit, 1234ms);
  EXPECT_GT(answer.attempts[0].number, a.number);
  EXPECT_EQ(store.story(id)->options.more, s.options.more);
  Submission again = s;
  again.id = TaskId(Uuid{9, 9});
  EXPECT_EQ(store.submit_one(again), id) << "the key lives with its task";
}

// ---- arguments and files ----

TEST(Arguments, AreReadBackInOrderWhenTheQueueIsLongerThanTheCache) {
  Engine store("fast", [](SqliteConfig& config) { config.store.ledger.args_cache_bytes = 2000; });
  const FunctionId f = store.function();
  constexpr int kTasks = 700;
  std::vector<Submission> batch;
  for (int i = 0; i < kTasks; ++i) batch.push_back(store.submission(f, "args " + std::to_string(i)));
  ASSERT_TRUE(store.submit(std::move(batch)));
  const SessionId session = store.session();
  int next = 0;
  for (std::uint64_t call = 1; next < kTasks; ++call) {
    const auto answer = store.claim(store.request(session, call, 100));
    ASSERT_FALSE(answer.attempts.empty());
    for (const auto& attempt : answer.attempts) EXPECT_EQ(attempt.args.bytes.view(), "args " + std::to_string(next++));
  }
}

TEST(Arguments, GoWhenTheTaskCompletedAndStayWhenItFailed) {
  Engine store("strict");
  const std::string big(300 << 10, 'b');
  const FunctionId f = store.function(Delivery::AtLeastOnce, std::string(400 << 10, 'f'));
  EXPECT_EQ(blobs_in(store.dir()), 1) << "the function's body";
  const TaskId good = store.submit_one(store.submission(f, big)), bad = store.submit_one(store.submission(f, big));
  EXPECT_EQ(blobs_in(store.dir()), 3);
  const SessionId session = store.session();
  EXPECT_EQ(store.finish(session, store.claim_one(session, 1), big + "result"), FinishAnswer::Applied);
  EXPECT_EQ(store.finish(session, store.claim_one(session, 2), "x", ErrorKind::FunctionFailed), FinishAnswer::Applied);
  EXPECT_EQ(blobs_in(store.dir()), 3) << "body, the failed one's arguments, the good one's result";
  Outside file(store.dir());
  EXPECT_EQ(file.number("SELECT count(*) FROM args"), 1);
  EXPECT_EQ(file.number("SELECT count(*) FROM tasks t JOIN args a ON a.seq = t.seq WHERE t.state = 4"), 1);
  store.reopen();
  EXPECT_TRUE(store.view(good)->result.bytes.view() == big + "result");
  EXPECT_EQ(store.view(bad)->result.bytes.view(), "x");
  const auto function = store.ask<Result<core::Function>>([&](auto done) { store->get_function(f, std::move(done)); });
  ASSERT_TRUE(function);
  EXPECT_EQ(function->body.bytes.size(), 400u << 10);
}

TEST(Arguments, WhoseFileIsGoneEndTheTaskAndSaySo) {
  Engine store("strict");
  const TaskId id = store.submit_one(store.submission(store.function(), std::string(300 << 10, 'b')));
  fs::remove_all(store.dir() / "blobs");
  const SessionId session = store.session();
  EXPECT_TRUE(store.claim(store.request(session, 1, 1)).attempts.empty());
  store.turn_until([&] { return core::is_terminal(store.view(id)->state); });
  EXPECT_EQ(store.view(id)->error_kind, ErrorKind::DeserializeFailed);
  EXPECT_NE(store.story(id)->error_message.find("blobs"), std::string::npos);
}

TEST(Blobs, OrphansAreSweptAtStartAndOthersAreNot) {
  Engine store("strict");
  const TaskId id = store.submit_one(store.submission(store.function(), std::string(300 << 10, 'b')));
  store->close();
  fs::create_directories(store.dir() / "blobs" / "00");
  for (const char* name :
       {"018f3c2e-7d5a-7c31-9b0a-3f6f0c1e2d00.args", "018f3c2e-7d5a-7c31-9b0a-3f6f0c1e2d00.result", "stray"}) {
    std::ofstream(store.dir() / "blobs" / "00" / name) << "orphan";
  }
  EXPECT_EQ(blobs_in(store.dir()), 4);
  store.reopen();
  EXPECT_EQ(blobs_in(store.dir()), 1);
  EXPECT_EQ(store.claim_one(store.session()).task, id);
}

// ---- the file ----

TEST(File, EveryEndIsWrittenOnce) {
  Engine store("strict");
  Outside(store.dir())
      .run(
          "CREATE TABLE ends(seq INTEGER, before INTEGER);"
          "CREATE TRIGGER ended AFTER UPDATE OF state ON tasks WHEN new.state >= 3"
          " BEGIN INSERT INTO ends VALUES(new.seq, old.state); END");
  store.reopen();
  const FunctionId f = store.function();
  const SessionId session = store.session();
  for (std::uint64_t call = 1; call <= 20; ++call) {
    const TaskId id = store.submit_one(store.submission(f));
    const core::Attempt a = store.claim_one(session, call);
    if (call % 3 == 0) store.start(a);
    store.finish(session, a);
    store.finish(session, a, "again");
    store.cancel(id);
  }
  Outside file(store.dir());
  EXPECT_EQ(file.number("SELECT count(*) FROM ends"), 20);
  EXPECT_EQ(file.number("SELECT count(*) FROM ends WHERE before >= 3"), 0);
  EXPECT_EQ(file.number("SELECT count(*) FROM ends WHERE before = 2"), 6) << "recorded starts";
  EXPECT_EQ(file.number("SELECT count(DISTINCT finish_seq) FROM tasks"), 20);
}

TEST(File, ABigResultDoesNotOvertakeTheStartOfItsTask) {
  Engine store("strict");
  const SessionId session = store.session();
  const TaskId id = store.submit_one(store.submission(store.function()));
  const core::Attempt a = store.claim_one(session);
  store->started({{a.task, a.token, WorkerId(Uuid{1, 1})}});  // no turn in between
  EXPECT_EQ(store.finish(session, a, std::string(300 << 10, 'r')), FinishAnswer::Applied);
  EXPECT_EQ(store.story(id)->worker, to_string(WorkerId(Uuid{1, 1})));
  EXPECT_EQ(Outside(store.dir()).number("SELECT count(*) FROM tasks WHERE state = 3 AND started > 0"), 1);
}

TEST(File, OfANewerSchemaOrAnotherProgramIsRefusedInOneSentence) {
  runtime::SystemClock clock;
  const auto refusal = [&](const std::string& sql) {
    Engine store("strict");
    store->close();
    Outside(store.dir()).run(sql);
    SqliteConfig config;
    config.dir = store.dir();
    config.failure = failure_bytes;
    fs::copy(store.dir(), store.dir().string() + "-copy");
    config.dir = store.dir().string() + "-copy";
    const auto opened = open_sqlite(std::move(config), clock);
    fs::remove_all(store.dir().string() + "-copy");
    return opened ? std::string() : opened.error().message;
  };
  EXPECT_NE(refusal("PRAGMA user_version = 99").find("newer treadle (schema 99"), std::string::npos);
  EXPECT_NE(refusal("PRAGMA application_id = 5").find("another program"), std::string::npos);
  EXPECT_EQ(refusal("SELECT 1"), "");
}

// What version 2 added is taken away again, as a file of version 1 has it.
TEST(File, OfTheFirstSchemaIsBroughtForward) {
  Engine store("strict");
  const FunctionId first = store.function(), second = store.function();
  store->close();
  Outside(store.dir())
      .run(
          "DROP INDEX functions_name; ALTER TABLE functions DROP COLUMN deleted; DROP INDEX tasks_keep; "
          "ALTER TABLE tasks DROP COLUMN keep_until; PRAGMA user_version = 1");
  store.reopen();
  EXPECT_EQ(Outside(store.dir()).number("PRAGMA user_version"), kSchemaVersion);
  const auto named = store.ask<Result<std::vector<FunctionSummary>>>([&](auto done) {
    store->list_functions({"f", "", 10}, std::move(done));
  });
  ASSERT_TRUE(named) << named.error().message;
  ASSERT_EQ(named->size(), 2u);
  EXPECT_EQ((*named)[0].id, second);
  EXPECT_EQ((*named)[1].id, first);
}

TEST(File, FinishSequenceGrowsOverARestart) {
  Engine store("strict");
  const FunctionId f = store.function();
  std::int64_t last = 0;
  for (int life = 0; life < 3; ++life) {
    const SessionId session = store.session();
    store.submit_one(store.submission(f));
    store.finish(session, store.claim_one(session));
    const std::int64_t now = Outside(store.dir()).number("SELECT max(finish_seq) FROM tasks");
    EXPECT_GT(now, last);
    EXPECT_EQ(Outside(store.dir()).number("SELECT count(*) FROM tasks WHERE finish_seq = " + std::to_string(now)), 1);
    last = now;
    store.reopen();
  }
}

TEST(File, PagesOfWhatWasKeptForATimeAreUsedAgain) {
  Engine store("fast", [](SqliteConfig& config) { config.purge_every = 20ms; });
  Submission s = store.submission(store.function());
  s.options.more = core::to_text({}, {}, {.keep_ms = 1});
  const SessionId session = store.session();
  std::int64_t pages = 0;
  for (std::uint64_t round = 1; round <= 8; ++round) {
    for (int i = 0; i < 8; ++i) {
      s.id = TaskId(Uuid{runtime::os_random(), runtime::os_random()});
      store.submit_one(s);
    }
    for (const core::Attempt& a : store.claim(store.request(session, round, 8)).attempts)
      EXPECT_EQ(store.finish(session, a, std::string(100'000, 'r')), FinishAnswer::Applied);
    store.turn_until([&] { return Outside(store.dir()).number("SELECT count(*) FROM tasks") == 0; });
    ASSERT_EQ(Outside(store.dir()).number("SELECT count(*) FROM results"), 0);
    const std::int64_t now = Outside(store.dir()).number("PRAGMA page_count");
    if (round == 2) pages = now;
  }
  EXPECT_GT(pages, 8 * 100'000 / 4096);
  EXPECT_LE(Outside(store.dir()).number("PRAGMA page_count"), pages + pages / 10) << "six rounds later";
}

TEST(File, TheWalIsReusedUnderLoad) {
  Engine store("fast");
  const FunctionId f = store.function();
  const SessionId session = store.session();
  std::uintmax_t most = 0;
  std::int64_t written = 0;
  for (std::uint64_t call = 1; call <= 300; ++call) {
    std::vector<Submission> batch;
    for (int i = 0; i < 20; ++i) batch.push_back(store.submission(f, std::string(100'000, 'x')));
    ASSERT_TRUE(store.submit(std::move(batch)));
    written += 20 * 100'000;
    for (const auto& a : store.claim(store.request(session, call, 40)).attempts) {
      FinishItem item{a.task, a.token, {}};
      store->finish(session, {item}, [](auto) {});
    }
    store.turn_until([&] { return store->counters().claimed == 0; });
    most = std::max(most, fs::file_size(store.dir() / "treadle.db-wal"));
  }
  EXPECT_GT(written, 500 << 20);
  EXPECT_LT(most, 260u << 20) << "32 MiB if the checkpointer keeps up, and never more than 256 and the last commit";
}

// ---- retention ----

// The real time, and a step.
class SteppedClock final : public Clock {
 public:
  Instant now() const override { return real_.now(); }
  WallMs wall() const override { return {real_.wall().ms + step_ms}; }
  std::atomic<std::int64_t> step_ms{0};

 private:
  runtime::SystemClock real_;
};

class Purging : public ::testing::Test {
 protected:
  Purging() : dir_(fs::temp_directory_path() / ("treadle-purge-" + std::to_string(runtime::os_random()))) {}
  ~Purging() override { fs::remove_all(dir_); }
  // Three tasks: completed, failed, waiting; then the store is closed.
  void fill() {
    Engine store("strict", [this](SqliteConfig& config) { config.dir = dir_; });
    const FunctionId f = store.function();
    const SessionId session = store.session();
    const std::string big(300 << 10, 'x');
    for (int i = 0; i < 3; ++i) store.submit_one(store.submission(f));
    store.finish(session, store.claim_one(session, 1), big);
    store.finish(session, store.claim_one(session, 2), big, ErrorKind::FunctionFailed);
    store->close();
  }
  // How many completed, failed and waiting tasks and blobs are left when the store has looked.
  std::string left_after(std::int64_t step_ms, std::function<void(SqliteConfig&)> configure = {}) {
    SteppedClock clock;
    clock.step_ms = step_ms;
    SqliteConfig config;
    config.dir = dir_;
    config.failure = failure_bytes;
    config.reserve_bytes = 1 << 20;
    config.purge_every = 20ms;
    if (configure) configure(config);
    auto store = open_sqlite(std::move(config), clock);
    EXPECT_TRUE(store);
    runtime::SystemClock real;
    for (const Instant end = real.now() + 200ms; real.now() < end; ::poll(nullptr, 0, 5)) (*store)->turn(real.now());
    refused_ = std::nullopt;
    (*store)->put_function({FunctionId(Uuid{6, 6}), "f", Digest{{6}}, {Buffer::of("b"), {}}, {}},
                           [&](Result<FunctionId> id) {
                             if (!id) refused_ = id.error().code;
                           });
    (*store)->close();
    Outside file(dir_);
    return std::to_string(file.number("SELECT count(*) FROM tasks WHERE state = 3")) + " " +
           std::to_string(file.number("SELECT count(*) FROM tasks WHERE state = 4")) + " " +
           std::to_string(file.number("SELECT count(*) FROM tasks WHERE state < 3")) + " " +
           std::to_string(blobs_in(dir_));
  }

  fs::path dir_;
  std::optional<Code> refused_;
};

constexpr std::int64_t kDay = 24ll * 3600 * 1000;

TEST_F(Purging, ByAgeOfTheEndAndStateAndNeverWhatWaits) {
  fill();
  EXPECT_EQ(left_after(6 * kDay), "1 1 1 2");
  EXPECT_EQ(left_after(8 * kDay), "0 1 1 1");
  EXPECT_EQ(left_after(29 * kDay), "0 1 1 1");
  EXPECT_EQ(left_after(29 * kDay, [](SqliteConfig& config) { config.keep_failed_ms = 0; }), "0 1 1 1");
}

TEST_F(Purging, BySizeButNoneYoungerThanAnHourAndThenNewThingsAreRefused) {
  fill();
  const auto small = [](SqliteConfig& config) { config.keep_bytes = 400 << 10; };
  EXPECT_EQ(left_after(60'000, small), "1 1 1 2");
  EXPECT_EQ(refused_, Code::DiskFull);
  EXPECT_EQ(left_after(2 * 3600 * 1000, small), "0 0 1 0");
  EXPECT_EQ(refused_, std::nullopt);
}

TEST_F(Purging, BodiesOfFunctionsThatWereDeletedUnlessSomethingNeedsThem) {
  {
    Engine store("strict", [this](SqliteConfig& config) { config.dir = dir_; });
    const auto put = [&](const char* body) { return store.function(core::Delivery::AtLeastOnce, body); };
    put("same");
    const FunctionId same = put("same"), waits = put("needed"), idle = put("unneeded");
    store.submit_one(store.submission(waits));
    for (const FunctionId id : {same, waits, idle})
      EXPECT_TRUE(store.ask<Result<bool>>([&](auto done) { store->delete_function(id, std::move(done)); }));
    store->close();
  }
  const auto bodies = [this] { return Outside(dir_).number("SELECT count(*) FROM bodies"); };
  EXPECT_EQ(bodies(), 3);
  left_after(30'000);
  EXPECT_EQ(bodies(), 4) << "a task may just have been accepted; and one more was registered";
  left_after(90'000);
  EXPECT_EQ(bodies(), 3);
  EXPECT_EQ(Outside(dir_).number("SELECT count(*) FROM bodies WHERE digest IN (SELECT f.digest FROM functions f JOIN "
                                 "tasks t ON t.function = f.no)"),
            1);
  EXPECT_EQ(Outside(dir_).number("SELECT count(*) FROM bodies WHERE digest IN (SELECT digest FROM functions WHERE "
                                 "deleted IS NULL)"),
            2);
}

}  // namespace
}  // namespace treadle::store::contract

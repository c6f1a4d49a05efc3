#include "store/sqlite/sqlite_table.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "store/sqlite/columns.h"
#include "store/sqlite/schema.h"

namespace treadle::store {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kRowsInPlace = 16;  // a batch below it is written by the loop itself at `fast`: a hop costs more

}  // namespace

// ---- opening ----

SqliteTable::SqliteTable(SqliteConfig config, LockFile lock)
    : config_(std::move(config)),
      lock_(std::move(lock)),
      blobs_(config_.dir + "/blobs", config_.durability == Durability::Strict) {}

Result<std::unique_ptr<SqliteTable>> SqliteTable::open(SqliteConfig config, const Clock& clock) {
  const std::string hint = ". Give this user the right to, or use another --data-dir.";
  std::error_code error;
  const bool is_new = fs::create_directories(config.dir, error);
  if (error)
    return fail(Code::StoreError, "cannot make the data directory " + config.dir + ": " + error.message() + hint);
  if (is_new) {
    fs::permissions(config.dir, fs::perms::owner_all, error);
    const fs::path parent = fs::absolute(config.dir).parent_path();
    if (!sync_folder(parent.string()))
      return fail(Code::StoreError, "cannot sync " + parent.string() + ": " + std::strerror(errno) + ".");
  }
  TRY(LockFile lock, LockFile::take(config.dir));
  std::unique_ptr<SqliteTable> table(new SqliteTable(std::move(config), std::move(lock)));
  if (auto opened = table->open_database(clock); !opened) return std::move(opened.error());
  return table;
}

Result<void> SqliteTable::open_database(const Clock& clock) try {
  const mode_t old_mask = umask(0077);
  db_ = Database(path(), Database::Mode::ReadWrite);
  db_.set_busy_timeout_ms(5000);
  const std::string mode = db_.text("PRAGMA journal_mode = WAL");
  umask(old_mask);
  if (mode != "wal")
    return fail(Code::StoreError, path() + " cannot use a write-ahead log (" + mode +
                                      "): is it on a network file system? Use a local --data-dir.");
  db_.run(
      "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864; PRAGMA "
      "cache_size = -16000;"
      "PRAGMA temp_store = MEMORY");
  if (auto migrated = migrate(db_, path()); !migrated) return migrated;
  if (!sync_folder(config_.dir))
    return fail(Code::StoreError, "cannot sync " + config_.dir + ": " + std::strerror(errno) + ".");
  last_seq_ = static_cast<std::uint64_t>(db_.integer("SELECT max(seq) FROM tasks"));
  last_function_no_ = static_cast<std::uint64_t>(db_.integer("SELECT max(no) FROM functions"));
  for (Statement paused = db_.prepare("SELECT name FROM meta WHERE name GLOB 'paused:*'"); paused.step();)
    paused_queues_.push_back(paused.text(0).substr(kPausedPrefix.size()));
  sweep_blobs();
  checkpointer_ = std::make_unique<Checkpointer>(path(), config_.durability != Durability::None);
  reader_ = std::make_unique<Reader>(path(), blobs_, mailbox_);
  writer_ = std::make_unique<Writer>(config_, clock, db_, blobs_, *checkpointer_, mailbox_);
  blob_writer_ = std::make_unique<BlobWriter>(config_, blobs_, *writer_, mailbox_);
  return {};
} catch (const SqliteError& error) {
  if (error.is_full())
    return fail(Code::DiskFull, "cannot open " + path() + ": the disk is full. Free some space and start again.");
  return fail(Code::StoreError, "cannot open " + path() + ": " + error.what());
}

// Files of payloads whose rows never became durable, or went just before the process ended.
void SqliteTable::sweep_blobs() {
  if (!fs::exists(config_.dir + "/blobs")) return;
  Statement args = db_.prepare("SELECT 1 FROM tasks t JOIN args a ON a.seq = t.seq WHERE t.id = ? AND a.bytes IS NULL");
  Statement result = db_.prepare(
      "SELECT 1 FROM tasks t JOIN results r ON r.seq = t.seq WHERE t.id = ? AND r.bytes IS NULL AND t.result_bytes > "
      "0");
  Statement body = db_.prepare("SELECT 1 FROM bodies WHERE lower(hex(digest)) = ? AND bytes IS NULL");
  blobs_.sweep([&](const std::string& file) {
    const std::size_t dot = file.find('.');
    const std::string stem = file.substr(0, dot), kind = dot == std::string::npos ? "" : file.substr(dot);
    Statement* rows = kind == ".body" ? &body : kind == ".args" ? &args : kind == ".result" ? &result : nullptr;
    const auto id = parse_uuid(stem);
    if (!rows || (rows != &body && !id)) return false;
    if (rows == &body) {
      rows->bind_text(1, stem);
    } else {
      rows->bind_id(1, *id);
    }
    const bool known = rows->step();
    rows->reset();
    return known;
  });
}

void SqliteTable::load_live(Callback<void(LiveRow)> row) {
  Database db(path(), Database::Mode::ReadOnly);  // the writer's connection is at work already
  std::unordered_map<std::uint64_t, FunctionRef> functions;
  Statement function =
      db.prepare(std::string("SELECT ") + kFunctionColumns + ", " + kOptionNames + " FROM functions f WHERE f.no = ?");
  Statement live = db.prepare(
      "SELECT seq, id, function, args_bytes, state, token, worker, claimed, started, attempt, losses, kills, "
      "retries_used, suspect,"
      " cancel_requested, cancel_reason, not_before, expires, " +
      kOptionNames + " FROM tasks INDEXED BY tasks_live WHERE state < 3 ORDER BY seq");
  while (live.step()) {
    LiveRow task;
    task.seq = static_cast<std::uint64_t>(live.integer(0));
    task.id = TaskId(live.id(1));
    const auto no = static_cast<std::uint64_t>(live.integer(2));
    FunctionRef& known = functions[no];
    if (!known) {
      function.bind(1, live.integer(2)).step();
      known = read_function_row(function);
      function.reset();
    }
    task.function = known;
    task.args_bytes = static_cast<std::uint64_t>(live.integer(3));
    task.state = static_cast<core::TaskState>(live.integer(4));
    task.token.value = static_cast<std::uint64_t>(live.integer(5));
    task.worker = live.text(6);
    task.times = {{live.integer(7)}, {live.integer(8)}};
    task.attempt = static_cast<std::uint32_t>(live.integer(9));
    task.losses = static_cast<std::uint32_t>(live.integer(10));
    task.kills = static_cast<std::uint32_t>(live.integer(11));
    task.retries_used = static_cast<std::uint32_t>(live.integer(12));
    task.suspect = live.integer(13) != 0;
    task.cancel_requested = live.integer(14) != 0;
    task.cancel_reason = live.text(15);
    task.not_before = {live.integer(16)};
    task.expires = {live.integer(17)};
    task.options = read_options(live, 18);
    row(std::move(task));
  }
}

std::uint64_t SqliteTable::last_seq() const { return last_seq_; }
std::uint64_t SqliteTable::last_function_no() const { return last_function_no_; }

// ---- commits ----

void SqliteTable::commit(Commit commit) {
  if (std::any_of(commit.changes.begin(), commit.changes.end(), is_big)) {
    flush();  // what was decided before must not come after it: the blob thread hands its commits straight to the
              // writer
    return blob_writer_->push(std::move(commit));
  }
  staged_rows_ += commit.changes.size();
  staged_.push_back(std::move(commit));
}

void SqliteTable::flush() {
  if (staged_.empty()) return;
  const std::size_t rows = std::exchange(staged_rows_, 0);
  const bool cheap = config_.durability != Durability::Strict && rows < kRowsInPlace;
  std::vector<Report> reports;
  if (cheap && writer_->write_here(staged_, reports)) {
    std::move(reports.begin(), reports.end(), std::back_inserter(reports_here_));
    staged_.clear();
    return;
  }
  writer_->push(std::exchange(staged_, {}));
}

std::vector<Report> SqliteTable::take_reports() {
  std::vector<Report> reports = mailbox_.take_reports();
  std::move(reports_here_.begin(), reports_here_.end(), std::back_inserter(reports));
  reports_here_.clear();
  return reports;
}

void SqliteTable::close() {
  reader_->close();
  blob_writer_->close();
  writer_->close();
  checkpointer_.reset();
}

// ---- reads ----

template <class Done, class Query>
void SqliteTable::ask(Done done, Query query) {
  reader_->ask([done = std::move(done), query = std::move(query)](Queries& queries) mutable -> Callback<void()> {
    return [answer = query(queries), done = std::move(done)]() mutable { done(std::move(answer)); };
  });
}

bool SqliteTable::deliver_reads() {
  auto reads = mailbox_.take_reads();
  for (auto& read : reads) read();
  return !reads.empty();
}

void SqliteTable::read_ended(std::vector<TaskId> ids, bool with_results, Done<std::vector<Result<EndedTask>>> done) {
  ask(std::move(done),
      [ids = std::move(ids), with_results](Queries& queries) { return queries.ended(ids, with_results); });
}
void SqliteTable::read_args(std::vector<std::pair<std::uint64_t, TaskId>> tasks, Done<std::vector<SeqArgs>> done) {
  ask(std::move(done), [tasks = std::move(tasks)](Queries& queries) { return queries.args(tasks); });
}
void SqliteTable::read_story(TaskId id, Done<Result<TaskStory>> done) {
  ask(std::move(done), [id](Queries& queries) { return queries.story(id); });
}
void SqliteTable::read_list(ListFilter filter, Done<Result<TaskPage>> done) {
  ask(std::move(done), [filter = std::move(filter)](Queries& queries) { return queries.list(filter); });
}
void SqliteTable::read_group(GroupFilter filter, Done<Result<GroupPage>> done) {
  ask(std::move(done), [filter = std::move(filter)](Queries& queries) { return queries.group(filter); });
}
void SqliteTable::read_submission(TaskId id, Done<Result<Submission>> done) {
  ask(std::move(done), [id](Queries& queries) { return queries.submission(id); });
}
void SqliteTable::read_function(FunctionId id, Done<Result<FunctionRecord>> done) {
  ask(std::move(done), [id](Queries& queries) { return queries.function(id); });
}
void SqliteTable::read_body(Digest digest, Done<Result<core::Payload>> done) {
  ask(std::move(done), [digest](Queries& queries) { return queries.body(digest); });
}
void SqliteTable::read_functions(FunctionFilter filter, Done<Result<std::vector<FunctionSummary>>> done) {
  ask(std::move(done), [filter = std::move(filter)](Queries& queries) { return queries.functions(filter); });
}

// ---- words ----

Level SqliteTable::level() const {
  switch (config_.durability) {
    case Durability::Strict: return Level::Power;
    case Durability::Fast: return Level::Process;
    case Durability::None: return Level::None;
  }
  return Level::None;
}

std::string SqliteTable::describe() const {
  return "SQLite " + path() + ", " + std::string(name_of(config_.durability));
}

}  // namespace treadle::store

#include "store/sqlite/schema.h"

#include <array>

namespace treadle::store {
namespace {

constexpr std::int64_t kApplicationId =
    0x54524431;  // "TRD1": `file treadle.db` names it, and foreign files are refused

// NULL stands for zero, empty or "not yet" wherever it is allowed: it costs one byte, and most rows use few columns.
constexpr const char* kVersion1 = R"sql(
CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE bodies(
  digest BLOB PRIMARY KEY,
  bytes BLOB                     -- NULL: in blobs/
);
CREATE TABLE functions(
  no INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  name TEXT,
  digest BLOB NOT NULL,          -- of bodies
  facts INTEGER NOT NULL,        -- of the body: core::PayloadFacts
  body_bytes INTEGER NOT NULL,
  created INTEGER NOT NULL,      -- wall clock, ms, like all instants here
  delivery INTEGER, isolation INTEGER, max_attempts INTEGER, retries INTEGER, retry_delay_ms INTEGER,
  time_limit_ms INTEGER, priority INTEGER, memory_limit INTEGER, queue TEXT, environment TEXT, more TEXT
);
CREATE TABLE tasks(
  seq INTEGER PRIMARY KEY,       -- order of age
  id BLOB NOT NULL UNIQUE,
  function INTEGER NOT NULL,     -- functions.no
  state INTEGER NOT NULL,        -- 0 queued, 1 claimed, 2 running, 3 completed, 4 failed
  error_kind INTEGER,            -- core::ErrorKind
  attempt INTEGER,
  token INTEGER,                 -- of the attempt that holds or ended it
  worker TEXT,
  losses INTEGER, kills INTEGER, retries_used INTEGER, suspect INTEGER,
  accepted INTEGER NOT NULL, not_before INTEGER, expires INTEGER,
  claimed INTEGER, started INTEGER, finished INTEGER,
  finish_seq INTEGER,            -- order of the commits that ended tasks
  args_bytes INTEGER, args_facts INTEGER, result_bytes INTEGER, result_facts INTEGER,
  cancel_requested INTEGER, cancel_reason TEXT, last_error TEXT,
  task_group TEXT, owner TEXT, idempotency_scope TEXT, idempotency_key TEXT, body_digest BLOB,
  delivery INTEGER, isolation INTEGER, max_attempts INTEGER, retries INTEGER, retry_delay_ms INTEGER,
  time_limit_ms INTEGER, priority INTEGER, memory_limit INTEGER, queue TEXT, environment TEXT, more TEXT,
  exit_code INTEGER, signal INTEGER, peak_rss INTEGER, cpu_us INTEGER, started_ns INTEGER, finished_ns INTEGER,
  parents BLOB, progress TEXT    -- reserved
);
CREATE INDEX tasks_live ON tasks(seq) WHERE state < 3;
CREATE INDEX tasks_group ON tasks(task_group, finish_seq) WHERE task_group IS NOT NULL;
CREATE UNIQUE INDEX tasks_key ON tasks(idempotency_scope, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE args(
  seq INTEGER PRIMARY KEY,
  bytes BLOB                     -- NULL: in blobs/
);
CREATE TABLE results(
  seq INTEGER PRIMARY KEY,
  bytes BLOB,                    -- NULL: in blobs/
  error_type TEXT, error_message TEXT, traceback TEXT, output TEXT
);
)sql";

// Functions are found by their names, and may be deleted.
constexpr const char* kVersion2 = R"sql(
ALTER TABLE functions ADD COLUMN deleted INTEGER;  -- when; the row stays for the tasks that refer to it
CREATE INDEX functions_name ON functions(name, no) WHERE deleted IS NULL;
)sql";

// A task may be kept shorter, or longer, than others.
constexpr const char* kVersion3 = R"sql(
ALTER TABLE tasks ADD COLUMN keep_until INTEGER;  -- of one that has ended: then it goes; NULL: as old as the others
CREATE INDEX tasks_keep ON tasks(keep_until) WHERE keep_until IS NOT NULL;
)sql";

// kSteps[n] brings a file from version n to n + 1. Steps are never changed once released.
constexpr std::array<const char*, kSchemaVersion> kSteps = {kVersion1, kVersion2, kVersion3};

}  // namespace

Result<void> migrate(Database& db, const std::string& path) {
  const std::int64_t version = db.integer("PRAGMA user_version");
  const std::int64_t application = db.integer("PRAGMA application_id");
  if (version > kSchemaVersion) {
    return fail(Code::StoreError, path + " was written by a newer treadle (schema " + std::to_string(version) +
                                      ", this one knows " + std::to_string(kSchemaVersion) +
                                      "); run that version, or use another --data-dir.");
  }
  if (application != kApplicationId && db.integer("SELECT count(*) FROM sqlite_schema") > 0) {
    return fail(Code::StoreError, path + " is a database of another program; use another --data-dir.");
  }
  for (auto step = static_cast<std::size_t>(version); step < kSteps.size(); ++step) {
    db.run("BEGIN IMMEDIATE");
    db.run(kSteps[step]);
    db.run("PRAGMA application_id = " + std::to_string(kApplicationId));
    db.run("PRAGMA user_version = " + std::to_string(step + 1));
    db.run("COMMIT");
  }
  return {};
}

}  // namespace treadle::store

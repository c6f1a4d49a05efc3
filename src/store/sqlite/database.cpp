#include "store/sqlite/database.h"

#include <sqlite3.h>

#include <endian.h>
#include <array>
#include <cstring>

namespace treadle::store {
namespace {

[[noreturn]] void raise(sqlite3* db, int code, std::string_view what) {
  std::string text = db ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  throw SqliteError(db ? sqlite3_extended_errcode(db) : code, std::string(what) + ": " + text);
}

}  // namespace

bool SqliteError::is_full() const { return (code & 0xff) == SQLITE_FULL || code == SQLITE_IOERR_SHMSIZE; }
bool SqliteError::is_busy() const { return (code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED; }

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Statement::Statement(sqlite3* db, std::string_view sql) : db_(db) {
  sqlite3_stmt* made = nullptr;
  if (const int code =
          sqlite3_prepare_v3(db, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &made, nullptr)) {
    raise(db, code, sql);
  }
  statement_.reset(made);
}

void Statement::check(int code) const {
  if (code != SQLITE_OK) raise(db_, code, sqlite3_sql(statement_.get()));
}

Statement& Statement::bind(int at, std::int64_t value) {
  check(sqlite3_bind_int64(statement_.get(), at, value));
  return *this;
}

Statement& Statement::bind_or_null(int at, std::int64_t value) { return value == 0 ? bind_null(at) : bind(at, value); }

Statement& Statement::bind_text(int at, std::string_view value) {
  if (value.empty()) return bind_null(at);
  check(sqlite3_bind_text64(statement_.get(), at, value.data(), value.size(), SQLITE_STATIC, SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind_blob(int at, std::string_view value) {
  const char* data = value.data() ? value.data() : "";
  check(sqlite3_bind_blob64(statement_.get(), at, data, value.size(), SQLITE_STATIC));
  return *this;
}

Statement& Statement::bind_id(int at, const Uuid& id) {
  const std::array<std::uint64_t, 2> bytes = {htobe64(id.hi), htobe64(id.lo)};
  check(sqlite3_bind_blob64(statement_.get(), at, bytes.data(), sizeof bytes, SQLITE_TRANSIENT));
  return *this;
}

Statement& Statement::bind_digest(int at, const Digest& digest) {
  if (digest == Digest{}) return bind_null(at);
  std::array<std::uint64_t, 4> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = htobe64(digest.words[i]);
  check(sqlite3_bind_blob64(statement_.get(), at, bytes.data(), sizeof bytes, SQLITE_TRANSIENT));
  return *this;
}

Statement& Statement::bind_null(int at) {
  check(sqlite3_bind_null(statement_.get(), at));
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  SqliteError error(sqlite3_extended_errcode(db_),
                    std::string(sqlite3_sql(statement_.get())) + ": " + sqlite3_errmsg(db_));
  sqlite3_reset(statement_.get());
  throw error;
}

void Statement::run() {
  while (step()) continue;
  reset();
}

void Statement::reset() { sqlite3_reset(statement_.get()); }

bool Statement::is_null(int column) const { return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL; }
std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
std::string Statement::text(int column) const { return std::string(blob(column)); }

std::string_view Statement::blob(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return data ? std::string_view(static_cast<const char*>(data), static_cast<std::size_t>(size)) : std::string_view();
}

Uuid Statement::id(int column) const {
  std::array<std::uint64_t, 2> bytes{};
  const std::string_view raw = blob(column);
  std::memcpy(bytes.data(), raw.data(), std::min(raw.size(), sizeof bytes));
  return {be64toh(bytes[0]), be64toh(bytes[1])};
}

Digest Statement::digest(int column) const {
  std::array<std::uint64_t, 4> bytes{};
  const std::string_view raw = blob(column);
  if (!raw.empty()) std::memcpy(bytes.data(), raw.data(), std::min(raw.size(), sizeof bytes));
  Digest digest;
  for (std::size_t i = 0; i < bytes.size(); ++i) digest.words[i] = be64toh(bytes[i]);
  return digest;
}

void Database::Close::operator()(sqlite3* db) const { sqlite3_close_v2(db); }

Database::Database(const std::string& path, Mode mode) {
  const int access = mode == Mode::ReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  sqlite3* made = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &made, access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  db_.reset(made);
  if (code != SQLITE_OK) raise(made, code, "opening " + path);
}

void Database::run(std::string_view sql) {
  char* message = nullptr;
  const int code = sqlite3_exec(db_.get(), std::string(sql).c_str(), nullptr, nullptr, &message);
  sqlite3_free(message);
  if (code != SQLITE_OK) raise(db_.get(), code, sql);
}

std::int64_t Database::integer(std::string_view sql) {
  Statement statement = prepare(sql);
  return statement.step() ? statement.integer(0) : 0;
}

std::string Database::text(std::string_view sql) {
  Statement statement = prepare(sql);
  return statement.step() ? statement.text(0) : std::string();
}

std::int64_t Database::changes() const { return sqlite3_changes64(db_.get()); }
bool Database::in_transaction() const { return sqlite3_get_autocommit(db_.get()) == 0; }
void Database::set_busy_timeout_ms(int ms) { sqlite3_busy_timeout(db_.get(), ms); }

}  // namespace treadle::store

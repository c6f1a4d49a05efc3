// A thin, owning wrapper around SQLite: connections, prepared statements, and errors as one exception type, which never
// leaves this folder: the writer and the readers catch it where they know what to do about it.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/buffer.h"
#include "base/ids.h"

struct sqlite3;
struct sqlite3_stmt;

namespace treadle::store {

struct SqliteError : std::runtime_error {
  SqliteError(int code_in, const std::string& what) : std::runtime_error(what), code(code_in) {}
  int code;  // SQLite's extended result code
  bool is_full() const;
  bool is_busy() const;
};

// A prepared statement. Parameters and columns are numbered from 1 and 0, as in SQLite. Bound texts and blobs must live
// until the next reset().
class Statement {
 public:
  Statement() = default;
  Statement(sqlite3* db, std::string_view sql);

  Statement& bind(int at, std::int64_t value);
  Statement& bind_or_null(int at, std::int64_t value);   // 0 is kept as NULL
  Statement& bind_text(int at, std::string_view value);  // "" is kept as NULL
  Statement& bind_blob(int at, std::string_view value);
  Statement& bind_id(int at, const Uuid& id);            // 16 bytes, most significant first
  Statement& bind_digest(int at, const Digest& digest);  // 32 bytes; all zero is kept as NULL
  Statement& bind_null(int at);

  bool step();  // true: there is a row
  void run();   // steps to the end and resets
  void reset();

  bool is_null(int column) const;
  std::int64_t integer(int column) const;
  std::string text(int column) const;
  std::string_view blob(int column) const;  // valid until the next step
  Uuid id(int column) const;
  Digest digest(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  void check(int code) const;
  sqlite3* db_ = nullptr;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// One connection, for one thread at a time.
class Database {
 public:
  enum class Mode { ReadWrite, ReadOnly };
  Database() = default;
  Database(const std::string& path, Mode mode);

  void run(std::string_view sql);  // one or more statements without parameters
  std::int64_t integer(std::string_view sql);
  std::string text(std::string_view sql);
  Statement prepare(std::string_view sql) { return Statement(db_.get(), sql); }
  std::int64_t changes() const;
  bool in_transaction() const;
  void set_busy_timeout_ms(int ms);
  sqlite3* raw() { return db_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* db) const;
  };
  std::unique_ptr<sqlite3, Close> db_;
};

}  // namespace treadle::store

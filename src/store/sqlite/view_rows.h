// How the queries of this folder read a row of a task, end their reads, and tell what went wrong.
#pragma once

#include <string>

#include "store/sqlite/database.h"
#include "store/store.h"

namespace treadle::store {

inline constexpr const char* kViewColumns = "t.id, f.id, t.state, t.error_kind, t.attempt";

inline TaskView view_of(const Statement& row, int at) {
  TaskView view;
  view.id = TaskId(row.id(at));
  view.function = FunctionId(row.id(at + 1));
  view.state = static_cast<core::TaskState>(row.integer(at + 2));
  view.error_kind = static_cast<core::ErrorKind>(row.integer(at + 3));
  view.attempt = static_cast<std::uint32_t>(row.integer(at + 4));
  return view;
}

inline Error read_error(const SqliteError& error) {
  return fail(Code::StoreError, std::string("The store cannot be read: ") + error.what());
}
inline Error no_task(TaskId id) { return fail(Code::NotFound, "There is no task " + to_string(id) + "."); }

// Ends a statement's read, however the function is left: an open one would pin the WAL.
class Reading {
 public:
  explicit Reading(Statement& statement) : statement_(statement) {}
  ~Reading() { statement_.reset(); }
  Reading(const Reading&) = delete;

 private:
  Statement& statement_;
};

}  // namespace treadle::store

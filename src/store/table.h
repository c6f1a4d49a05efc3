// The keeping half of a store: applies commits in order and reads back what is durable. SQLite's does both on threads
// of its own, the memory engine's at once. All methods are called on the loop thread; all answers are given there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/changes.h"

namespace treadle::store {

struct FunctionRecord {
  FunctionRef info;
  core::Payload body;
};
struct SeqArgs {
  std::uint64_t seq = 0;
  Result<core::Payload> args;
};

class Table {
 public:
  virtual ~Table() = default;

  // Why new things are refused now (the disk is full), if they are.
  virtual std::optional<Error> refuses_new() const { return std::nullopt; }
  // Takes a commit; its Report comes from take_reports().
  virtual void commit(Commit commit) = 0;
  // Lets go what was committed since the last call, as one batch.
  virtual void flush() = 0;
  virtual std::vector<Report> take_reports() = 0;
  // Runs callbacks of reads that are done. True: it ran some.
  virtual bool deliver_reads() = 0;

  virtual void load_live(Callback<void(LiveRow)> row) = 0;  // in order of seq; at start only
  virtual std::uint64_t last_seq() const = 0;
  virtual std::uint64_t last_function_no() const = 0;
  virtual std::vector<std::string> paused_queues() const = 0;  // at start only; "" = default

  // Missing or not terminal: NotFound. Results of the views are read only if `with_results`.
  virtual void read_ended(std::vector<TaskId> ids, bool with_results, Done<std::vector<Result<EndedTask>>> done) = 0;
  virtual void read_args(std::vector<std::pair<std::uint64_t, TaskId>> tasks, Done<std::vector<SeqArgs>> done) = 0;
  virtual void read_story(TaskId id, Done<Result<TaskStory>> done) = 0;
  virtual void read_list(ListFilter filter, Done<Result<TaskPage>> done) = 0;
  virtual void read_group(GroupFilter filter, Done<Result<GroupPage>> done) = 0;
  // Of a task that has FAILED; else Conflict.
  virtual void read_submission(TaskId id, Done<Result<Submission>> done) = 0;
  virtual void read_function(FunctionId id, Done<Result<FunctionRecord>> done) = 0;
  virtual void read_body(Digest digest, Done<Result<core::Payload>> done) = 0;
  virtual void read_functions(FunctionFilter filter, Done<Result<std::vector<FunctionSummary>>> done) = 0;

  // Removes tasks whose retention is over; for tables that do not see to it by themselves.
  virtual void drop_due(WallMs) {}

  virtual Level level() const = 0;
  virtual std::string describe() const = 0;
  virtual int wake_fd() const = 0;
  virtual void close() = 0;  // waits for commits and reads under way
};

}  // namespace treadle::store

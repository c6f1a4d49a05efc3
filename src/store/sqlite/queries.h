// Everything that is read back from the tables, on one read-only connection. Errors of the database come back as
// values.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "store/sqlite/blobs.h"
#include "store/sqlite/database.h"
#include "store/table.h"

namespace treadle::store {

class Queries {
 public:
  Queries(const std::string& path, const Blobs& blobs);

  std::vector<Result<EndedTask>> ended(const std::vector<TaskId>& ids, bool with_results);
  std::vector<SeqArgs> args(const std::vector<std::pair<std::uint64_t, TaskId>>& tasks);
  Result<TaskStory> story(TaskId id);
  Result<TaskPage> list(const ListFilter& filter);
  Result<GroupPage> group(const GroupFilter& filter);
  Result<Submission> submission(TaskId id);
  Result<FunctionRecord> function(FunctionId id);
  Result<core::Payload> body(Digest digest);
  Result<std::vector<FunctionSummary>> functions(const FunctionFilter& filter);

 private:
  void prepare_lists();
  Statement& statement_of(const ListFilter& filter);
  bool has_row(Statement& of_group, const std::string& group);
  Result<EndedTask> ended_one(TaskId id, bool with_result);
  Result<core::Payload> args_one(std::uint64_t seq, TaskId id);
  Result<Buffer> result_bytes(std::int64_t seq, TaskId id);
  Result<Buffer> body_bytes(const Digest& digest);

  Database db_;
  const Blobs& blobs_;
  Statement list_live_, list_group_live_, list_group_ended_, group_ends_, group_open_, group_known_;
  Statement ended_, result_, args_facts_, args_, story_, list_, list_group_, function_, body_, body_facts_, functions_,
      named_;
};

// The functions that tasks refer to, by number; shared by those who build tasks from rows.
FunctionRef read_function_row(const Statement& row);
inline const char* kFunctionColumns = "f.no, f.id, f.name, f.digest, f.facts, f.body_bytes, f.created";

}  // namespace treadle::store

// The table of the SQLite engine: a writer, a reader, a checkpointer and a blob thread around one file.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "store/sqlite/blob_writer.h"
#include "store/sqlite/checkpointer.h"
#include "store/sqlite/lock_file.h"
#include "store/sqlite/reader.h"
#include "store/sqlite/writer.h"
#include "store/table.h"

namespace treadle::store {

class SqliteTable final : public Table {
 public:
  static Result<std::unique_ptr<SqliteTable>> open(SqliteConfig config, const Clock& clock);

  std::optional<Error> refuses_new() const override { return writer_->refuses_new(); }
  void commit(Commit commit) override;
  void flush() override;
  std::vector<Report> take_reports() override;
  bool deliver_reads() override;
  void load_live(Callback<void(LiveRow)> row) override;
  std::uint64_t last_seq() const override;
  std::uint64_t last_function_no() const override;
  std::vector<std::string> paused_queues() const override { return paused_queues_; }
  void read_ended(std::vector<TaskId> ids, bool with_results, Done<std::vector<Result<EndedTask>>> done) override;
  void read_args(std::vector<std::pair<std::uint64_t, TaskId>> tasks, Done<std::vector<SeqArgs>> done) override;
  void read_story(TaskId id, Done<Result<TaskStory>> done) override;
  void read_list(ListFilter filter, Done<Result<TaskPage>> done) override;
  void read_group(GroupFilter filter, Done<Result<GroupPage>> done) override;
  void read_submission(TaskId id, Done<Result<Submission>> done) override;
  void read_function(FunctionId id, Done<Result<FunctionRecord>> done) override;
  void read_body(Digest digest, Done<Result<core::Payload>> done) override;
  void read_functions(FunctionFilter filter, Done<Result<std::vector<FunctionSummary>>> done) override;
  Level level() const override;
  std::string describe() const override;
  int wake_fd() const override { return mailbox_.fd(); }
  void close() override;

 private:
  SqliteTable(SqliteConfig config, LockFile lock);
  Result<void> open_database(const Clock& clock);
  void sweep_blobs();
  std::string path() const { return config_.dir + "/treadle.db"; }
  template <class Done, class Query>
  void ask(Done done, Query query);

  SqliteConfig config_;
  LockFile lock_;
  Blobs blobs_;
  Mailbox mailbox_;
  Database db_;  // the writer's, once there is one
  std::uint64_t last_seq_ = 0, last_function_no_ = 0;
  std::vector<std::string> paused_queues_;  // at start
  std::unique_ptr<Checkpointer> checkpointer_;
  std::unique_ptr<Reader> reader_;
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<BlobWriter> blob_writer_;
  std::vector<Commit> staged_;
  std::size_t staged_rows_ = 0;
  std::vector<Report> reports_here_;  // of batches that were written in place
};

}  // namespace treadle::store

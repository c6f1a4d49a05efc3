// The table of the memory engine: maps, on the loop thread. What was handed over becomes durable in order, when it is
// asked to.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "store/table.h"

namespace treadle::store {

class MemoryTable final : public Table {
 public:
  // `manual`: nothing is applied until apply_up_to().
  explicit MemoryTable(bool manual) : manual_(manual) {}

  void commit(Commit commit) override;
  void flush() override;
  std::vector<Report> take_reports() override { return std::exchange(reports_, {}); }
  bool deliver_reads() override { return false; }
  void load_live(Callback<void(LiveRow)> row) override;
  std::uint64_t last_seq() const override { return last_seq_; }
  std::uint64_t last_function_no() const override {
    return functions_by_no_.empty() ? 0 : functions_by_no_.rbegin()->first;
  }
  std::vector<std::string> paused_queues() const override { return {paused_.begin(), paused_.end()}; }
  void read_ended(std::vector<TaskId> ids, bool with_results, Done<std::vector<Result<EndedTask>>> done) override;
  void read_args(std::vector<std::pair<std::uint64_t, TaskId>> tasks, Done<std::vector<SeqArgs>> done) override;
  void read_story(TaskId id, Done<Result<TaskStory>> done) override;
  void read_list(ListFilter filter, Done<Result<TaskPage>> done) override;
  void read_group(GroupFilter filter, Done<Result<GroupPage>> done) override;
  void read_submission(TaskId id, Done<Result<Submission>> done) override;
  void read_function(FunctionId id, Done<Result<FunctionRecord>> done) override;
  void read_body(Digest digest, Done<Result<core::Payload>> done) override;
  void read_functions(FunctionFilter filter, Done<Result<std::vector<FunctionSummary>>> done) override;
  void drop_due(WallMs now) override;
  Level level() const override { return Level::None; }
  std::string describe() const override { return "memory: nothing outlives the process"; }
  int wake_fd() const override { return -1; }
  void close() override;

  // Commits are numbered from 1 as they come.
  std::uint64_t commits() const { return applied_ + waiting_.size(); }
  std::uint64_t applied() const { return applied_; }
  void apply_up_to(std::uint64_t number);
  void forget_waiting();  // a crash
  std::uint64_t terminal_twice() const { return terminal_twice_; }

 private:
  struct Group {
    std::uint64_t tasks = 0;
    std::map<std::uint64_t, std::uint64_t> ends;  // finish_seq -> seq
  };
  struct Row {
    LiveRow live;
    core::Payload args;
    std::string idempotency;
    Digest body_digest;
    std::string group, owner, last_error;
    WallMs accepted, finished;
    core::Outcome outcome;
    std::uint64_t finish_seq = 0;
    WallMs keep_until;
  };

  void apply(change::Insert& insert, Report& report);
  void apply(change::Claim& claim, Report& report);
  void apply(change::Start& start, Report& report);
  void apply(change::Finish& finish, Report& report);
  void apply(change::Requeue& requeue, Report& report);
  void apply(change::RequestCancel& cancel, Report& report);
  void apply(change::PutFunction& put, Report& report);
  void apply(change::DeleteFunction& gone, Report& report);
  void apply(change::PauseQueue& pause, Report& report);
  const Row* find(TaskId id) const;
  TaskView view_of(const Row& row, bool with_result) const;

  bool manual_;
  std::deque<Commit> waiting_;
  std::vector<Report> reports_;
  std::uint64_t applied_ = 0;
  std::map<std::uint64_t, Row> rows_;               // by seq
  std::set<std::pair<WallMs, std::uint64_t>> due_;  // (keep_until, seq)
  std::unordered_map<TaskId, std::uint64_t> seqs_;
  std::unordered_map<std::string, std::uint64_t> keys_;  // scope, NUL, key -> seq
  std::unordered_map<FunctionId, FunctionRef> functions_;
  std::map<std::uint64_t, FunctionRef> functions_by_no_;
  std::unordered_set<FunctionId> deleted_;
  std::unordered_map<std::string, Group> groups_;
  std::set<std::string> paused_;
  std::map<Digest, core::Payload> bodies_;
  std::uint64_t last_seq_ = 0;
  std::uint64_t finish_seq_ = 0;
  std::uint64_t terminal_twice_ = 0;
};

}  // namespace treadle::store

// A Store made of a ledger, which decides, and a table, which keeps: holds back every answer that asserts something
// until the table has reported the commit that it rests on. The SQLite and the memory engine are this with their own
// table.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/byte_lru.h"
#include "store/ledger.h"
#include "store/live_table.h"
#include "store/table.h"
#include "store/waiters.h"

namespace treadle::store {

struct LedgerStoreConfig {
  LedgerConfig ledger;
  std::uint64_t recent_bytes = 64ull << 20;  // of terminal tasks that are answered without reading
  std::uint64_t bodies_bytes = 64ull << 20;  // of function bodies likewise
  std::size_t max_waiters = core::limits::kMaxWaiters;
};

class LedgerStore : public Store {
 public:
  LedgerStore(LedgerStoreConfig config, const Clock& clock, std::unique_ptr<Table> table);
  ~LedgerStore() override;

  void put_function(core::Function function, Done<Result<FunctionId>> done) override;
  void get_function(FunctionId id, Done<Result<core::Function>> done) override;
  void get_body(Digest digest, Done<Result<core::Payload>> done) override;
  void list_functions(FunctionFilter filter, Done<Result<std::vector<FunctionSummary>>> done) override;
  void delete_function(FunctionId id, Done<Result<bool>> done) override;
  void submit(std::vector<Submission> batch, Done<Result<std::vector<Result<SubmitAnswer>>>> done) override;
  void get(std::vector<TaskId> ids, bool with_results, Done<std::vector<Result<TaskView>>> done) override;
  void story(TaskId id, Done<Result<TaskStory>> done) override;
  void list(ListFilter filter, Done<Result<TaskPage>> done) override;
  void wait(TaskId id, Instant deadline, Done<Result<TaskView>> done) override;
  void cancel(TaskId id, std::string reason, Done<Result<CancelAnswer>> done) override;
  void submission(TaskId id, Done<Result<Submission>> done) override;
  void group_ends(GroupFilter filter, Done<Result<GroupPage>> done) override;
  void on_end(Callback<void()> hint) override { end_hint_ = std::move(hint); }
  void queues(Done<Result<std::vector<QueueReport>>> done) override;
  void pause_queue(std::string queue, bool paused, Done<Result<void>> done) override;
  void claim(ClaimRequest request, Done<Result<ClaimAnswer>> done) override;
  void started(std::vector<StartedItem> batch) override;
  void report_live(std::vector<core::LiveItem> items) override;
  void live(TaskId id, bool follow, Done<Result<LiveView>> done) override;
  void on_follow(Callback<void(std::vector<TaskId>)> hint) override { follow_hint_ = std::move(hint); }
  void finish(SessionId session, std::vector<FinishItem> batch, Done<Result<std::vector<FinishAnswer>>> done) override;
  void requeue(SessionId session, std::vector<RequeueItem> batch,
               Done<Result<std::vector<RequeueAnswer>>> done) override;
  void on_work(Callback<void()> hint) override { work_hint_ = std::move(hint); }
  void on_revoke(Callback<void(std::vector<AdoptItem>)> hint) override { revoke_hint_ = std::move(hint); }
  void open_session(SessionId id, std::string name, Done<Result<void>> done) override;
  void renew(SessionId id, std::vector<AdoptItem> revokes_done, Done<Result<RenewAnswer>> done) override;
  void adopt(SessionId to, std::vector<AdoptItem> batch, Done<Result<std::vector<AdoptAnswer>>> done) override;
  void reassert(SessionId session, std::vector<ReassertItem> batch,
                Done<Result<std::vector<AdoptAnswer>>> done) override;
  void reap(SessionId other, std::uint64_t beat_seen, Done<Result<bool>> done) override;
  void report_workers(SessionId session, std::vector<WorkerReport> workers) override;
  void workers(Done<Result<std::vector<WorkerReport>>> done) override;
  Counters counters() const override;
  Level level() const override { return table_->level(); }
  std::string describe() const override { return table_->describe(); }
  int wake_fd() const override { return table_->wake_fd(); }
  bool turn(Instant now) override;
  Instant next_deadline() const override;
  void close() override;

 protected:
  Table& table() { return *table_; }
  const Table& table() const { return *table_; }
  // As after a crash: what had no durable ticket is forgotten, with everybody who waited, and the ledger is made anew.
  void restart();

 private:
  using OnDurable = Callback<void(const Report&)>;
  struct Held {  // everything that waits for one commit
    std::vector<Ending> endings;
    std::vector<OnDurable> answers;
  };
  struct Recent {
    EndedTask task;
    bool result_elsewhere = false;  // too big to be kept here
  };
  struct SubmitCall;
  template <class Answer>
  struct ItemCall;

  Now now() const { return {clock_.now(), clock_.wall()}; }
  std::optional<Error> closed() const;
  void load();

  // ledger_store.cpp: commits and what waits for them
  std::uint64_t commit(Decisions decisions, OnDurable answer);
  void commit_split(Decisions decisions, OnDurable answer);
  void after(std::uint64_t ticket, OnDurable answer);
  bool handle_reports();
  void settle(Ending& ending);
  void read_ahead();
  void read_args(const std::vector<std::uint32_t>& slots, Callback<void()> then);

  // ledger_store_tasks.cpp: what clients ask for
  void submit_known(std::vector<Submission> batch, const std::unordered_map<FunctionId, FunctionRef>& functions,
                    Done<Result<std::vector<Result<SubmitAnswer>>>> done);
  void report_submit(SubmitCall& call, const Report& report);
  std::optional<Result<TaskView>> hot_view(TaskId id, bool with_result);
  bool is_over(const EndedTask& task) const { return task.keep_until.ms != 0 && task.keep_until <= clock_.wall(); }
  void answer_late_waiter(TaskId id, Waiters::Answer answer);

  // ledger_store_dispatch.cpp: what dispatchers ask for
  void answer_claim(SessionId session, std::uint64_t call, Done<Result<ClaimAnswer>> done);
  template <class Answer>
  void look_up_ended(std::shared_ptr<ItemCall<Answer>> call, std::vector<std::pair<std::size_t, core::Held>> cold);

  LedgerStoreConfig config_;
  const Clock& clock_;
  std::unique_ptr<Table> table_;
  std::unique_ptr<Ledger> ledger_;
  std::uint64_t next_ticket_ = 1;
  std::uint64_t next_function_no_ = 1;
  std::unordered_map<std::uint64_t, Held> held_;                     // by ticket
  boost::unordered_flat_map<std::uint32_t, std::uint64_t> tickets_;  // of pending and ending slots
  ByteLru<TaskId, Recent> recent_;
  ByteLru<FunctionId, FunctionRef> functions_;
  std::uint64_t deletions_ = 0;  // of functions: a read that one of them overtook is not believed
  ByteLru<Digest, core::Payload, DigestHash> bodies_;
  Waiters waiters_;
  Callback<void()> work_hint_, end_hint_;
  bool ended_ = false;  // tasks have, since the last hint
  Callback<void(std::vector<AdoptItem>)> revoke_hint_;
  Callback<void(std::vector<TaskId>)> follow_hint_;
  LiveTable live_;
  std::unordered_map<SessionId, std::vector<WorkerReport>> worker_reports_;
  Counters counters_;
  std::uint64_t life_ = 1;  // grows with each restart(): answers of reads that an earlier life began are dropped
  bool closed_ = false;
};

}  // namespace treadle::store

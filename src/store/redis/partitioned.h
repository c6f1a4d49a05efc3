// A store in partitions: one engine for each, and what is asked of the store is asked of the engine whose keys it is
// about, or of all. A partition that is away keeps only what is its own from being done.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "store/redis/engine.h"
#include "store/store.h"

namespace treadle::store::redis {

class Partitioned final : public Store {
 public:
  Partitioned(std::vector<std::unique_ptr<Engine>> engines, std::string shown, std::size_t max_waiters,
              const Clock& clock);
  ~Partitioned() override;

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
  void on_end(Callback<void()> hint) override;
  void queues(Done<Result<std::vector<QueueReport>>> done) override;
  void pause_queue(std::string queue, bool paused, Done<Result<void>> done) override;
  void claim(ClaimRequest request, Done<Result<ClaimAnswer>> done) override;
  void started(std::vector<StartedItem> batch) override;
  void report_live(std::vector<core::LiveItem> items) override;
  void live(TaskId id, bool follow, Done<Result<LiveView>> done) override;
  void on_follow(Callback<void(std::vector<TaskId>)> hint) override;
  void finish(SessionId session, std::vector<FinishItem> batch, Done<Result<std::vector<FinishAnswer>>> done) override;
  void requeue(SessionId session, std::vector<RequeueItem> batch,
               Done<Result<std::vector<RequeueAnswer>>> done) override;
  void on_work(Callback<void()> hint) override;
  void on_revoke(Callback<void(std::vector<AdoptItem>)> hint) override;
  void open_session(SessionId id, std::string name, Done<Result<void>> done) override;
  void renew(SessionId id, std::vector<AdoptItem> revokes_done, Done<Result<RenewAnswer>> done) override;
  void adopt(SessionId to, std::vector<AdoptItem> batch, Done<Result<std::vector<AdoptAnswer>>> done) override;
  void reassert(SessionId session, std::vector<ReassertItem> batch,
                Done<Result<std::vector<AdoptAnswer>>> done) override;
  void reap(SessionId other, std::uint64_t beat_seen, Done<Result<bool>> done) override;
  void report_workers(SessionId session, std::vector<WorkerReport> workers) override;
  void workers(Done<Result<std::vector<WorkerReport>>> done) override;
  Counters counters() const override;
  Level level() const override;
  std::string describe() const override;
  int wake_fd() const override { return -1; }
  bool turn(Instant now) override;
  Instant next_deadline() const override;
  void close() override;

 private:
  struct Round;
  // What a session of ours has to do with one partition.
  struct Share {
    bool open = false;                       // it is known there
    std::uint64_t calls = 0;                 // number of its last claim, which each partition counts for itself
    std::optional<ClaimRequest> unanswered;  // said again until it is answered: it may have taken tasks
    bool in_flight = false;
    bool has_work = true;  // it had more, or somebody said so
    Instant not_before;    // after an error
  };
  struct Session {
    std::string name;
    std::vector<Share> shares;
    std::uint64_t last_call = 0;
    std::unique_ptr<Round> round;                          // a claim that is not answered yet
    std::vector<std::pair<unsigned, ClaimRequest>> given;  // what the last claim asked and got something for
    std::vector<core::Attempt> late;                       // came when their round was over: given with the next
    unsigned begin = 0;                                    // partition to ask first
  };
  // Of another dispatcher's session: its beat in each partition that knows it, as last read. Their sum stands still
  // when all do.
  using Beats = std::map<unsigned, std::uint64_t>;

  unsigned count() const { return static_cast<unsigned>(engines_.size()); }
  unsigned number_of(const Uuid& id) const { return partition_of(id, count()); }
  Engine& engine_of(const Uuid& id) { return *engines_[number_of(id)]; }
  template <class Answer, class Item, class Ask>
  void ask_each(std::vector<Item> batch, Done<Result<std::vector<Answer>>> done, Ask ask);
  void get_body_from(unsigned first, unsigned tried, Digest digest, Done<Result<core::Payload>> done);
  void get_function_from(unsigned tried, FunctionId id, Done<Result<core::Function>> done);
  void workers_from(unsigned tried, Done<Result<std::vector<WorkerReport>>> done);

  // partitioned_claims.cpp
  Session* find(SessionId id);
  static bool may_have_work(const Share& share) { return share.has_work || share.unanswered.has_value(); }
  void begin_round(SessionId id, Session& session, ClaimRequest request, Done<Result<ClaimAnswer>> done);
  void ask_next(SessionId id, Session& session);
  void ask(SessionId id, Session& session, unsigned partition);
  void take_answer(SessionId id, unsigned partition, std::uint64_t call, Result<ClaimAnswer> answer);
  void end_round(Session& session);
  void heard_of_work(unsigned partition);
  bool end_late_rounds(Instant now);
  // partitioned_sessions.cpp
  void open_in(unsigned partition, SessionId id, Done<Result<void>> done);
  void renew_in(unsigned partition, SessionId id, std::vector<AdoptItem> revokes_done, Done<Result<RenewAnswer>> done);
  Result<RenewAnswer> merged(SessionId id, std::vector<Result<RenewAnswer>>& answers);

  std::vector<std::unique_ptr<Engine>> engines_;
  const std::string shown_;
  const std::size_t max_waiters_;
  const Clock& clock_;
  std::unordered_map<SessionId, Session> sessions_;  // opened here
  std::unordered_map<SessionId, Beats> others_;
  Callback<void()> work_hint_, end_hint_;
  bool hinted_ = false;  // since the last claim: once is enough
};

}  // namespace treadle::store::redis

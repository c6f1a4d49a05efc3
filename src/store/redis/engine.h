// The store port on Redis: what is asked becomes scripts and commands, what comes back becomes answers, all within
// turn().
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "store/byte_lru.h"
#include "store/live_table.h"
#include "store/redis/caller.h"
#include "store/redis/config.h"
#include "store/redis/fields.h"
#include "store/redis/partition.h"
#include "store/redis/submitter.h"
#include "store/redis/topology.h"
#include "store/redis/uploader.h"
#include "store/store.h"
#include "store/waiters.h"

namespace treadle::store::redis {

// A page of a list with the time of each task's acceptance (us), by which pages of several partitions are merged.
struct ScoredPage {
  struct Row {
    std::uint64_t score = 0;
    TaskView task;
  };
  std::vector<Row> rows;   // newest first
  std::uint64_t next = 0;  // everything from here up was looked at, and there is more below; 0: there is not
};

class Engine final : public Store {
 public:
  // Of one partition. `topology` has its home; the last engine to close closes it.
  Engine(boost::asio::io_context& io, RedisConfig config, const Clock& clock, std::shared_ptr<Topology> topology,
         Partition partition);
  ~Engine() override;

  // Of open_redis(): until nothing is waited for; runs `io`, for at most `limit`.
  bool run_until_idle(Duration limit);
  // Redis is not the one that it was taken for (partitions, schema): why.
  std::optional<Error> check_layout();
  void set_level(Level level) { level_ = level; }
  std::size_t waiters() const { return waiters_.size(); }
  static Error too_many_waiters(std::size_t limit);
  void list_scored(ListFilter filter, Done<Result<ScoredPage>> done);
  bool reachable() { return home_.small().client().connected(); }

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
  Level level() const override { return level_; }
  std::string describe() const override;
  int wake_fd() const override { return -1; }
  bool turn(Instant now) override;
  Instant next_deadline() const override;
  void close() override;

 private:
  struct FinishCall;
  struct ClaimCall;
  struct ListCall;
  template <class Answer>
  struct BatchCall;

  std::optional<Error> closed() const;
  std::string key(const std::string& name) const { return prefix_ + name; }

  // engine.cpp: what answers have in common
  void count(const Reply& counts);
  void take_ended(const Reply& ended);
  bool run_later();
  void flush();
  void sweep();

  // engine_tasks.cpp
  void read_view(TaskId id, bool with_result, Done<Result<TaskView>> done);
  void add_result_to(TaskView view, const Fields& fields, Done<Result<TaskView>> done);
  enum class Deleted : bool { Unknown, Known };  // what a deleted function is
  void find_function(FunctionId id, Done<Result<core::Function>> done);
  void read_function(FunctionId id, Deleted deleted, Done<Result<core::Function>> done);
  void finish_function(core::Function function, Result<Reply> body, bool has_facts, Done<Result<core::Function>> done);
  void list_page(std::shared_ptr<ListCall> call);
  void list_functions_page(FunctionFilter filter, std::vector<FunctionSummary> found,
                           Done<Result<std::vector<FunctionSummary>>> done);

  // engine_groups.cpp
  struct QueuesCall;
  void count_held(const std::shared_ptr<QueuesCall>& call);
  void count_held_of(const std::shared_ptr<QueuesCall>& call, const std::string& session);

  // engine_claims.cpp
  void read_claim(std::shared_ptr<ClaimCall> call, const Reply& reply);
  void read_attempt(const std::shared_ptr<ClaimCall>& call, std::size_t at, const Reply& item);
  void give_args(const std::shared_ptr<ClaimCall>& call, std::size_t at, Result<core::Payload> args);
  void claim_part_done(const std::shared_ptr<ClaimCall>& call);
  void fail_attempt(SessionId session, core::Held attempt, const std::string& why);
  void finish_some(const std::shared_ptr<FinishCall>& call, std::vector<std::size_t> items, bool apart);
  void read_finish(FinishCall& call, const std::vector<std::size_t>& items, const Reply& reply);

  // engine_sessions.cpp
  bool take_over(SessionId other, std::uint64_t beat, const std::string& name);
  void reap_page(SessionId other, std::uint64_t beat_seen, bool ours, Done<Result<bool>> done);
  template <class Item, class AddItem>
  void hold(Script script, SessionId to, const std::vector<Item>& batch, AddItem add,
            Done<Result<std::vector<AdoptAnswer>>> done);

  // engine_waits.cpp
  void hear(std::string_view channel, std::string_view message);
  bool is_ours(const std::optional<TaskId>& id) const;
  void listen_for_ends();
  void stop_listening();
  void look_at(TaskId id);
  void look_at_all();
  void enter_foreign();
  bool serve_waiters(Instant now);
  bool serve_hints(Instant now);

  RedisConfig config_;
  const Clock& clock_;
  boost::asio::io_context& io_;
  const std::string prefix_;  // of the partition's keys
  Caller::Later later_;
  const Partition partition_;
  std::shared_ptr<Topology> topology_;
  Home& home_;
  Caller caller_;
  Uploader bulk_;
  Submitter submitter_;
  ByteLru<FunctionId, core::Function> functions_;
  ByteLru<Digest, FunctionId, DigestHash> body_owners_;  // where a body was seen last
  LiveTable live_;                                       // as this process wrote it
  Waiters waiters_;
  bool done_heard_ = false;                 // treadle:done is subscribed, or being so
  bool done_confirmed_ = false;             // so that what is read from now on misses no end
  std::unordered_set<TaskId> ended_hints_;  // waited for, and said to have ended
  std::vector<std::string> foreign_;        // ids that a hint named and that none of our gateways made
  std::vector<AdoptItem> revoke_hints_;
  std::vector<TaskId> follow_hints_;
  std::unordered_map<SessionId, std::uint64_t> sessions_;  // opened here, and Home::moves() at that time
  Callback<void()> work_hint_, end_hint_;
  bool end_heard_ = false;  // tasks have ended since the last end_hint_
  Callback<void(std::vector<AdoptItem>)> revoke_hint_;
  Callback<void(std::vector<TaskId>)> follow_hint_;
  bool hungry_ = false;                  // a claim found its queues empty
  bool work_heard_ = false;              // somebody said since the last claim was sent that there is work
  Instant work_due_ = Instant::never();  // a delayed task is due then
  Instant backstop_at_ = Instant::never();
  const Instant begun_;
  Instant sweep_at_;
  std::string sweep_from_;
  bool sweeping_ = false;
  std::uint64_t schema_ = 0, partitions_ = 0;  // as Redis has them
  Counters counters_;
  Level level_ = Level::None;
  bool closed_ = false;
};

}  // namespace treadle::store::redis

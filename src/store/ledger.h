// Decides, in memory and at once, what becomes of every task that is not terminal: submit, claim, finish, give back,
// cancel, expire, sessions. No I/O, no clock, no callbacks: time is passed in, and what must be kept comes out as rows.
//
// A decision counts from the moment it is made; the world may hear of it when its rows are durable. A task that is
// decided to be terminal stays here, "ending", until forget(); a submitted one is "pending" until activate().
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "store/changes.h"
#include "store/entries.h"
#include "store/profiles.h"
#include "store/ready_queue.h"
#include "store/sessions.h"
#include "store/task_index.h"

namespace treadle::store {

struct Now {
  Instant instant;
  WallMs wall;
};

// A task that was decided to be terminal: what readers will see once that is durable.
struct Ending {
  std::uint32_t slot = 0;
  EndedTask task;
};

// What a decision asks for. Rows and endings of several decisions may be gathered into one.
struct Decisions {
  Changes changes;
  std::vector<Ending> endings;
};

struct LedgerConfig {
  std::uint64_t max_queued = core::limits::kMaxQueued;
  std::uint64_t max_queued_bytes = core::limits::kMaxQueuedBytes;
  std::uint64_t args_cache_bytes = 64ull << 20;  // arguments of waiting tasks that are kept in memory
  Duration adoption_window{0};                   // 0: every worker died with the last process
  FailureWriter failure;
};

struct CancelDecision {
  CancelAnswer answer = CancelAnswer::Missing;
  SessionId tell;  // whose attempt it is, when Requested; nil: nobody's
  core::Held attempt;
};

class Ledger {
 public:
  static constexpr std::uint32_t kNone = TaskIndex::kNone;

  Ledger(LedgerConfig config, Now birth);

  // ---- at start, in order of seq ----
  void load(LiveRow row, Now now, Decisions& out);
  void set_next_seq(std::uint64_t seq) { next_seq_ = seq; }

  // ---- submit ----
  Result<void> admit(std::size_t tasks, std::uint64_t bytes) const;
  // Nothing is checked here. The slot is pending: activate() or drop() it when the commit is reported.
  std::uint32_t submit(Submission task, const FunctionRef& function, Now now, Decisions& out);
  void activate(std::uint32_t slot, Now now);
  void drop(std::uint32_t slot);

  // ---- claims ----
  // kNone: not here (terminal, pending or unknown).
  std::uint32_t find(TaskId id) const;
  std::uint32_t find_even_pending(TaskId id) const { return index_.find(id); }
  FunctionId function_of(std::uint32_t slot) const { return profile(entries_[slot]).function->id; }
  const Entry& entry(std::uint32_t slot) const { return entries_[slot]; }
  // At most tokens.size() attempts for a live session. `more` tells whether something is left. `synced`: a row must be
  // durable before the attempts may be sent.
  std::vector<core::Held> claim(const ClaimRequest& request, Now now, Decisions& out, bool& more, bool& synced);
  // Still the attempt of this token, owned by this session.
  bool is_held(core::Held attempt, SessionId session) const;
  core::Attempt attempt_of(std::uint32_t slot, Instant now) const;  // the arguments are there
  void started(const StartedItem& item, Now now, Decisions& out);

  // ---- endings ----
  FinishAnswer finish(FinishItem& item, Now now, Decisions& out);
  RequeueAnswer requeue(SessionId session, RequeueItem& item, Now now, Decisions& out);
  CancelDecision cancel(TaskId id, const std::string& reason, Now now, Decisions& out);
  // Its arguments cannot be read back: it fails, since running it without them would be wrong.
  void fail_unreadable(std::uint32_t slot, const std::string& why, Now now, Decisions& out);
  void forget(std::uint32_t slot);  // its end is durable

  // ---- queues (ledger_queues.cpp) ----
  struct QueueFigures {
    std::string name;  // "" = default
    std::uint64_t queued = 0, running = 0;
    TaskId oldest;  // nil: none is queued
    bool paused = false;
  };
  std::vector<QueueFigures> queues();  // that have tasks, or are paused; in the order of their names
  void pause(const std::string& queue, bool paused, Now now, Decisions& out);
  void restore_pause(const std::string& queue) { paused_.insert(queue); }

  // ---- sessions ----
  Sessions& sessions() { return sessions_; }
  AdoptAnswer adopt(SessionId to, core::Held attempt);
  AdoptAnswer reassert(SessionId to, const ReassertItem& item, Now now, Decisions& out);
  bool reap(SessionId other, std::uint64_t beat_seen, Now now, Decisions& out);

  // ---- time ----
  void tick(Now now, Decisions& out);  // delays that are over, waits that are too long, adoptions that did not come
  Instant next_deadline() const;

  // ---- arguments ----
  bool has_args(std::uint32_t slot) const { return args_.contains(slot); }
  void put_args(std::uint32_t slot, core::Payload args);
  // Slots whose arguments are wanted soon and are not in memory, in the order of claiming; each is named once.
  std::vector<std::uint32_t> wanted_args();

  // True once after a queue that a claim had found empty has work again.
  bool take_work_hint() { return std::exchange(work_hint_, false); }

  std::uint64_t queued() const { return queued_; }  // pending and delayed ones too
  std::uint64_t queued_bytes() const { return queued_bytes_; }
  std::uint64_t claimed() const { return claimed_; }
  std::uint64_t running() const { return running_; }
  std::uint64_t delayed() const { return delayed_.size(); }
  std::string cancel_reason(std::uint32_t slot) const;
  void tell(std::uint32_t slot, TaskStory& story) const;  // what the table does not know: claims live here only

 private:
  // Of few tasks: what has no place in an entry.
  struct Details {
    std::string cancel_reason;
    std::string last_error;
    Instant due;                         // Where::Delayed
    Instant expires = Instant::never();  // a wait limit of its own
  };
  struct Holding {  // of every task that is claimed or runs
    Token token;
    SessionId session;  // nil: of the last process, waiting for adoption
    std::string worker;
    AttemptTimes times;
  };
  struct Queue {
    ReadyQueue ready;
    std::uint32_t profiles = 0;  // that name it
    bool claimed = false;        // a worker asks for it
    bool found_empty = true;
  };

  std::uint32_t add(TaskId id, std::uint64_t seq, const FunctionRef& function, const core::Options& options,
                    std::uint64_t args_bytes);
  std::uint32_t queue_named(const std::string& name);
  void drop_queue_if_unused(std::uint32_t number);
  const Profile& profile(const Entry& entry) const { return profiles_[entry.profile]; }
  Details& details(std::uint32_t slot);
  Instant instant_of(WallMs wall) const;
  void set_expiry(std::uint32_t slot, Instant expires, bool of_its_own);
  bool has_expired(std::uint32_t slot, Instant now) const;
  Duration time_to_start(std::uint32_t slot, Instant now) const;  // 0: as long as it takes

  // ledger_lines.cpp: who may take from where, and limits of tasks at once
  std::vector<Queue*> lines_for(const std::string& queue, const std::vector<std::string>& labels);
  static Queue* first_of(const std::vector<Queue*>& lines);
  Limiters::Group group_of(std::uint32_t slot) const;
  Limiters::Rank rank_of(std::uint32_t slot) const;
  bool park_if_full(std::uint32_t slot);
  void wake_parked(std::uint32_t slot);
  void hold_limit(std::uint32_t slot);
  void let_go_limit(std::uint32_t slot);

  // ledger.cpp: waiting
  void enqueue(std::uint32_t slot, Instant due, Instant now);
  void make_ready(std::uint32_t slot);
  void push_ready(std::uint32_t slot);
  void leave_line(std::uint32_t slot);
  void set_state(Entry& entry, core::TaskState state);
  void count(const Entry& entry, bool add);
  void sweep_expired(Now now, Decisions& out);
  void expire(std::uint32_t slot, Now now, Decisions& out);

  // ledger_claims.cpp: holding
  void claim_from(const std::vector<Queue*>& lines, const ClaimRequest& request, Now now, Decisions& out,
                  std::vector<core::Held>& given, bool& synced);
  void take(std::uint32_t slot, Token token, SessionId session, const std::string& worker, Now now, Decisions& out);
  Holding release(std::uint32_t slot);  // nobody's from now on; its holding is kept only if it ends

  // ledger_endings.cpp
  core::Outcome own_failure(core::ErrorKind kind, TaskId task, const std::string& worker, std::string text) const;
  // `winner`: the token that ended it, if an attempt did.
  void end(std::uint32_t slot, core::Outcome outcome, Token winner, Now now, Decisions& out);
  void end_expired(std::uint32_t slot, Now now, Decisions& out);
  RequeueAnswer give_back(std::uint32_t slot, RequeueItem& item, Now now, Decisions& out);
  RequeueAnswer expire_held(std::uint32_t slot, RequeueItem& item, Now now, Decisions& out);
  void go_back(std::uint32_t slot, RequeueItem& item, bool changed, Now now, Decisions& out);
  core::Outcome final_failure(std::uint32_t slot, core::ErrorKind kind, RequeueItem& item);
  // The holder is gone, or nobody came to adopt it.
  void lose(std::uint32_t slot, const std::string& why, Now now, Decisions& out);

  LedgerConfig config_;
  Now birth_;
  std::uint64_t next_seq_ = 1;
  Entries entries_;
  TaskIndex index_;  // every entry that is not gone
  Profiles profiles_;
  Limiters limiters_;
  Sessions sessions_;
  std::vector<std::unique_ptr<Queue>> queues_;                    // by number; null: free
  std::unordered_map<std::string, std::uint32_t> queue_numbers_;  // by the name of the line (core/scheduling.h)
  std::set<std::string> paused_;                                  // names of queues; "" = default
  std::size_t labelled_lines_ = 0;                                // of queues_, those whose tasks ask for labels
  boost::unordered_flat_map<std::uint32_t, Holding> holdings_;    // every entry whose state is Claimed or Running
  boost::unordered_flat_map<std::uint32_t, core::Payload> args_;
  std::uint64_t args_bytes_ = 0;
  std::unordered_map<std::uint32_t, Details> details_;
  std::set<std::pair<Instant, std::uint32_t>> delayed_;   // (due, slot)
  std::set<std::pair<Instant, std::uint32_t>> expiring_;  // (expires, slot) of those with a wait limit of their own
  Instant adopt_until_ = Instant::never();
  Instant sweep_at_;
  std::uint32_t sweep_from_ = 0;
  bool work_hint_ = false;
  std::uint64_t queued_ = 0, queued_bytes_ = 0, claimed_ = 0, running_ = 0;
};

}  // namespace treadle::store

// Decides which worker gets which attempt, and what becomes of attempts when workers, messages, sessions or the store
// fail. A pure machine: events in, effects out, no clock, no I/O. One class serves LOCAL, PUSH and PULL; policy.h says
// what differs.
//
// Use: step() for each event of a turn, then tick() once, which acts on deadlines and emits the turn's effects: at most
// one store operation of each kind and one message per worker. Attempts are owned through one session of the store (the
// session law is in docs/decisions/0003-sessions.md); whoever holds a token holds the attempt.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/rng.h"
#include "core/claims.h"
#include "core/limits.h"
#include "core/message.h"
#include "core/policy.h"

namespace treadle::core {

struct DispatcherConfig {
  Mode mode = Mode::Local;
  SessionId session;
  std::string name;
  Duration time_limit{0};  // -t: an upper bound for every attempt; 0 = none
  std::vector<std::string> queues;
  Duration heartbeat = limits::kHeartbeatInterval;
  Duration disconnect_grace = limits::kDisconnectGrace;
  Duration worker_lease = limits::kWorkerLease;
  Duration session_renew = limits::kSessionRenew;
  Duration session_ttl = limits::kSessionTtl;
  Duration hint_poll = limits::kHintPoll;
};

// ---- events ----
namespace event {
struct WorkerSaid {
  WorkerMessage message;
};
struct WorkerUnroutable {
  WorkerId worker;
};  // the link has no way to it now
struct WorkerAlive {
  WorkerId worker;
};  // it gave a sign of life that is no message
struct WorkHint {};
struct RevokeHint {
  std::vector<Held> attempts;
};
struct FollowHint {  // somebody wants to see what these write
  std::vector<TaskId> tasks;
};
struct SessionOpened {
  Result<void> answer;
};
struct Renewed {
  Result<RenewAnswer> answer;
};
struct Reaped {
  SessionId other;
  Result<bool> answer;
};
struct Claimed {
  std::uint64_t call = 0;
  Result<ClaimAnswer> answer;
};
struct Finished {
  std::uint64_t batch = 0;
  Result<std::vector<FinishAnswer>> answer;
};
struct Requeued {
  std::uint64_t batch = 0;
  Result<std::vector<RequeueAnswer>> answer;
};
struct Adopted {
  std::uint64_t batch = 0;
  Result<std::vector<AdoptAnswer>> answer;
};
struct BodyFetched {
  Digest digest;
  Result<Payload> answer;
};
struct DrainAsked {
  bool workers_too = true;  // false: they outlive this dispatcher, and go on with what they hold
};
}  // namespace event
using DispatcherEvent =
    std::variant<event::WorkerSaid, event::WorkerUnroutable, event::WorkerAlive, event::WorkHint, event::RevokeHint,
                 event::FollowHint, event::SessionOpened, event::Renewed, event::Reaped, event::Claimed,
                 event::Finished, event::Requeued, event::Adopted, event::BodyFetched, event::DrainAsked>;

// ---- effects ----
namespace effect {
struct OpenSession {
  SessionId session;
  std::string name;
};
struct Renew {
  SessionId session;
  std::vector<Held> revokes_done;
};
struct Reap {
  SessionId other;
  std::uint64_t beat_seen = 0;
};
struct Claim {
  ClaimRequest request;
};
struct Finish {
  std::uint64_t batch = 0;
  SessionId session;
  std::vector<FinishItem> items;
};
struct Requeue {
  std::uint64_t batch = 0;
  SessionId session;
  std::vector<RequeueItem> items;
};
struct Adopt {
  std::uint64_t batch = 0;
  SessionId session;
  std::vector<Held> items;
};
struct Reassert {
  std::uint64_t batch = 0;
  SessionId session;
  std::vector<ReassertItem> items;
};  // answered as Adopted
struct Started {
  std::vector<StartedItem> items;
};
struct Live {
  std::vector<LiveItem> items;
};
struct FetchBody {
  Digest digest;
};
struct Send {
  WorkerId worker;
  DispatcherMessage message;
};
struct Forget {
  WorkerId worker;
};  // removed, and not registered again meanwhile: the link need not keep anything for it
struct Note {
  std::string text;
};  // one line for the log: event name, then fields
}  // namespace effect
using DispatcherEffect = std::variant<effect::OpenSession, effect::Renew, effect::Reap, effect::Claim, effect::Finish,
                                      effect::Requeue, effect::Adopt, effect::Reassert, effect::Started, effect::Live,
                                      effect::FetchBody, effect::Send, effect::Forget, effect::Note>;
using DispatcherEffects = std::vector<DispatcherEffect>;

// What `/v1/workers`, metrics and the simulator's checkers may see.
struct WorkerView {
  WorkerId worker;
  WorkerInfo info;
  std::uint32_t load = 0;  // attempts held
  std::uint32_t free_slots = 0;
  std::uint32_t running = 0;  // of them reported started
  Instant last_heartbeat;
  bool draining = false;
  std::vector<TaskId> current_tasks;
  std::string lost_why;  // "" = it is there
};

// What it has on its hands, for people who ask what it is doing (SIGUSR1).
struct DispatcherFigures {
  std::size_t workers = 0, lost_workers = 0;
  std::uint64_t credit = 0;            // attempts that the workers would take at once
  std::size_t held = 0, unplaced = 0;  // attempts; of them claimed and not yet given to a worker
  std::size_t ending = 0;              // outcomes and give-backs that the store has not answered
  std::size_t parked = 0;              // requests of pull workers that wait for a task
  std::size_t bodies_wanted = 0;       // function bodies that workers wait for
  std::size_t other_sessions = 0;      // of other dispatchers, as last read
  bool session_live = false, draining = false, claiming = false;
};

class Dispatcher {
 public:
  Dispatcher(DispatcherConfig config, Rng rng, Instant now);

  void step(Instant now, DispatcherEvent event);
  void tick(Instant now, DispatcherEffects& effects);
  Instant next_deadline() const;

  std::vector<WorkerView> workers() const;
  // The last limits::kLostWorkersShown that vanished and have not come back, oldest first, as they were.
  const std::deque<WorkerView>& lost_workers() const { return lost_; }
  std::uint32_t slots() const;
  std::uint32_t free_slots() const;
  std::size_t attempts_held() const { return live_.size(); }
  std::size_t worker_count() const { return workers_.size(); }
  SessionId session() const { return session_; }
  DispatcherFigures figures() const;
  bool drained() const { return draining_ && live_.empty() && finishing_.all.empty() && requeueing_.all.empty(); }
  // Draining, and all that came from the workers so far is with the store.
  bool quiet() const;

 private:
  // Workers that may take the same tasks: of the same queues, with the same labels. Claims are made for one kind.
  struct Kind {
    std::vector<std::string> queues, labels;
    std::size_t workers = 0;
    std::set<std::pair<std::uint64_t, WorkerId>> ranked;  // those with credit, best place first
    std::uint64_t credit = 0;                             // sum over ranked
    std::size_t unplaced = 0;                             // of unplaced_, those that were claimed for it
    std::uint64_t number = 0;                             // of its making: no two have the same
    std::uint64_t asked = 0;                              // the last call that claimed for it
    Instant poll_at;                                      // then there may be work though nobody has told us
    bool more = false;                                    // the store said so to that call
    bool in_line = false;                                 // stands in claim_line_ (and in more_line_ if `more`)
    // Not more than one batch may wait for a place: it waits for slots, and further attempts would wait beside it.
    bool wants_more() const { return credit > unplaced && unplaced < limits::kBatch; }
  };
  using KindKey = std::pair<std::vector<std::string>, std::vector<std::string>>;  // queues, labels
  using KindLine = std::map<std::pair<std::uint64_t, std::uint64_t>, Kind*>;      // by `asked`, then `number`
  struct Unplaced {
    Instant since;
    Attempt attempt;
    std::shared_ptr<Kind> kind;
  };
  struct Worker {
    WorkerId id;
    std::uint64_t boot = 0;
    WorkerInfo info;
    std::shared_ptr<Kind> kind;  // never null once it is registered
    Instant last_heard;
    Instant last_sent;
    Instant unroutable_since = Instant::never();
    std::uint64_t in_seq = 0;      // highest number received
    std::uint64_t out_seq = 0;     // highest number sent
    std::uint64_t acked = 0;       // highest of ours that it has acted on
    std::uint32_t free_slots = 0;  // as of `acked`
    std::uint32_t prefetch = 0;
    std::uint32_t in_flight = 0;                                   // attempts in messages above `acked`
    std::vector<std::pair<std::uint64_t, std::uint32_t>> unacked;  // PUSH: message number, attempts in it
    DispatcherMessage unseen;         // PULL: the last reply, until a request has acknowledged it
    std::unordered_set<TaskId> held;  // each is in live_, with this worker
    bool draining = false;
    bool asked = false;                       // PULL: a request is parked, so one message may be sent
    bool has_news = false;                    // PULL: `out` waits for its next request
    Instant parked_until = Instant::never();  // then it is answered in any case
    bool plain = false;                       // numbers nothing
    bool heartbeats = false;                  // plain: it has sent HEARTBEAT, so its silence means something
    bool awaits_body = false;                 // plain: its attempt goes out together with the function's body
    DispatcherMessage out;                    // of this turn
    Instant check_at = Instant::never();      // its place in watch_; another entry there is out of date
    bool ranked = false;                      // stands in its kind's `ranked`, with this rank and credit
    std::uint64_t rank = 0;
    std::uint32_t ranked_credit = 0;
  };
  // An attempt of this session, from claim to the store's last word.
  struct Live {
    Token token;
    std::uint32_t number = 0;
    WorkerId worker;  // nil: claimed, and not placed yet
    std::uint64_t sent_seq = 0;
    bool started = false;
    bool at_most_once = false;
    bool ending = false;     // its outcome or give-back is on its way to the store
    bool cancelled = false;  // the store says that somebody wants it to end
    std::uint16_t retries_left = 0;
    Duration retry_delay{0};
    Duration time_limit{0};
    Instant start_by = Instant::never();  // from then on it may not begin
    std::string retry_on;
    Instant backstop = Instant::never();  // the worker should have ended it long ago
  };
  struct Other {  // another dispatcher's session, as this one sees it
    std::uint64_t beat = 0;
    Duration still{0};  // how long the beat stood, in our own time without our stalls
    int reads = 0;
    Instant last_read;
  };
  struct Ending {  // an outcome or give-back under way: whom to tell when it is durable
    WorkerId worker;
    Held attempt;
  };
  template <class Item>
  struct Batch {
    std::vector<Item> items;
    std::vector<Ending> endings;  // as long as items
    Duration backoff{0};
  };
  template <class Item>
  struct Batches {  // looked at only when due: while the store is away there may be very many
    std::unordered_map<std::uint64_t, Batch<Item>> all;
    std::set<std::pair<Instant, std::uint64_t>> unsent;  // when it may be sent (again), and its number
  };
  enum class SessionState : std::uint8_t { None, Opening, Live };

  // dispatcher.cpp: the turn
  void on(Instant now, event::WorkerSaid& e);
  void on(Instant now, event::WorkerUnroutable& e);
  void on(Instant now, event::WorkerAlive& e);
  void on(Instant now, event::WorkHint& e);
  void on(Instant now, event::RevokeHint& e);
  void on(Instant now, event::FollowHint& e);
  void on(Instant now, event::SessionOpened& e);
  void on(Instant now, event::Renewed& e);
  void on(Instant now, event::Reaped& e);
  void on(Instant now, event::Claimed& e);
  void on(Instant now, event::Finished& e);
  void on(Instant now, event::Requeued& e);
  void on(Instant now, event::Adopted& e);
  void on(Instant now, event::BodyFetched& e);
  void on(Instant now, event::DrainAsked& e);
  void discount_stall(Instant now);
  bool may_claim() const { return session_state_ == SessionState::Live && !must_renew_; }
  void note(std::string text) { notes_.push_back(std::move(text)); }

  // dispatcher_workers.cpp: who is there, what they hold, what they say
  void register_worker(Instant now, WorkerMessage& message);
  bool may_register(const WorkerMessage& message);
  Worker* find(WorkerId id);
  void remove_worker(Worker& worker, std::string_view why);
  bool lose_what_cannot_begin(Instant now, Worker& worker, std::string_view why);
  void lose_attempt(TaskId task, Live& live, std::string_view why);
  void take_report(Instant now, Worker& worker, WorkerMessage& message);
  void take_ack(Worker& worker, std::uint64_t ack);
  void take_started(Instant now, Worker& worker, const std::vector<Held>& started);
  void take_live(std::vector<LiveReport>& reports);
  void want(Worker& worker, Digest digest);
  WorkerView view_of(const Worker& worker) const;
  static Outcome failure(TaskId task, WorkerId worker, ErrorKind kind, std::string text);
  void take_outcome(Worker& worker, OutcomeReport& report);
  void take_give_back(Worker& worker, GivenBack& given);
  void find_dropped(Worker& worker, const std::vector<Held>& named);
  void adopt_again(Instant now, const std::vector<std::pair<WorkerId, Held>>& asked);
  void adopt_unknown(Worker& worker, const std::vector<Held>& named);
  void revoke(Worker& worker, Held attempt, bool kill);
  void check_liveness(Instant now);
  void check_worker(Instant now, Worker& worker);
  void watch(Instant now, Worker& worker);
  void check_backstops(Instant now);
  std::uint32_t credit(const Worker& worker) const;
  std::uint32_t open_slots(const Worker& worker) const;
  void rank(Worker& worker);
  void unrank(Worker& worker);
  void join_kind(Worker& worker);
  void leave_kind(Worker& worker);
  void set_time_to_start(Instant now, Attempt& attempt) const;
  void send_messages(Instant now, DispatcherEffects& effects);
  void speak(Instant now, DispatcherEffects& effects);

  // dispatcher_pull.cpp: requests that wait, plain clients
  void take_plain(Worker& worker, const WorkerMessage& message);
  void park(Instant now, Worker& worker, Duration wait);
  void unpark(Worker& worker);
  void answer_parked(Instant now);
  void say_again(Worker& worker);
  void remember(Worker& worker, const DispatcherMessage& message);
  void begin_plain(Instant now, Worker& worker, Attempt& attempt);
  void body_for_plain(Worker& worker, const FunctionBody& body);

  // dispatcher_store.cpp: claims, endings, session
  bool place_one(Instant now, Kind& kind, Attempt& attempt);
  void unplace(TaskId task, Live& live);
  void place_claimed(Instant now);
  void claim_more(Instant now, DispatcherEffects& effects);
  Kind* next_to_claim(Instant now) const;
  Instant claim_due() const;
  void expect_work() { hinted_before_ = next_call_; }
  void line_up(Kind& kind);
  void leave_line(Kind& kind);
  void end_live(TaskId task, Token token);
  void keep_session(Instant now, DispatcherEffects& effects);
  void watch_others(Instant now, const std::vector<SessionBeat>& others);
  void lose_session(Instant now, bool missing);
  void send_endings(Instant now, DispatcherEffects& effects);
  void settle(const Ending& ending);
  template <class Item>
  void begin_batches(std::vector<std::pair<Item, Ending>>& ready, Batches<Item>& batches);
  template <class Effect, class Item>
  void send_batches(Instant now, Batches<Item>& batches, DispatcherEffects& effects);
  template <class Item>
  Instant retry_later(Instant now, Batch<Item>& batch, const Error& error);
  template <class Item>
  void retry_apart(Instant now, Batches<Item>& batches, std::uint64_t number, const Error& error);

  DispatcherConfig config_;
  Rng rng_;
  SessionId session_;
  SessionState session_state_ = SessionState::None;
  Instant due_ = Instant::never();       // next_deadline() as of the last turn: what we are late against
  Instant retry_at_ = Instant::never();  // of the first batch or fetch that failed
  Instant renew_at_;
  bool renewing_ = false;
  bool answer_is_old_ = false;  // of the renewal or opening under way: it was asked for before we stood still
  bool must_renew_ = false;  // stood still too long: neither claims nor sends before a renewal says that we are alive
  bool draining_ = false;
  std::unordered_map<SessionId, Other> others_;
  std::vector<std::pair<SessionId, std::uint64_t>> to_reap_;
  std::vector<Held> revokes_done_;

  std::unordered_map<WorkerId, std::unique_ptr<Worker>> workers_;
  std::map<Instant, std::vector<WorkerId>> watch_;  // when to look whether they are still there
  std::map<KindKey, std::shared_ptr<Kind>> kinds_;  // each has workers
  std::uint64_t next_kind_ = 1;
  KindLine claim_line_;  // those that want more, first the one whose last claim is longest ago: it is polled first, too
  KindLine more_line_;   // of them those that the store has more for
  std::unordered_set<WorkerId> dirty_;            // have something to say this turn
  std::set<std::pair<Instant, WorkerId>> parks_;  // requests that wait, first to be answered first
  std::deque<WorkerView> lost_;
  std::vector<WorkerId> removed_;                               // this turn
  std::vector<std::pair<WorkerId, DispatcherMessage>> strays_;  // REREGISTER for peers that are not registered

  std::unordered_map<TaskId, Live> live_;
  std::deque<Unplaced> unplaced_;  // claimed, waiting for a free slot (at-most-once) or a worker
  std::set<std::pair<Instant, TaskId>> backstops_;

  std::uint64_t next_call_ = 1;
  std::uint64_t hinted_before_ = 1;    // there may be work for kinds whose last call was before this one
  std::uint64_t claim_in_flight_ = 0;  // 0 = none
  ClaimRequest last_claim_;            // repeated as it was if its answer was lost
  std::shared_ptr<Kind> claim_kind_;   // that it was made for
  bool claim_again_ = false;           // the last call must be repeated
  Instant claim_pause_;                // after an error of the store

  std::uint64_t next_batch_ = 1;
  std::vector<std::pair<FinishItem, Ending>> finish_ready_;
  std::vector<std::pair<RequeueItem, Ending>> requeue_ready_;
  Batches<FinishItem> finishing_;
  Batches<RequeueItem> requeueing_;
  std::vector<std::pair<WorkerId, Held>> adopt_ready_;
  std::unordered_map<std::uint64_t, std::vector<std::pair<WorkerId, Held>>> adopting_;
  std::unordered_set<Token> adopt_asked_;
  std::vector<ReassertItem> reassert_ready_;
  Instant adopt_pause_;  // of both, after an error of the store
  std::vector<StartedItem> started_ready_;
  std::vector<LiveItem> live_ready_;
  std::unordered_set<Digest> fetching_;
  std::unordered_map<Digest, std::unordered_set<WorkerId>> wanted_;
  std::vector<Digest> fetch_ready_;
  Instant fetch_pause_;
  std::vector<std::string> notes_;
};

}  // namespace treadle::core

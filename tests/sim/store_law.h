// A checker between the dispatchers and the store: keeps the plain law of attempts and sessions (who holds which token)
// beside the store and holds every answer against it. It decides nothing; it only tells.
//
// It also answers for a store that crashed: calls that were under way get an error, as a cut connection gives it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "store/store.h"
#include "world.h"

namespace treadle::sim {

class StoreLaw {
 public:
  using Blame = std::function<void(const std::string&)>;
  template <class Answer>
  using Done = Callback<void(Result<Answer>)>;

  StoreLaw(World& world, Blame blame) : world_(world), blame_(std::move(blame)) {}
  void stand_before(store::Store& store) { store_ = &store; }

  // As in store.h.
  void open_session(SessionId id, std::string name, Done<void> done);
  void renew(SessionId id, std::vector<core::Held> revokes_done, Done<core::RenewAnswer> done);
  void reap(SessionId other, std::uint64_t beat_seen, Done<bool> done);
  void claim(core::ClaimRequest request, Done<core::ClaimAnswer> done);
  void finish(SessionId session, std::vector<core::FinishItem> batch, Done<std::vector<core::FinishAnswer>> done);
  void requeue(SessionId session, std::vector<core::RequeueItem> batch, Done<std::vector<core::RequeueAnswer>> done);
  void adopt(SessionId to, std::vector<core::Held> batch, Done<std::vector<core::AdoptAnswer>> done);
  void reassert(SessionId to, std::vector<core::ReassertItem> batch, Done<std::vector<core::AdoptAnswer>> done);
  void started(std::vector<core::StartedItem> batch) { store_->started(std::move(batch)); }
  void report_live(std::vector<core::LiveItem> items) { store_->report_live(std::move(items)); }
  void get_body(Digest digest, Done<core::Payload> done);

  // The store began anew: sessions and what was not durable are gone.
  void crashed();
  // It lost everything, and is another store from now on.
  void flushed(store::Store& fresh);
  bool is_live(SessionId session) { return live(session) != nullptr; }
  // A dispatcher was told of cancels.
  void hinted(const std::vector<core::Held>& attempts);
  // Was there a call since the last time?
  bool was_touched() { return std::exchange(touched_, false); }
  void cancel_was_promised(TaskId task) {
    Task& known = tasks_[task];
    if (!std::exchange(known.cancel, true)) known.cancelled = world_.now();
  }
  // The store has said a durable last word on this attempt: its worker may be told so.
  bool is_settled(Token token) const { return settled_.contains(token); }
  std::uint64_t errors_of_crashes = 0;

 private:
  enum class State : std::uint8_t { Free, Held, Ended };  // Free: waits, or ended without a winner
  struct Task {
    State state = State::Free;
    Token token;           // that holds or ended it
    SessionId session;     // of a held one
    bool durable = false;  // Ended: and that is for good
    bool closed = false;   // ended without a winner, and that is for good
    bool cancel = false;   // somebody was told that it will not run again
    Instant cancelled;     // when
  };
  struct Session {
    bool live = true;
    std::uint64_t beat = 1;
    Instant renewed;
    std::uint64_t call = 0;   // the last one that was answered
    std::uint64_t asked = 0;  // the last one that was made, first at this time:
    Instant asked_at;
    std::set<std::uint64_t> given;
  };

  template <class Answer>
  Done<Answer> watch(Done<Answer> done, std::function<void(Answer&)> check);
  Session* live(SessionId id);
  bool holds(const Task& task, Token token) const { return task.state == State::Held && task.token == token; }
  core::FinishAnswer expect_finish(const core::FinishItem& item);
  bool expect_requeue(SessionId session, const core::RequeueItem& item);
  void check_claim(const core::ClaimRequest& request, const core::ClaimAnswer& answer);
  void check_requeue(const core::RequeueItem& item, bool expected, core::RequeueAnswer answer);
  void free_all_of(SessionId session);

  World& world_;
  Blame blame_;
  store::Store* store_ = nullptr;
  std::unordered_map<TaskId, Task> tasks_;
  std::unordered_map<SessionId, Session> sessions_;
  std::unordered_set<Token> hinted_;  // cancels that were told of before any answer of the store named the attempt
  std::unordered_set<Token> settled_;
  bool touched_ = false;
  bool lost_tasks_ = false;  // a flush: tasks may be missing
  std::map<std::uint64_t, std::function<void()>> under_way_;
  std::uint64_t next_ = 1;
};

}  // namespace treadle::sim

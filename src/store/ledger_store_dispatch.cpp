// What dispatchers ask of the store: claims, starts, endings, sessions.
#include <utility>

#include "base/assert.h"
#include "store/ledger_store.h"

namespace treadle::store {
namespace {

Error no_session(SessionId id) {
  return fail(Code::Conflict,
              "Session " + to_string(id) + " is not live. Open a new one and register the workers again.");
}

}  // namespace

// ---- claims ----

void LedgerStore::claim(ClaimRequest request, Done<Result<ClaimAnswer>> done) {
  if (auto error = closed()) return done(std::move(*error));
  Session* session = ledger_->sessions().find_live(request.session);
  if (!session) return done(ClaimAnswer{{}, true, false});
  if (request.call > session->last_call) {
    Decisions decisions;
    bool synced = false;
    session->last_claim = ledger_->claim(request, now(), decisions, session->last_more, synced);
    session->last_call = request.call;
    const std::uint64_t ticket = commit(std::move(decisions), {});
    session->last_ticket = synced ? ticket : 0;
  }
  answer_claim(request.session, request.call, std::move(done));
}

// Also the answer to a repeated call: what is still the session's of what it was given, and nothing new.
void LedgerStore::answer_claim(SessionId id, std::uint64_t call, Done<Result<ClaimAnswer>> done) {
  if (auto error = closed()) return done(std::move(*error));
  Session* session = ledger_->sessions().find_live(id);
  if (!session) return done(ClaimAnswer{{}, true, false});
  if (session->last_call != call) return done(ClaimAnswer{});  // overtaken: a later call was made
  if (held_.contains(session->last_ticket)) {
    return after(session->last_ticket, [this, id, call, done = std::move(done)](const Report&) mutable {
      answer_claim(id, call, std::move(done));
    });
  }
  std::vector<std::uint32_t> unread;
  ClaimAnswer answer;
  for (const core::Held attempt : session->last_claim) {
    if (!ledger_->is_held(attempt, id)) continue;
    const std::uint32_t slot = ledger_->find(attempt.task);
    if (!ledger_->has_args(slot)) {
      unread.push_back(slot);
    } else if (unread.empty()) {
      answer.attempts.push_back(ledger_->attempt_of(slot, clock_.now()));
    }
  }
  if (!unread.empty()) {
    return read_args(unread,
                     [this, id, call, done = std::move(done)]() mutable { answer_claim(id, call, std::move(done)); });
  }
  answer.more = session->last_more;
  done(std::move(answer));
}

void LedgerStore::started(std::vector<StartedItem> batch) {
  if (closed_) return;
  Decisions decisions;
  for (const StartedItem& item : batch) ledger_->started(item, now(), decisions);
  commit(std::move(decisions), {});
}

void LedgerStore::report_live(std::vector<core::LiveItem> items) {
  const WallMs wall = clock_.wall();
  for (const core::LiveItem& item : items) live_.add(item, wall);
}

void LedgerStore::live(TaskId id, bool follow, Done<Result<LiveView>> done) {
  if (auto error = closed()) return done(std::move(*error));
  if (follow && follow_hint_) follow_hint_({id});
  done(live_.find(id));
}

// ---- endings ----

template <class Answer>
struct LedgerStore::ItemCall {
  std::vector<Answer> answers;
  std::optional<Error> error;
  int waiting = 1;  // parts that have not answered
  Done<Result<std::vector<Answer>>> done;

  void part_done() {
    if (--waiting > 0) return;
    if (error) return done(std::move(*error));
    done(std::move(answers));
  }
};

// Tells apart tasks that are terminal from those that never were. `cold`: places in the call, and what they name.
template <class Answer>
void LedgerStore::look_up_ended(std::shared_ptr<ItemCall<Answer>> call,
                                std::vector<std::pair<std::size_t, core::Held>> cold) {
  const auto judge = [this](Answer& answer, Token token, Token winner) {
    answer = Answer::Stale;
    (void)this;  // of no use to the other answers, which clang would warn of
    if constexpr (std::is_same_v<Answer, FinishAnswer>) {
      if (token && token == winner) answer = FinishAnswer::Duplicate;
      ++(answer == FinishAnswer::Duplicate ? counters_.duplicate : counters_.stale);
    }
  };
  std::vector<TaskId> ids;
  std::vector<std::pair<std::size_t, core::Held>> asked;
  for (const auto& [at, attempt] : cold) {
    if (const Recent* recent = recent_.find(attempt.task)) {
      judge(call->answers[at], attempt.token, recent->task.token);
    } else {
      ids.push_back(attempt.task);
      asked.emplace_back(at, attempt);
    }
  }
  if (ids.empty()) return;
  ++call->waiting;
  table_->read_ended(std::move(ids), false,
                     [call, judge, asked = std::move(asked)](std::vector<Result<EndedTask>> found) {
                       for (std::size_t i = 0; i < found.size(); ++i) {
                         if (found[i]) {
                           judge(call->answers[asked[i].first], asked[i].second.token, found[i]->token);
                         } else if (found[i].error().code != Code::NotFound) {
                           call->error = std::move(found[i].error());
                         }
                       }
                       call->part_done();
                     });
}

void LedgerStore::finish(SessionId, std::vector<FinishItem> batch, Done<Result<std::vector<FinishAnswer>>> done) {
  if (auto error = closed()) return done(std::move(*error));
  auto call = std::make_shared<ItemCall<FinishAnswer>>();
  call->done = std::move(done);
  Decisions decisions;
  std::vector<std::pair<std::size_t, core::Held>> cold;
  for (FinishItem& item : batch) {
    const FinishAnswer answer = ledger_->finish(item, now(), decisions);
    if (answer == FinishAnswer::Missing) cold.emplace_back(call->answers.size(), core::Held{item.task, item.token});
    if (answer == FinishAnswer::Stale) ++counters_.stale;
    if (answer == FinishAnswer::Duplicate) {
      ++counters_.duplicate;
      if (const auto ticket = tickets_.find(ledger_->find(item.task));
          ticket != tickets_.end()) {  // else in this very batch
        ++call->waiting;
        after(ticket->second, [call](const Report& report) {
          if (report.error) call->error = *report.error;
          call->part_done();
        });
      }
    }
    call->answers.push_back(answer);
  }
  look_up_ended(call, std::move(cold));
  commit_split(std::move(decisions), [call](const Report& report) {
    if (report.error) call->error = *report.error;
    call->part_done();
  });
}

void LedgerStore::requeue(SessionId session, std::vector<RequeueItem> batch,
                          Done<Result<std::vector<RequeueAnswer>>> done) {
  if (auto error = closed()) return done(std::move(*error));
  auto call = std::make_shared<ItemCall<RequeueAnswer>>();
  call->done = std::move(done);
  Decisions decisions;
  std::vector<std::pair<std::size_t, core::Held>> cold;
  for (RequeueItem& item : batch) {
    const RequeueAnswer answer = ledger_->requeue(session, item, now(), decisions);
    if (answer == RequeueAnswer::Missing) cold.emplace_back(call->answers.size(), core::Held{item.task, item.token});
    if (answer == RequeueAnswer::Queued) ++counters_.requeued;
    call->answers.push_back(answer);
  }
  look_up_ended(call, std::move(cold));
  commit(std::move(decisions), [call](const Report& report) {
    if (report.error) call->error = *report.error;
    call->part_done();
  });
}

// ---- sessions ----

void LedgerStore::open_session(SessionId id, std::string name, Done<Result<void>> done) {
  if (auto error = closed()) return done(std::move(*error));
  if (!ledger_->sessions().open(id, std::move(name))) return done(no_session(id));
  done(Result<void>{});
}

void LedgerStore::renew(SessionId id, std::vector<AdoptItem> revokes_done, Done<Result<RenewAnswer>> done) {
  if (auto error = closed()) return done(std::move(*error));
  RenewAnswer answer;
  Session* session = ledger_->sessions().find(id);
  answer.missing = session == nullptr;
  answer.live = session && session->live;
  if (answer.live) {
    ++session->beat;
    for (const AdoptItem& attempt : revokes_done) std::erase(session->revokes, attempt);
    answer.revokes = session->revokes;
    answer.others = ledger_->sessions().others(id);
  }
  done(std::move(answer));
}

void LedgerStore::adopt(SessionId to, std::vector<AdoptItem> batch, Done<Result<std::vector<AdoptAnswer>>> done) {
  if (auto error = closed()) return done(std::move(*error));
  if (!ledger_->sessions().find_live(to)) return done(no_session(to));
  std::vector<AdoptAnswer> answers;
  for (const AdoptItem& attempt : batch) {
    answers.push_back(ledger_->adopt(to, attempt));
    if (answers.back() == AdoptAnswer::Adopted) ++counters_.adopted;
  }
  done(std::move(answers));
}

void LedgerStore::reassert(SessionId session, std::vector<ReassertItem> batch,
                           Done<Result<std::vector<AdoptAnswer>>> done) {
  if (auto error = closed()) return done(std::move(*error));
  if (!ledger_->sessions().find_live(session)) return done(no_session(session));
  Decisions decisions;
  std::vector<AdoptAnswer> answers;
  for (const ReassertItem& item : batch) answers.push_back(ledger_->reassert(session, item, now(), decisions));
  commit(std::move(decisions), [answers = std::move(answers), done = std::move(done)](const Report& report) mutable {
    if (report.error) return done(*report.error);
    done(std::move(answers));
  });
}

void LedgerStore::reap(SessionId other, std::uint64_t beat_seen, Done<Result<bool>> done) {
  if (auto error = closed()) return done(std::move(*error));
  Decisions decisions;
  const bool ours = ledger_->reap(other, beat_seen, now(), decisions);
  if (ours) ++counters_.reaped;
  if (ours) worker_reports_.erase(other);
  commit(std::move(decisions), [ours, done = std::move(done)](const Report& report) mutable {
    if (report.error) return done(*report.error);
    done(ours);
  });
}

void LedgerStore::report_workers(SessionId session, std::vector<WorkerReport> workers) {
  worker_reports_[session] = std::move(workers);
}

void LedgerStore::workers(Done<Result<std::vector<WorkerReport>>> done) {
  std::vector<WorkerReport> all;
  for (const auto& [session, reports] : worker_reports_) all.insert(all.end(), reports.begin(), reports.end());
  done(std::move(all));
}

}  // namespace treadle::store

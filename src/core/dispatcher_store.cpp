// What the dispatcher asks of its store: claims, endings, and the session that owns its attempts.
#include <algorithm>
#include <iterator>

#include "base/assert.h"
#include "core/dispatcher.h"

namespace treadle::core {
namespace {

constexpr Duration kBackoffMin = 100ms;
constexpr Duration kBackoffMax = 2s;
constexpr int kReadsBeforeReap = 4;

}  // namespace

// ---- claims ----

void Dispatcher::claim_more(Instant now, DispatcherEffects& effects) {
  if (draining_ || claim_in_flight_ != 0 || now < claim_pause_) return;
  if (!claim_again_) {
    Kind* kind = next_to_claim(now);
    if (!kind) return;
    claim_kind_ = kinds_.at({kind->queues, kind->labels});
    const std::uint64_t wanted = std::min<std::uint64_t>(kind->credit - kind->unplaced, limits::kBatch);
    last_claim_ = ClaimRequest{session_, next_call_++, {}, kind->queues, {}, kind->labels};
    for (std::uint64_t i = 0; i < wanted; ++i) last_claim_.tokens.push_back(Token{rng_.next() | 1});
    leave_line(*kind);
    kind->asked = last_claim_.call;
    kind->poll_at = now + config_.hint_poll;
    kind->more = false;
    line_up(*kind);
  }
  claim_again_ = false;
  claim_in_flight_ = last_claim_.call;
  effects.push_back(effect::Claim{last_claim_});
}

// Of the kinds that may find something, the one that has waited longest: none is served only when the others have
// nothing to do. Looks at no others, as each worker may be of a kind of its own.
Dispatcher::Kind* Dispatcher::next_to_claim(Instant now) const {
  if (claim_line_.empty()) return nullptr;
  Kind* first = claim_line_.begin()->second;
  if (first->asked < hinted_before_ || now >= first->poll_at) return first;
  return more_line_.empty() ? nullptr : more_line_.begin()->second;
}

// Call it after anything that changes whether the kind wants more.
void Dispatcher::line_up(Kind& kind) {
  if (kind.wants_more() == kind.in_line) return;
  if (kind.in_line) return leave_line(kind);
  kind.in_line = true;
  claim_line_.emplace(std::pair{kind.asked, kind.number}, &kind);
  if (kind.more) more_line_.emplace(std::pair{kind.asked, kind.number}, &kind);
}

void Dispatcher::leave_line(Kind& kind) {
  if (!std::exchange(kind.in_line, false)) return;
  claim_line_.erase({kind.asked, kind.number});
  more_line_.erase({kind.asked, kind.number});
}

void Dispatcher::on(Instant now, event::Claimed& e) {
  if (e.call != claim_in_flight_) return;  // an answer to a session that is no more
  claim_in_flight_ = 0;
  Kind& kind = *claim_kind_;
  kind.poll_at = now + config_.hint_poll;
  if (!e.answer) {
    claim_again_ =
        true;  // the answer may have been lost after the claim was done: the same call gives the same attempts
    claim_pause_ = now + config_.hint_poll;
    return;
  }
  if (e.answer->no_session) {
    must_renew_ = true;
    renew_at_ = now;
    return;
  }
  leave_line(kind);
  kind.more = e.answer->more;
  for (Attempt& attempt : e.answer->attempts) {
    if (config_.time_limit > Duration{0}) {
      attempt.time_limit =
          attempt.time_limit > Duration{0} ? std::min(attempt.time_limit, config_.time_limit) : config_.time_limit;
    }
    // An earlier attempt of it may still wait for the store's word that it was given back: this one replaces it.
    if (const auto earlier = live_.find(attempt.task); earlier != live_.end())
      end_live(attempt.task, earlier->second.token);
    Live& live = live_[attempt.task];
    live.token = attempt.token;
    live.number = attempt.number;
    live.at_most_once = attempt.delivery == Delivery::AtMostOnce;
    live.retries_left = attempt.retries_left;
    live.retry_delay = attempt.retry_delay;
    live.time_limit = attempt.time_limit;
    if (attempt.start_within > Duration{0}) live.start_by = now + attempt.start_within;
    live.retry_on = std::move(attempt.retry_on);
    unplaced_.push_back({now, std::move(attempt), claim_kind_});
    ++kind.unplaced;
  }
  line_up(kind);
}

// Gives the oldest claimed attempts to the least loaded workers of the kind that they were claimed for, and what waited
// too long back to the store.
void Dispatcher::place_claimed(Instant now) {
  std::deque<Unplaced> left;
  for (auto& [since, attempt, kind] : unplaced_) {
    --kind->unplaced;
    const auto it = live_.find(attempt.task);
    if (it == live_.end() || it->second.token != attempt.token || it->second.ending) continue;
    const bool too_late = it->second.start_by <= now;
    if (!too_late && place_one(now, *kind, attempt)) continue;
    if (too_late || now - since >= limits::kWaitForSlot || draining_) {
      unplace(attempt.task, it->second);
    } else {
      ++kind->unplaced;
      left.push_back({since, std::move(attempt), kind});
    }
  }
  unplaced_.swap(left);
  for (const Unplaced& was : left) line_up(*was.kind);
}

void Dispatcher::unplace(TaskId task, Live& live) {
  live.ending = true;
  requeue_ready_.emplace_back(RequeueItem{task, live.token, GiveBack::Unstarted, Duration{0}, {}, {}},
                              Ending{{}, {task, live.token}});
}

bool Dispatcher::place_one(Instant now, Kind& kind, Attempt& attempt) {
  if (kind.ranked.empty()) return false;
  Worker* chosen = find(kind.ranked.begin()->second);
  // An at-most-once attempt never waits in a worker: it needs a slot that is free now.
  if (attempt.delivery == Delivery::AtMostOnce && open_slots(*chosen) == 0) return false;
  Live& live = live_.at(attempt.task);
  live.worker = chosen->id;
  live.sent_seq = chosen->out_seq + 1;
  chosen->held.insert(attempt.task);
  if (chosen->plain) {
    begin_plain(now, *chosen, attempt);
    return true;
  }
  ++chosen->in_flight;
  chosen->out.attempts.push_back(std::move(attempt));
  dirty_.insert(chosen->id);
  rank(*chosen);
  return true;
}

// ---- endings: outcomes and attempts given back, until the store has said its last word ----

template <class Item>
void Dispatcher::begin_batches(std::vector<std::pair<Item, Ending>>& ready, Batches<Item>& batches) {
  for (std::size_t from = 0; from < ready.size(); from += limits::kBatch) {
    batches.unsent.emplace(Instant{}, next_batch_);
    Batch<Item>& batch = batches.all[next_batch_++];
    for (std::size_t i = from; i < std::min(ready.size(), from + limits::kBatch); ++i) {
      batch.items.push_back(std::move(ready[i].first));
      batch.endings.push_back(ready[i].second);
    }
  }
  ready.clear();
}

template <class Effect, class Item>
void Dispatcher::send_batches(Instant now, Batches<Item>& batches, DispatcherEffects& effects) {
  for (; !batches.unsent.empty() && batches.unsent.begin()->first <= now;
       batches.unsent.erase(batches.unsent.begin())) {
    const std::uint64_t number = batches.unsent.begin()->second;
    effects.push_back(Effect{number, session_, batches.all.at(number).items});
  }
  if (!batches.unsent.empty()) retry_at_ = std::min(retry_at_, batches.unsent.begin()->first);
}

template <class Item>
Instant Dispatcher::retry_later(Instant now, Batch<Item>& batch, const Error& error) {
  const bool first = batch.backoff == Duration{0};
  batch.backoff = std::clamp(batch.backoff * 2, Duration(kBackoffMin), Duration(kBackoffMax));
  if (first) note("store.trouble items=" + std::to_string(batch.items.size()) + " error=\"" + error.message + "\"");
  return now + batch.backoff;
}

// A part of the store may be away: what it holds up must not hold up the rest, so a batch that failed is said again in
// two halves.
template <class Item>
void Dispatcher::retry_apart(Instant now, Batches<Item>& batches, std::uint64_t number, const Error& error) {
  Batch<Item>& batch = batches.all.at(number);
  const Instant at = retry_later(now, batch, error);
  batches.unsent.emplace(at, number);
  retry_at_ = std::min(retry_at_, at);
  const std::size_t kept = (batch.items.size() + 1) / 2;
  if (kept == batch.items.size()) return;
  Batch<Item> rest;
  rest.backoff = batch.backoff;
  rest.items.assign(std::move_iterator(batch.items.begin() + static_cast<std::ptrdiff_t>(kept)),
                    std::move_iterator(batch.items.end()));
  rest.endings.assign(batch.endings.begin() + static_cast<std::ptrdiff_t>(kept), batch.endings.end());
  batch.items.resize(kept);
  batch.endings.resize(kept);
  batches.unsent.emplace(at, next_batch_);
  batches.all.emplace(next_batch_++, std::move(rest));
}

void Dispatcher::send_endings(Instant now, DispatcherEffects& effects) {
  retry_at_ = Instant::never();
  begin_batches(finish_ready_, finishing_);
  begin_batches(requeue_ready_, requeueing_);
  send_batches<effect::Finish>(now, finishing_, effects);
  send_batches<effect::Requeue>(now, requeueing_, effects);
  if (!live_ready_.empty()) effects.push_back(effect::Live{std::exchange(live_ready_, {})});
  if (!started_ready_.empty()) effects.push_back(effect::Started{std::exchange(started_ready_, {})});
  if (now < adopt_pause_ && !(adopt_ready_.empty() && reassert_ready_.empty())) {
    retry_at_ = std::min(retry_at_, adopt_pause_);
  } else if (!adopt_ready_.empty()) {
    effect::Adopt adopt{next_batch_++, session_, {}};
    for (const auto& [id, attempt] : adopt_ready_) adopt.items.push_back(attempt);
    adopting_[adopt.batch] = std::exchange(adopt_ready_, {});
    effects.push_back(std::move(adopt));
  }
  if (fetch_ready_.empty()) return;
  if (now < fetch_pause_) {
    retry_at_ = std::min(retry_at_, fetch_pause_);
    return;
  }
  for (const Digest digest : fetch_ready_) {
    fetching_.insert(digest);
    effects.push_back(effect::FetchBody{digest});
  }
  fetch_ready_.clear();
}

void Dispatcher::on(Instant now, event::Finished& e) {
  const auto it = finishing_.all.find(e.batch);
  if (it == finishing_.all.end()) return;
  if (!e.answer) return retry_apart(now, finishing_, e.batch, e.answer.error());
  for (const Ending& ending : it->second.endings) settle(ending);
  finishing_.all.erase(it);
}

void Dispatcher::on(Instant now, event::Requeued& e) {
  const auto it = requeueing_.all.find(e.batch);
  if (it == requeueing_.all.end()) return;
  if (!e.answer) return retry_apart(now, requeueing_, e.batch, e.answer.error());
  Batch<RequeueItem>& batch = it->second;
  for (std::size_t i = 0; i < batch.items.size(); ++i) {
    const Ending& ending = batch.endings[i];
    const auto live = live_.find(ending.attempt.task);
    const bool adopted_since =
        live != live_.end() && live->second.token == ending.attempt.token && !live->second.ending;
    if ((*e.answer)[i] != RequeueAnswer::Stale || !adopted_since) {
      settle(ending);
      continue;
    }
    live->second.ending = true;  // it was not ours when it was given back, and is now
    requeue_ready_.emplace_back(std::move(batch.items[i]), ending);
  }
  requeueing_.all.erase(it);
  expect_work();
}

// Durable: the worker may forget it, and so may we.
void Dispatcher::settle(const Ending& ending) {
  if (Worker* worker = find(ending.worker)) {
    worker->out.settled.push_back(ending.attempt);
    dirty_.insert(worker->id);
  }
  end_live(ending.attempt.task, ending.attempt.token);
}

void Dispatcher::end_live(TaskId task, Token token) {
  const auto it = live_.find(task);
  if (it == live_.end() || it->second.token != token) return;
  if (it->second.backstop != Instant::never()) backstops_.erase({it->second.backstop, task});
  if (Worker* worker = find(it->second.worker)) {
    worker->held.erase(task);
    rank(*worker);
  }
  live_.erase(it);
}

// ---- the session ----

void Dispatcher::keep_session(Instant now, DispatcherEffects& effects) {
  if (session_state_ == SessionState::None && now >= renew_at_) {
    session_state_ = SessionState::Opening;
    effects.push_back(effect::OpenSession{session_, config_.name});
  } else if (session_state_ == SessionState::Live && !renewing_ && now >= renew_at_) {
    renewing_ = true;
    effects.push_back(effect::Renew{session_, std::exchange(revokes_done_, {})});
  }
  for (const auto& [other, beat] : std::exchange(to_reap_, {})) effects.push_back(effect::Reap{other, beat});
  if (session_state_ == SessionState::Live && !reassert_ready_.empty() && now >= adopt_pause_) {
    std::erase_if(reassert_ready_, [this](const ReassertItem& item) {  // what has ended meanwhile
      const auto it = live_.find(item.task);
      return it == live_.end() || it->second.token != item.token || it->second.ending;
    });
    if (reassert_ready_.empty()) return;
    effect::Reassert effect{next_batch_++, session_, std::exchange(reassert_ready_, {})};
    auto& asked = adopting_[effect.batch];
    for (const ReassertItem& item : effect.items)
      asked.emplace_back(live_.at(item.task).worker, Held{item.task, item.token});
    effects.push_back(std::move(effect));
  }
}

void Dispatcher::on(Instant now, event::SessionOpened& e) {
  if (session_state_ != SessionState::Opening) return;
  // It was opened, reaped before we heard of it, and lives never again; nothing was held through it.
  if (!e.answer && e.answer.error().code == Code::Conflict) return lose_session(now, true);
  session_state_ = e.answer ? SessionState::Live : SessionState::None;
  must_renew_ = e.answer && answer_is_old_;
  answer_is_old_ = false;
  renew_at_ = must_renew_ ? now : now + (e.answer ? config_.session_renew : config_.hint_poll);
}

void Dispatcher::on(Instant now, event::Renewed& e) {
  renewing_ = false;
  renew_at_ = now + config_.session_renew;
  const bool old = std::exchange(answer_is_old_, false);
  if (!e.answer) {  // the store is away: nothing is known, so nothing is given up
    renew_at_ = now + config_.hint_poll;
    return;
  }
  if (!e.answer->live) return lose_session(now, e.answer->missing);
  must_renew_ = must_renew_ && old;
  if (must_renew_) renew_at_ = now;
  event::RevokeHint revokes{std::move(e.answer->revokes)};
  on(now, revokes);
  watch_others(now, e.answer->others);
}

// Reaped: another gave our attempts away, so we forget them, and our workers tell us what they hold. Missing: the store
// forgot us (FLUSHALL, an older state); we say again what we hold.
void Dispatcher::lose_session(Instant now, bool missing) {
  note(std::string("session.") + (missing ? "missing" : "reaped") + " session=" + to_string(session_) +
       " held=" + std::to_string(live_.size()));
  session_ = SessionId(Uuid{rng_.next(), rng_.next()});
  session_state_ = SessionState::None;
  renew_at_ = now;
  must_renew_ = answer_is_old_ = false;
  claim_in_flight_ = 0;  // numbers of calls go on: an answer to the lost session's is not taken for one to the next's
  claim_again_ = false;
  reassert_ready_.clear();
  unplaced_.clear();
  for (auto& [key, kind] : kinds_) {
    kind->unplaced = 0;
    line_up(*kind);
  }
  expect_work();
  for (auto& [id, worker] : workers_) {
    DispatcherMessage again;
    again.session = session_;
    again.reregister = true;
    strays_.emplace_back(id, std::move(again));
  }
  if (missing) {
    for (auto it = live_.begin(); it != live_.end();) {
      if (it->second.worker.is_nil() && !it->second.ending) {
        it = live_.erase(it);
        continue;
      }
      if (!it->second.ending) reassert_ready_.push_back({it->first, it->second.token, it->second.number});
      ++it;
    }
    return;
  }
  live_.clear();
  backstops_.clear();
  claim_line_.clear();
  more_line_.clear();
  kinds_.clear();
  dirty_.clear();
  parks_.clear();
  watch_.clear();
  workers_.clear();  // the link keeps the ways to them: they are asked to register again
}

void Dispatcher::watch_others(Instant now, const std::vector<SessionBeat>& others) {
  std::unordered_map<SessionId, Other> seen;
  for (const SessionBeat& beat : others) {
    if (beat.session == session_) continue;
    Other other{beat.beat, Duration{0}, 0, now};
    if (const auto it = others_.find(beat.session); it != others_.end() && it->second.beat == beat.beat) {
      other = it->second;
      // An interval longer than two renewals is a stall of ours, not of theirs.
      other.still += std::min<Duration>(now - other.last_read, config_.session_renew * 2);
      other.last_read = now;
      ++other.reads;
    }
    if (other.still >= config_.session_ttl && other.reads >= kReadsBeforeReap)
      to_reap_.emplace_back(beat.session, beat.beat);
    seen.emplace(beat.session, other);
  }
  others_ = std::move(seen);
}

void Dispatcher::on(Instant, event::Reaped& e) {
  if (!e.answer || !*e.answer) return;
  others_.erase(e.other);
  expect_work();
  note("session.reaped_other session=" + to_string(e.other));
}

}  // namespace treadle::core

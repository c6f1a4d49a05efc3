#include "core/dispatcher.h"

#include <algorithm>

#include "base/assert.h"

namespace treadle::core {
namespace {

constexpr Duration kLate = 100ms;       // a turn later than its deadline by more is a stall of our own
constexpr Duration kLookAgain = 250ms;  // at a worker of which something is overdue that cannot be done now
constexpr Duration kWatchGrain = 25ms;  // workers are looked at in groups, so that idle ones cost few wake-ups
constexpr std::string_view kDisconnected = "its connection is gone";

}  // namespace

Dispatcher::Dispatcher(DispatcherConfig config, Rng rng, Instant now)
    : config_(std::move(config)), rng_(rng), session_(config_.session), renew_at_(now) {
  TREADLE_ASSERT(!session_.is_nil());
}

void Dispatcher::step(Instant now, DispatcherEvent event) {
  discount_stall(now);
  std::visit([&](auto& e) { on(now, e); }, event);
}

void Dispatcher::tick(Instant now, DispatcherEffects& effects) {
  discount_stall(now);
  check_liveness(now);
  check_backstops(now);
  answer_parked(now);
  keep_session(now, effects);
  if (may_claim()) {
    place_claimed(now);
    claim_more(now, effects);
  }
  send_endings(now, effects);
  send_messages(now, effects);
  for (auto& text : notes_) effects.push_back(effect::Note{std::move(text)});
  notes_.clear();
  due_ = next_deadline();
}

// A process that stood still (SIGSTOP, a slow disk, a busy machine) must not take its own silence for that of its
// peers.
void Dispatcher::discount_stall(Instant now) {
  const Duration late = due_ < now ? now - due_ : Duration{0};
  due_ = std::max(due_, now);
  if (late <= kLate) return;
  for (auto& [id, worker] : workers_) {
    worker->last_heard = worker->last_heard + late;
    if (worker->unroutable_since != Instant::never()) worker->unroutable_since = worker->unroutable_since + late;
  }
  if (late > config_.session_ttl / 2 && session_state_ != SessionState::None) {
    must_renew_ = true;
    answer_is_old_ = renewing_ || session_state_ == SessionState::Opening;
    renew_at_ = now;
  }
}

Instant Dispatcher::claim_due() const {
  if (claim_again_) return claim_pause_;
  return claim_line_.empty() ? Instant::never() : claim_line_.begin()->second->poll_at;
}

Instant Dispatcher::next_deadline() const {
  Instant next = renew_at_;
  if (session_state_ == SessionState::Opening || renewing_) next = Instant::never();
  if (may_claim()) {
    if (claim_in_flight_ == 0 && !draining_) next = std::min(next, std::max(claim_due(), claim_pause_));
    if (!unplaced_.empty()) next = std::min(next, unplaced_.front().since + limits::kWaitForSlot);
  }
  if (!parks_.empty()) next = std::min(next, parks_.begin()->first);
  if (!backstops_.empty()) next = std::min(next, backstops_.begin()->first);
  if (!watch_.empty()) next = std::min(next, watch_.begin()->first);
  if (retry_at_ != Instant::never()) next = std::min(next, retry_at_);
  return next;
}

// Each worker is looked at when something of it may be due, not all of them each time: nothing here grows with the
// fleet except their number.
void Dispatcher::check_liveness(Instant now) {
  while (!watch_.empty() && watch_.begin()->first <= now) {
    const auto group = watch_.extract(watch_.begin());
    for (const WorkerId id : group.mapped()) {
      Worker* worker = find(id);
      if (worker && worker->check_at == group.key()) check_worker(now, *worker);
    }
  }
}

void Dispatcher::check_worker(Instant now, Worker& worker) {
  const bool silence_counts = !worker.plain || worker.heartbeats;
  if (silence_counts && now - worker.last_heard > config_.worker_lease)
    return remove_worker(worker, "silent for one lease");
  if (worker.unroutable_since != Instant::never() && now - worker.unroutable_since > config_.disconnect_grace) {
    if (lose_what_cannot_begin(now, worker, kDisconnected)) return remove_worker(worker, kDisconnected);
  } else if (pings(config_.mode) && now - std::max(worker.last_heard, worker.last_sent) > config_.heartbeat / 2) {
    worker.out.ping = true;
    worker.last_sent = now;  // it goes out in this turn, or with the renewal that we wait for
    dirty_.insert(worker.id);
  }
  watch(now, worker);
}

// Notes when the worker must be looked at next if nothing comes from it. What comes later than this only delays what is
// due, so that nothing has to be moved then.
void Dispatcher::watch(Instant now, Worker& worker) {
  if (config_.mode == Mode::Local) return;
  Instant due = worker.last_heard + config_.worker_lease;
  if (worker.unroutable_since != Instant::never())
    due = std::min(due, worker.unroutable_since + config_.disconnect_grace);
  if (pings(config_.mode)) due = std::min(due, std::max(worker.last_heard, worker.last_sent) + config_.heartbeat / 2);
  if (due <= now) due = now + kLookAgain;
  worker.check_at = Instant{(due.ns / kWatchGrain.count() + 1) * kWatchGrain.count()};
  watch_[worker.check_at].push_back(worker.id);
}

void Dispatcher::on(Instant now, event::WorkerAlive& e) {
  Worker* worker = find(e.worker);
  if (!worker) return;
  worker->last_heard = std::max(worker->last_heard, now);
  worker->unroutable_since = Instant::never();
}

void Dispatcher::on(Instant, event::WorkHint&) { expect_work(); }

void Dispatcher::on(Instant now, event::WorkerUnroutable& e) {
  Worker* worker = find(e.worker);
  if (!worker || worker->unroutable_since != Instant::never()) return;
  worker->unroutable_since = now;
  watch(now, *worker);
}

void Dispatcher::on(Instant, event::RevokeHint& e) {
  for (const Held& attempt : e.attempts) {
    const auto it = live_.find(attempt.task);
    // One that is being claimed is not known yet: the next renewal tells of it again.
    const bool comes = claim_in_flight_ != 0 || claim_again_;
    if (comes && std::ranges::find(last_claim_.tokens, attempt.token) != last_claim_.tokens.end() &&
        (it == live_.end() || it->second.token != attempt.token))
      continue;
    revokes_done_.push_back(attempt);
    if (it == live_.end() || it->second.token != attempt.token || it->second.ending) continue;
    it->second.cancelled = true;
    if (Worker* worker = find(it->second.worker)) {
      revoke(*worker, attempt, true);
    } else {
      unplace(attempt.task, it->second);
    }
  }
}

// Also one that ends in this moment: then its worker has nothing more to say of it.
void Dispatcher::on(Instant, event::FollowHint& e) {
  for (const TaskId task : e.tasks) {
    const auto it = live_.find(task);
    Worker* worker = it == live_.end() ? nullptr : find(it->second.worker);
    if (!worker || worker->plain) continue;
    worker->out.follows.push_back({task, it->second.token});
    dirty_.insert(worker->id);
  }
}

DispatcherFigures Dispatcher::figures() const {
  DispatcherFigures f;
  f.workers = workers_.size();
  f.lost_workers = lost_.size();
  for (const auto& [key, kind] : kinds_) f.credit += kind->credit;
  f.held = live_.size();
  f.unplaced = unplaced_.size();
  f.ending = finish_ready_.size() + requeue_ready_.size();
  for (const auto& [number, batch] : finishing_.all) f.ending += batch.items.size();
  for (const auto& [number, batch] : requeueing_.all) f.ending += batch.items.size();
  f.parked = parks_.size();
  f.bodies_wanted = wanted_.size();
  f.other_sessions = others_.size();
  f.session_live = session_state_ == SessionState::Live;
  f.draining = draining_;
  f.claiming = claim_in_flight_ != 0;
  return f;
}

bool Dispatcher::quiet() const {
  return draining_ && finish_ready_.empty() && requeue_ready_.empty() && finishing_.all.empty() &&
         requeueing_.all.empty() && unplaced_.empty() && claim_in_flight_ == 0;
}

void Dispatcher::on(Instant, event::DrainAsked& e) {
  draining_ = true;
  if (!e.workers_too) return;
  for (auto& [id, worker] : workers_) {
    worker->out.drain = true;
    dirty_.insert(id);
  }
}

void Dispatcher::on(Instant now, event::BodyFetched& e) {
  fetching_.erase(e.digest);
  const auto wanted = wanted_.find(e.digest);
  if (wanted == wanted_.end()) return;
  if (!e.answer && e.answer.error().code != Code::NotFound) {  // the store is away: ask again
    fetch_ready_.push_back(e.digest);
    fetch_pause_ = now + config_.hint_poll;
    retry_at_ = std::min(retry_at_, fetch_pause_);
    return;
  }
  FunctionBody body{e.digest, e.answer ? *e.answer : Payload{}, e.answer.has_value()};
  for (const WorkerId id : wanted->second) {
    Worker* worker = find(id);
    if (!worker) continue;
    if (worker->plain) {
      body_for_plain(*worker, body);
      continue;
    }
    worker->out.functions.push_back(body);
    dirty_.insert(id);
  }
  wanted_.erase(wanted);
}

std::vector<WorkerView> Dispatcher::workers() const {
  std::vector<WorkerView> views;
  views.reserve(workers_.size());
  for (const auto& [id, worker] : workers_) views.push_back(view_of(*worker));
  return views;
}

WorkerView Dispatcher::view_of(const Worker& worker) const {
  WorkerView view{.worker = worker.id,
                  .info = worker.info,
                  .load = static_cast<std::uint32_t>(worker.held.size()),
                  .free_slots = open_slots(worker),
                  .running = 0,
                  .last_heartbeat = worker.last_heard,
                  .draining = worker.draining,
                  .current_tasks = {worker.held.begin(), worker.held.end()}};
  for (const TaskId task : worker.held) view.running += live_.at(task).started ? 1 : 0;
  return view;
}

std::uint32_t Dispatcher::slots() const {
  std::uint32_t sum = 0;
  for (const auto& [id, worker] : workers_) sum += worker->info.slots;
  return sum;
}

std::uint32_t Dispatcher::free_slots() const {
  std::uint32_t sum = 0;
  for (const auto& [id, worker] : workers_) sum += open_slots(*worker);
  return sum;
}

}  // namespace treadle::core

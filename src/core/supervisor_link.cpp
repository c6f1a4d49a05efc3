// The supervisor's talk with the dispatcher: sessions, numbers, credit, what is heard and what is said.
#include <algorithm>

#include "core/supervisor.h"

namespace treadle::core {
namespace {

constexpr Duration kRegisterFirst = 1s;
constexpr Duration kRegisterMax = 5s;
constexpr std::size_t kSentRemembered = 1024;

}  // namespace

// ---- heard ----

void Supervisor::on(event::LinkDown&) {
  link_up_ = false;
  link_ = Link::Unregistered;
  trail("link.down", "held=" + std::to_string(works_.size()));
}

void Supervisor::on(event::LinkUp&) {
  link_up_ = true;
  register_anew();
}

void Supervisor::register_anew() {
  link_ = Link::Unregistered;
  register_at_ = now_;
  register_backoff_ = kRegisterFirst;
}

void Supervisor::on(event::DispatcherSaid& e) {
  DispatcherMessage& message = e.message;
  if (!take_session(message)) return;
  take_ack(message.ack);
  for (const Held& attempt : message.settled) {
    Work* work = works_.find(attempt.token);
    if (work && work->place == Place::Ended) outcomes_.settle(*work);
  }
  asked_ = false;
  for (Attempt& attempt : message.attempts) take_attempt(attempt);
  for (FunctionBody& function : message.functions) take_function(function);  // after the attempts that need them
  for (const Revoke& revoke : message.revokes) take_revoke(revoke);
  for (const Held& attempt : message.follows) take_follow(attempt);
  if (message.ping) answer_due_ = true;
  if (message.drain && !dispatcher_drains_) {
    dispatcher_drains_ = true;
    drain_waiting();
  }
}

// True: the message is new and of our session, and is to be acted on.
bool Supervisor::take_session(const DispatcherMessage& message) {
  if (message.registered && link_ == Link::Registering) {
    take_registration(message);
    return true;
  }
  if (message.reregister || message.session != session_) {
    if (link_ == Link::Registered) register_anew();
    return false;
  }
  if (message.seq != 0 && message.seq <= in_seq_) {
    ++counters_.duplicates;
    return false;
  }
  in_seq_ = std::max(in_seq_, message.seq);
  return true;
}

void Supervisor::take_registration(const DispatcherMessage& message) {
  if (message.session != session_) dispatcher_drains_ = false;
  session_ = message.session;
  in_seq_ = message.seq;
  link_ = Link::Registered;
  if (message.heartbeat > Duration{0}) config_.heartbeat = message.heartbeat;
  heartbeat_at_ = now_ + config_.heartbeat;
  give_back_unsure();
  outcomes_.say_all_again();
  functions_.ask_again();
  for (const Executor* executor : busy_) {
    for (const Executor::Piped& piped : executor->pipe) {
      const bool front = &piped == &executor->pipe.front();
      if (piped.reported || (front && executor->reported)) started_.push_back(piped.work->attempt.token);
    }
  }
  trail("worker.registered", "session=" + to_string(session_) + " held=" + std::to_string(works_.size()));
}

// An at-most-once attempt from before the registration may have been given up meanwhile, and the word of it may come
// after this answer: it is not begun.
void Supervisor::give_back_unsure() {
  std::vector<Work*> unsure;
  works_.each([&](Work& work) {
    const bool waits = work.place != Place::Piped && work.place != Place::Ended;
    if (waits && work.at_most_once()) unsure.push_back(&work);
  });
  for (Work* work : unsure) {
    take_out_of_queue(*work);
    give_back(*work, GiveBack::Unstarted);
  }
}

void Supervisor::take_ack(std::uint64_t ack) {
  while (!sent_at_.empty() && sent_at_.front().first <= ack) {
    proven_at_ = sent_at_.front().second;
    has_proof_ = true;
    sent_at_.pop_front();
  }
}

// A message that lay in a socket while this process stood still is old, however late we read it: what counts is when we
// said the last thing that the dispatcher had heard when it spoke.
bool Supervisor::may_begin_at_most_once() const {
  return info_.in_process || (has_proof_ && now_ - proven_at_ <= config_.start_freshness);
}

void Supervisor::take_attempt(Attempt& attempt) {
  ++counters_.attempts;
  std::uint32_t& credit = told_.free_slots > 0 ? told_.free_slots : told_.prefetch;
  if (credit > 0) --credit;
  if (seen_.contains(attempt.token) || works_.find(attempt.token)) {
    ++counters_.duplicates;
    return;
  }
  seen_.insert(attempt.token);
  if (works_.empty() && !config_.heartbeat_when_idle) heartbeat_at_ = now_ + config_.heartbeat;
  Work& work = works_.add(std::move(attempt));
  work.waiting_since = now_;
  if (work.attempt.start_within > Duration{0}) work.start_by = now_ + work.attempt.start_within;
  work.function = &functions_.pin(work.attempt.body_digest);
  if (draining_ || dispatcher_drains_) {
    work.place = Place::Ready;
    give_back(work, GiveBack::Unstarted);
  } else if (work.function->present) {
    make_ready(work, false);
  } else {
    work.place = Place::NeedsBody;
    ++needing_body_;
    work.function->waiting.push_back(&work);
  }
}

void Supervisor::take_function(FunctionBody& body) {
  const bool found = body.found;
  CachedFunction* function = functions_.arrived(std::move(body));
  if (!function) return;
  for (Work* work : std::exchange(function->waiting, {})) {
    --needing_body_;
    work->place = Place::Ready;
    work->waiting_since = now_;
    if (found) {
      make_ready(*work, false);
    } else {
      end(*work, failure(*work, ErrorKind::DeserializeFailed,
                         "its function is gone: it was deleted, or the store lost it; register it again"));
    }
  }
}

void Supervisor::take_revoke(const Revoke& revoke) {
  Work* work = works_.find(revoke.attempt.token);
  if (!work || work->place == Place::Ended) return;
  work->revoked = revoke.kill ? Revoked::Kill : Revoked::IfNotBegun;
  if (work->place != Place::Piped) {
    take_out_of_queue(*work);
    return_unbegun(*work);
    return;
  }
  Executor& executor = *work->executor;
  if (revoke.kill) {
    want_kill(executor, *work, KillWhy::Cancel);
    return;
  }
  if (executor.side_by_side()) return;  // it has begun
  const auto at =
      std::find_if(executor.pipe.begin(), executor.pipe.end(), [&](const auto& piped) { return piped.work == work; });
  if (at != executor.pipe.begin() || executor.begun == Instant::never()) {
    recall(executor, static_cast<std::size_t>(executor.pipe.end() - at));
  }
}

// ---- said ----

void Supervisor::flush(Instant now, SupervisorEffects& effects) {
  now_ = std::max(now_, now);
  effects_ = &effects;
  if (!link_up_) return;
  const bool registers = link_ != Link::Registered;
  if (registers ? now_ < register_at_ : !something_to_say()) return;

  WorkerMessage& message = effects.message.emplace();
  message.worker = config_.worker;
  message.boot = config_.boot;
  message.seq = ++out_seq_;
  message.draining = said_draining_ = draining_;
  const Credit granted = told_ = credit();
  message.free_slots = granted.free_slots;
  message.prefetch = granted.prefetch;
  ++counters_.messages;
  asked_ = true;
  sent_at_.emplace_back(message.seq, now_);
  if (sent_at_.size() > kSentRemembered) sent_at_.pop_front();
  registers ? fill_registration(message) : fill_report(message);
}

void Supervisor::fill_registration(WorkerMessage& message) {
  link_ = Link::Registering;
  register_backoff_ = std::max(register_backoff_, Duration(kRegisterFirst));  // of the first one in a life
  register_at_ = now_ + register_backoff_ + Duration(static_cast<std::int64_t>(rng_.below(100'000'000)));
  register_backoff_ = std::min(register_backoff_ * 2, kRegisterMax);
  ++counters_.registrations;
  message.registers = true;
  message.info = info_;
  message.names_held = true;
  message.held = works_.held();
}

void Supervisor::fill_report(WorkerMessage& message) {
  answer_due_ = false;
  message.session = session_;
  message.ack = in_seq_;
  if (heartbeat_at_ <= now_) {
    heartbeat_at_ = now_ + config_.heartbeat;
    message.names_held = true;
    message.held = works_.held();
  }
  fill_live(message);
  outcomes_.fill(now_, message);
  message.wants = functions_.wants(now_);
  fill_started(message);
  if (draining_ && works_.empty()) message.goodbye = said_goodbye_ = true;
}

bool Supervisor::something_to_say() const {
  const bool heartbeat = heartbeat_at_ <= now_ && (config_.heartbeat_when_idle || !works_.empty());
  const bool leaves = draining_ && (!said_draining_ || (works_.empty() && !said_goodbye_));
  return answer_due_ || heartbeat || leaves || (config_.asks && !asked_) || outcomes_.has_unsent() ||
         !started_.empty() || (!showing_.empty() && show_at_ <= now_) || functions_.wants_at() <= now_ ||
         credit_changed(credit());
}

// Only what still runs: a task that ended meanwhile says so by its outcome.
void Supervisor::fill_started(WorkerMessage& message) {
  for (const Token token : std::exchange(started_, {})) {
    const Work* work = works_.find(token);
    if (!work || work->place != Place::Piped) continue;
    if (work->executor->side_by_side() || work->executor->pipe.front().work == work)
      message.started.push_back(work->held());
  }
}

Supervisor::Credit Supervisor::credit() const {
  if (draining_ || dispatcher_drains_ || outcomes_.over_limits()) return {};
  const auto used = static_cast<std::uint32_t>(busy_.size());
  const std::uint32_t usable = usable_slots();
  const std::uint32_t free = usable > used ? usable - used : 0;
  std::uint32_t room = free * prefetch_for(mean_, Duration{0});
  std::uint32_t beside = 0;  // tasks that run though they hold no slot
  for (const Executor* executor : busy_) {
    if (executor->kill != Executor::KillStage::None) continue;
    if (executor->side_by_side()) {
      room += joiners(*executor);
      beside += static_cast<std::uint32_t>(executor->pipe.size() - 1);
      continue;
    }
    room += prefetch_for(mean_, executor->begun == Instant::never() ? Duration{0} : now_ - executor->begun);
  }
  const std::size_t too_many = needing_environment_ - std::min(needing_environment_, limits::kAwaitEnvironment);
  const auto waiting = static_cast<std::uint32_t>(ready_.size() + needing_body_ + too_many);
  const std::uint32_t beyond =
      (waiting > free ? waiting - free : 0) + static_cast<std::uint32_t>(piped_) - used - beside;
  return {free > waiting ? free - waiting : 0, room > beyond ? room - beyond : 0};
}

// Credit that changes with an outcome travels with it; this is for credit that changes by itself.
bool Supervisor::credit_changed(Credit now) const {
  const bool nothing_told = told_.free_slots + told_.prefetch == 0;
  const bool nothing_now = now.free_slots + now.prefetch == 0;
  return nothing_told != nothing_now || now.free_slots > told_.free_slots;
}

}  // namespace treadle::core

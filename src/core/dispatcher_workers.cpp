// The registry: who is there, what they hold, what they report.
#include <algorithm>

#include "base/assert.h"
#include "core/dispatcher.h"
#include "core/failure_object.h"

namespace treadle::core {
namespace {

constexpr Duration kBackstopMargin = 10s;
constexpr std::string_view kGoodbye = "it said goodbye";
constexpr std::uint64_t kNoSlot = 1ull << 63;  // in a worker's rank

}  // namespace

Outcome Dispatcher::failure(TaskId task, WorkerId worker, ErrorKind kind, std::string text) {
  Outcome outcome;
  outcome.kind = kind;
  outcome.result = worker_failure_object(task, to_string(worker), text);
  outcome.error_type = name_of(kind);
  outcome.error_message = std::move(text);
  return outcome;
}

Dispatcher::Worker* Dispatcher::find(WorkerId id) {
  const auto it = workers_.find(id);
  return it == workers_.end() ? nullptr : it->second.get();
}

void Dispatcher::on(Instant now, event::WorkerSaid& e) {
  WorkerMessage& message = e.message;
  const bool plain = message.seq == 0;
  if (message.registers && may_register(message)) register_worker(now, message);
  Worker* worker = find(message.worker);
  const bool known = worker && worker->boot == message.boot && worker->plain == plain;
  if (!known || (!plain && !message.registers && message.session != session_)) {
    DispatcherMessage stray;
    stray.session = session_;
    stray.reregister = true;
    strays_.emplace_back(message.worker, std::move(stray));
    return;
  }
  worker->last_heard = std::max(worker->last_heard, now);
  worker->unroutable_since = Instant::never();
  const bool seen = message.seq != 0 && message.seq <= worker->in_seq;
  if (seen) {                        // said twice on the way: answered again, and not judged
    take_ack(*worker, message.ack);  // PULL: the same reply again, if it was not seen
    worker->asked = true;
    dirty_.insert(worker->id);
    return;
  }
  worker->in_seq = std::max(worker->in_seq, message.seq);
  if (plain) take_plain(*worker, message);
  take_report(now, *worker, message);
  if (message.goodbye) remove_worker(*worker, kGoodbye);
}

bool Dispatcher::may_register(const WorkerMessage& message) {
  if (workers_.size() < limits::kMaxWorkers || workers_.contains(message.worker)) return true;
  note("worker.refused worker=" + to_string(message.worker) +
       " why=\"the registry is full\" limit=" + std::to_string(limits::kMaxWorkers));
  return false;
}

void Dispatcher::register_worker(Instant now, WorkerMessage& message) {
  // A plain client that registers again has begun a new life: it cannot say what it holds.
  if (Worker* old = find(message.worker); old && (old->boot != message.boot || message.seq == 0))
    remove_worker(*old, "registered again after a restart");
  std::erase_if(lost_, [&](const WorkerView& lost) { return lost.worker == message.worker; });
  auto& place = workers_[message.worker];
  if (!place) {
    place = std::make_unique<Worker>();
    place->id = message.worker;
    place->boot = message.boot;
    place->plain = message.seq == 0;
    place->last_heard = place->last_sent = now;
    note("worker.registered worker=" + to_string(message.worker) + " host=" + message.info.host +
         " slots=" + std::to_string(message.info.slots));
  }
  place->info = std::move(message.info);
  join_kind(*place);
  place->out.registered = true;
  place->out.heartbeat = config_.heartbeat;
  place->out.drain = draining_;
  dirty_.insert(place->id);
  watch(now, *place);
}

void Dispatcher::take_report(Instant now, Worker& worker, WorkerMessage& message) {
  if (speaks_only_when_asked(config_.mode) && (!worker.plain || message.asks)) park(now, worker, message.wait);
  worker.asked = true;
  if (std::exchange(worker.has_news, false)) dirty_.insert(worker.id);
  take_ack(worker, message.ack);
  if (!worker.plain) {
    worker.free_slots = message.free_slots;
    worker.prefetch = message.prefetch;
  }
  worker.draining = message.draining;
  take_started(now, worker, message.started);
  take_live(message.live);
  for (OutcomeReport& report : message.outcomes) take_outcome(worker, report);
  for (GivenBack& given : message.given_back) take_give_back(worker, given);
  if (!worker.plain && (message.names_held || message.registers)) {
    find_dropped(worker, message.held);
    adopt_unknown(worker, message.held);
  }
  for (const Digest digest : message.wants) want(worker, digest);
  rank(worker);
}

void Dispatcher::want(Worker& worker, Digest digest) {
  wanted_[digest].insert(worker.id);
  if (fetching_.insert(digest).second) fetch_ready_.push_back(digest);
}

void Dispatcher::take_ack(Worker& worker, std::uint64_t ack) {
  worker.acked = std::max(worker.acked, std::min(ack, worker.out_seq));
  auto seen = worker.unacked.begin();
  for (; seen != worker.unacked.end() && seen->first <= worker.acked; ++seen) worker.in_flight -= seen->second;
  worker.unacked.erase(worker.unacked.begin(), seen);
  if (!speaks_only_when_asked(config_.mode)) return;
  if (worker.acked < worker.out_seq) return say_again(worker);
  worker.unseen = {};
  worker.in_flight = 0;
}

void Dispatcher::take_started(Instant now, Worker& worker, const std::vector<Held>& started) {
  for (const Held& attempt : started) {
    const auto it = live_.find(attempt.task);
    if (it == live_.end() || it->second.token != attempt.token || it->second.started) continue;
    Live& live = it->second;
    live.started = true;
    if (live.time_limit > Duration{0}) {
      live.backstop = now + live.time_limit + limits::kKillGrace + kBackstopMargin;
      backstops_.emplace(live.backstop, attempt.task);
    }
    started_ready_.push_back({attempt.task, attempt.token, worker.id});
  }
}

void Dispatcher::take_live(std::vector<LiveReport>& reports) {
  for (LiveReport& report : reports) {
    const auto it = live_.find(report.attempt.task);
    if (it == live_.end() || it->second.token != report.attempt.token || it->second.ending) continue;
    live_ready_.push_back({it->second.number, std::move(report)});
  }
}

void Dispatcher::take_outcome(Worker& worker, OutcomeReport& report) {
  const Held attempt = report.attempt;
  const auto it = live_.find(attempt.task);
  const bool ours = it != live_.end() && it->second.token == attempt.token;
  if (ours && it->second.ending) return;  // repeated while its first report is on its way to the store
  if (ours) it->second.ending = true;
  const Ending ending{worker.id, attempt};
  // It was told to stop at a time when its attempt did not count here. The store knows whether somebody wanted that.
  if (report.outcome.kind == ErrorKind::Cancelled && !(ours && it->second.cancelled)) {
    const std::string text = "it ran for a dispatcher that had lost it";
    RequeueItem item{attempt.task, attempt.token, GiveBack::WorkerLost,
                     Duration{0},  text,          failure(attempt.task, worker.id, ErrorKind::WorkerLost, text)};
    requeue_ready_.emplace_back(std::move(item), ending);
    return;
  }
  if (ours && report.outcome.kind == ErrorKind::FunctionFailed && it->second.retries_left > 0 &&
      is_retried(it->second.retry_on, report.outcome.error_classes, report.outcome.error_type)) {
    RequeueItem item{attempt.task,
                     attempt.token,
                     GiveBack::Retry,
                     it->second.retry_delay,
                     report.outcome.error_type + ": " + report.outcome.error_message,
                     std::move(report.outcome)};
    requeue_ready_.emplace_back(std::move(item), ending);
    return;
  }
  finish_ready_.emplace_back(FinishItem{attempt.task, attempt.token, std::move(report.outcome), worker.id}, ending);
}

void Dispatcher::take_give_back(Worker& worker, GivenBack& given) {
  const Held attempt = given.attempt;
  const auto it = live_.find(attempt.task);
  const bool ours = it != live_.end() && it->second.token == attempt.token;
  if (ours && it->second.ending) return;
  if (ours) it->second.ending = true;
  RequeueItem item{
      attempt.task, attempt.token, given.why, Duration{0}, std::move(given.last_error), std::move(given.failure)};
  requeue_ready_.emplace_back(std::move(item), Ending{worker.id, attempt});
}

// An attempt is dropped only if a message does not name it and its ack covers the message that carried the attempt.
void Dispatcher::find_dropped(Worker& worker, const std::vector<Held>& named) {
  std::unordered_set<Token> names;
  for (const Held& attempt : named) names.insert(attempt.token);
  std::vector<TaskId> dropped;
  for (const TaskId task : worker.held) {
    const Live& live = live_.at(task);
    if (!live.ending && live.sent_seq <= worker.acked && !names.contains(live.token)) dropped.push_back(task);
  }
  for (const TaskId task : dropped) lose_attempt(task, live_.at(task), "its worker holds it no more");
}

void Dispatcher::adopt_unknown(Worker& worker, const std::vector<Held>& named) {
  for (const Held& attempt : named) {
    const auto it = live_.find(attempt.task);
    if (it != live_.end() && it->second.token == attempt.token) continue;
    if (!adopt_asked_.insert(attempt.token).second) continue;
    adopt_ready_.emplace_back(worker.id, attempt);
  }
}

// Nobody knows whether the store did it, and if it did, the attempts are ours whether their worker still lives or not.
void Dispatcher::adopt_again(Instant now, const std::vector<std::pair<WorkerId, Held>>& asked) {
  adopt_pause_ = now + config_.hint_poll;
  for (const auto& [id, attempt] : asked) {
    const auto known = live_.find(attempt.task);
    if (known == live_.end() || known->second.token != attempt.token) {
      adopt_asked_.insert(attempt.token);
      adopt_ready_.emplace_back(id, attempt);
    } else if (!known->second.ending) {
      reassert_ready_.push_back({attempt.task, attempt.token, known->second.number});
    }
  }
}

void Dispatcher::on(Instant now, event::Adopted& e) {
  const auto batch = adopting_.extract(e.batch);
  if (batch.empty()) return;
  const auto& asked = batch.mapped();
  if (!e.answer) return adopt_again(now, asked);
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const auto& [id, attempt] = asked[i];
    adopt_asked_.erase(attempt.token);
    Worker* worker = find(id);
    const bool adopted = (*e.answer)[i] == AdoptAnswer::Adopted;
    if (!adopted) {
      end_live(attempt.task, attempt.token);  // a re-asserted one that somebody else has now
      if (worker) revoke(*worker, attempt, true);
      continue;
    }
    if (const auto known = live_.find(attempt.task); known != live_.end()) {
      if (known->second.token == attempt.token) continue;  // re-asserted: we have it already
      end_live(attempt.task, known->second.token);
    }
    Live& live = live_[attempt.task];
    live.token = attempt.token;
    live.worker = id;
    live.started = true;  // unknown; to call it started only costs an attempt if it is lost again
    if (worker) {
      worker->held.insert(attempt.task);
    } else {
      lose_attempt(attempt.task, live, "its worker left while it was adopted");
    }
  }
}

void Dispatcher::revoke(Worker& worker, Held attempt, bool kill) {
  worker.out.revokes.push_back({attempt, kill});
  dirty_.insert(worker.id);
}

void Dispatcher::remove_worker(Worker& worker, std::string_view why) {
  note(std::string(why == kGoodbye ? "worker.left" : "worker.lost") + " worker=" + to_string(worker.id) +
       " held=" + std::to_string(worker.held.size()) + " why=\"" + std::string(why) + "\"");
  const std::vector<TaskId> held(worker.held.begin(), worker.held.end());
  for (const TaskId task : held) {
    if (Live& live = live_.at(task); !live.ending) lose_attempt(task, live, why);
  }
  if (why != kGoodbye) {
    lost_.push_back(view_of(worker));
    lost_.back().lost_why = why;
    if (lost_.size() > limits::kLostWorkersShown) lost_.pop_front();
  }
  leave_kind(worker);
  unpark(worker);
  dirty_.erase(worker.id);
  removed_.push_back(worker.id);
  workers_.erase(worker.id);
}

// Of a worker whose connection is gone. If it lives, an at-most-once attempt may lie unread in its socket, and it may
// begin that for as long as it has fresh proof of us (Supervisor::may_begin_at_most_once). Until then its task must not
// end. False: there is such an attempt; the worker stays, without credit.
bool Dispatcher::lose_what_cannot_begin(Instant now, Worker& worker, std::string_view why) {
  const bool fresh = now - worker.last_heard <= limits::kStartFreshness + config_.disconnect_grace;
  const auto may_begin = [&](const Live& live) {
    return fresh && live.at_most_once && !live.started && live.sent_seq > 0;
  };
  bool all = true;
  for (const TaskId task : worker.held) all = all && (live_.at(task).ending || !may_begin(live_.at(task)));
  if (all) return true;
  for (const TaskId task : worker.held) {
    Live& live = live_.at(task);
    if (live.ending || may_begin(live)) continue;
    lose_attempt(task, live, why);
    revoke(worker, {task, live.token}, true);
  }
  worker.draining = true;
  rank(worker);
  return false;
}

// Burnt only if user code of it was known to run; an at-most-once attempt that was sent may have run unseen.
void Dispatcher::lose_attempt(TaskId task, Live& live, std::string_view why) {
  const bool burnt = live.started || (live.at_most_once && live.sent_seq > 0);
  std::string text = "WorkerLost worker=" + to_string(live.worker) + " attempt=" + std::to_string(live.number) + ": " +
                     std::string(why);
  RequeueItem item{task,        live.token, burnt ? GiveBack::WorkerLost : GiveBack::Unstarted,
                   Duration{0}, text,       failure(task, live.worker, ErrorKind::WorkerLost, text)};
  live.ending = true;
  requeue_ready_.emplace_back(std::move(item), Ending{live.worker, {task, live.token}});
}

void Dispatcher::check_backstops(Instant now) {
  while (!backstops_.empty() && backstops_.begin()->first <= now) {
    const TaskId task = backstops_.begin()->second;
    backstops_.erase(backstops_.begin());
    const auto it = live_.find(task);
    if (it == live_.end() || it->second.ending) continue;
    Live& live = it->second;
    live.ending = true;
    if (Worker* worker = find(live.worker)) revoke(*worker, {task, live.token}, true);
    finish_ready_.emplace_back(FinishItem{task, live.token,
                                          failure(task, live.worker, ErrorKind::Timeout,
                                                  "the time limit passed and its worker did not end it")},
                               Ending{live.worker, {task, live.token}});
  }
}

std::uint32_t Dispatcher::credit(const Worker& worker) const {
  if (worker.awaits_body) return 0;
  if (worker.draining || (speaks_only_when_asked(config_.mode) && !worker.asked)) return 0;
  const std::uint32_t granted = worker.free_slots + worker.prefetch;
  return granted > worker.in_flight ? granted - worker.in_flight : 0;
}

std::uint32_t Dispatcher::open_slots(const Worker& worker) const {
  if (worker.draining) return 0;
  return worker.free_slots > worker.in_flight ? worker.free_slots - worker.in_flight : 0;
}

void Dispatcher::join_kind(Worker& worker) {
  WorkerInfo& info = worker.info;
  std::ranges::sort(info.labels);
  const KindKey key{info.queues.empty() ? config_.queues : info.queues, info.labels};
  auto& kind = kinds_[key];
  if (!kind) {
    kind = std::make_shared<Kind>();
    kind->queues = key.first;
    kind->labels = key.second;
    kind->number = next_kind_++;
  }
  if (worker.kind == kind) return;
  ++kind->workers;
  const std::shared_ptr<Kind> joined = kind;
  leave_kind(worker);
  worker.kind = joined;
}

void Dispatcher::leave_kind(Worker& worker) {
  if (!worker.kind) return;
  unrank(worker);
  const auto kind = std::exchange(worker.kind, nullptr);
  if (--kind->workers == 0) kinds_.erase({kind->queues, kind->labels});
}

void Dispatcher::unrank(Worker& worker) {
  worker.kind->credit -= std::exchange(worker.ranked_credit, 0);
  if (std::exchange(worker.ranked, false)) worker.kind->ranked.erase({worker.rank, worker.id});
  line_up(*worker.kind);
}

// Keeps its kind's `ranked` and `credit` true for this worker; call it after anything that changes its credit or its
// load. Those with a free slot stand before those that only let attempts wait, so that the first one tells whether
// there is any.
void Dispatcher::rank(Worker& worker) {
  if (!worker.kind) return;  // it is being removed
  Kind& kind = *worker.kind;
  const std::uint32_t granted = credit(worker);
  kind.credit += granted;
  kind.credit -= std::exchange(worker.ranked_credit, granted);
  line_up(kind);
  std::uint64_t rank = load_rank(static_cast<std::uint32_t>(worker.held.size()), worker.info.slots);
  if (open_slots(worker) == 0) rank |= kNoSlot;
  if (worker.ranked == (granted > 0) && worker.rank == rank) return;
  if (worker.ranked) kind.ranked.erase({worker.rank, worker.id});
  worker.ranked = granted > 0;
  worker.rank = rank;
  if (worker.ranked) kind.ranked.insert({rank, worker.id});
}

// What is said again, or late, has less time to start than when it was claimed; one that has none left is given back by
// its worker.
void Dispatcher::set_time_to_start(Instant now, Attempt& attempt) const {
  if (attempt.start_within == Duration{0}) return;
  const auto live = live_.find(attempt.task);
  const Instant by = live == live_.end() ? now : live->second.start_by;
  attempt.start_within = std::max(by - now, Duration{1ms});
}

void Dispatcher::send_messages(Instant now, DispatcherEffects& effects) {
  for (auto& [id, message] : strays_) effects.push_back(effect::Send{id, std::move(message)});
  strays_.clear();
  // Until the renewal attempts may be somebody else's, and each word of ours vouches for those that a worker has.
  if (!must_renew_) speak(now, effects);
  for (const WorkerId id : std::exchange(removed_, {})) {
    if (!find(id)) effects.push_back(effect::Forget{id});
  }
}

void Dispatcher::speak(Instant now, DispatcherEffects& effects) {
  const std::vector<WorkerId> dirty(dirty_.begin(), dirty_.end());
  dirty_.clear();
  for (const WorkerId id : dirty) {
    Worker* worker = find(id);
    if (!worker || worker->awaits_body) continue;  // the body that comes brings it back
    if (speaks_only_when_asked(config_.mode) && !worker->asked) {
      worker->has_news = true;
      continue;
    }
    DispatcherMessage message = std::exchange(worker->out, {});
    for (Attempt& attempt : message.attempts) set_time_to_start(now, attempt);
    message.session = session_;
    message.seq = ++worker->out_seq;
    message.ack = worker->in_seq;
    remember(*worker, message);
    worker->asked = false;
    worker->has_news = false;
    worker->last_sent = now;
    unpark(*worker);
    if (speaks_only_when_asked(config_.mode)) rank(*worker);
    effects.push_back(effect::Send{id, std::move(message)});
  }
}

}  // namespace treadle::core

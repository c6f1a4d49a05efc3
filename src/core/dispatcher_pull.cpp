// PULL: requests that wait for work, and plain clients, which number nothing and keep no functions.
#include <algorithm>
#include <utility>

#include "core/dispatcher.h"

namespace treadle::core {

void Dispatcher::park(Instant now, Worker& worker, Duration wait) {
  unpark(worker);
  const Duration longest = worker.plain ? limits::kPlainPark : limits::kMaxPark;
  worker.parked_until = now + (wait > Duration{0} ? std::min(wait, longest) : longest);
  parks_.emplace(worker.parked_until, worker.id);
}

void Dispatcher::unpark(Worker& worker) {
  if (worker.parked_until == Instant::never()) return;
  parks_.erase({worker.parked_until, worker.id});
  worker.parked_until = Instant::never();
}

// NO_TASK: the worker learns that its dispatcher lives, and asks again.
void Dispatcher::answer_parked(Instant now) {
  while (!parks_.empty() && parks_.begin()->first <= now) {
    Worker& worker = *find(parks_.begin()->second);
    unpark(worker);
    if (worker.asked) dirty_.insert(worker.id);
  }
}

// A request whose ack is short of our last reply did not see it (it was superseded, or the connection broke): all that
// was in it goes into the next reply. Attempts keep their tokens.
void Dispatcher::say_again(Worker& worker) {
  DispatcherMessage lost = std::exchange(worker.unseen, {});
  DispatcherMessage& out = worker.out;
  for (Attempt& attempt : lost.attempts) {
    const auto it = live_.find(attempt.task);
    if (it == live_.end() || it->second.token != attempt.token || it->second.ending) {
      --worker.in_flight;
      continue;
    }
    it->second.sent_seq = worker.out_seq + 1;
    out.attempts.push_back(std::move(attempt));
  }
  out.settled.insert(out.settled.end(), lost.settled.begin(), lost.settled.end());
  out.revokes.insert(out.revokes.end(), lost.revokes.begin(), lost.revokes.end());
  out.functions.insert(out.functions.end(), lost.functions.begin(), lost.functions.end());
  out.drain = out.drain || lost.drain;
  const bool something =
      !out.attempts.empty() || !out.settled.empty() || !out.revokes.empty() || !out.functions.empty() || out.drain;
  if (something) dirty_.insert(worker.id);
}

void Dispatcher::remember(Worker& worker, const DispatcherMessage& message) {
  if (worker.plain) return;
  if (speaks_only_when_asked(config_.mode)) {
    worker.unseen = message;
  } else if (!message.attempts.empty()) {
    worker.unacked.emplace_back(message.seq, static_cast<std::uint32_t>(message.attempts.size()));
  }
}

// Each message of a plain client is a request that wants one answer: to WORKER_TASK_REQUEST a task or NO_TASK, to
// an outcome the store's word that it is durable, to anything else an ACK at once.
void Dispatcher::take_plain(Worker& worker, const WorkerMessage& message) {
  worker.free_slots = message.asks ? 1 : 0;
  const bool reports = !message.outcomes.empty() || !message.given_back.empty();
  if (message.asks || reports) return;
  if (!message.registers) worker.heartbeats = true;
  dirty_.insert(worker.id);
}

// It cannot tell when it starts, so it runs from the moment of sending; its time limit counts from here.
void Dispatcher::begin_plain(Instant now, Worker& worker, Attempt& attempt) {
  worker.free_slots = 0;
  worker.awaits_body = true;
  want(worker, attempt.body_digest);
  take_started(now, worker, {{attempt.task, attempt.token}});
  worker.out.attempts.push_back(std::move(attempt));
  rank(worker);
}

void Dispatcher::body_for_plain(Worker& worker, const FunctionBody& body) {
  worker.awaits_body = false;
  dirty_.insert(worker.id);
  if (body.found) {
    worker.out.functions.push_back(body);
    return;
  }
  for (const Attempt& attempt : std::exchange(worker.out.attempts, {})) {
    OutcomeReport report{{attempt.task, attempt.token},
                         failure(attempt.task, worker.id, ErrorKind::DeserializeFailed,
                                 "its function is gone: it was deleted, or the store lost it; register it again")};
    take_outcome(worker, report);
  }
}

}  // namespace treadle::core

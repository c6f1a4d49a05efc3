// How attempts end: outcomes, attempts given back, cancels; what counts against a task and when it may not run again.
#include <utility>

#include "base/assert.h"
#include "store/ledger.h"

namespace treadle::store {

using core::ErrorKind;
using core::GiveBack;
using core::TaskState;

core::Outcome Ledger::own_failure(ErrorKind kind, TaskId task, const std::string& worker, std::string text) const {
  core::Outcome outcome;
  outcome.kind = kind;
  outcome.result = config_.failure(kind, task, worker, text);
  outcome.error_type = core::name_of(kind);
  outcome.error_message = std::move(text);
  return outcome;
}

// The entry is in no line and nobody holds it any more. Its state stays what readers may see until the end is durable.
void Ledger::end(std::uint32_t slot, core::Outcome outcome, Token winner, Now now, Decisions& out) {
  Entry& entry = entries_[slot];
  TREADLE_ASSERT(!entry.is(Entry::kEnding | Entry::kPending));
  count(entry, false);
  entry.set(Entry::kEnding);
  const auto held = holdings_.find(slot);
  std::string worker;
  AttemptTimes times;
  if (held != holdings_.end()) {
    held->second.token = winner;  // only the winner's repeated outcome is a duplicate; any other is stale
    worker = held->second.worker;
    times = held->second.times;
  }
  const std::uint64_t keep_ms = profile(entry).keep_ms;
  const WallMs keep_until{keep_ms > 0 ? now.wall.ms + static_cast<std::int64_t>(keep_ms) : 0};
  Ending ending{slot,
                {{entry.id, profile(entry).function->id, outcome.completed() ? TaskState::Completed : TaskState::Failed,
                  outcome.kind, entry.attempt, outcome.result},
                 winner,
                 keep_until}};
  change::Finish finish{entry.seq, entry.id, entry.attempt, winner, std::move(outcome), std::move(worker)};
  if (entry.is(Entry::kDetails)) finish.last_error = details_.at(slot).last_error;
  finish.losses = entry.losses;
  finish.kills = entry.kills;
  finish.times = times;
  finish.finished = now.wall;
  finish.args_bytes = entry.args_bytes;
  finish.keep_until = keep_until;
  out.changes.push_back(std::move(finish));
  out.endings.push_back(std::move(ending));
}

void Ledger::end_expired(std::uint32_t slot, Now now, Decisions& out) {
  const std::string text = "It had not begun when its time to wait was over (deadline, expires_in or queue_ttl).";
  end(slot, own_failure(ErrorKind::Expired, entries_[slot].id, "", text), {}, now, out);
}

FinishAnswer Ledger::finish(FinishItem& item, Now now, Decisions& out) {
  const std::uint32_t slot = find(item.task);
  if (slot == kNone) return FinishAnswer::Missing;
  const auto holding = holdings_.find(slot);
  if (!item.token || holding == holdings_.end() || holding->second.token != item.token) return FinishAnswer::Stale;
  if (entries_[slot].is(Entry::kEnding)) return FinishAnswer::Duplicate;
  release(slot);
  if (!item.worker.is_nil()) holding->second.worker = to_string(item.worker);
  end(slot, std::move(item.outcome), item.token, now, out);
  return FinishAnswer::Applied;
}

RequeueAnswer Ledger::requeue(SessionId session, RequeueItem& item, Now now, Decisions& out) {
  const std::uint32_t slot = find(item.task);
  if (slot == kNone) return RequeueAnswer::Missing;
  if (!is_held({item.task, item.token}, session)) return RequeueAnswer::Stale;
  return give_back(slot, item, now, out);
}

RequeueAnswer Ledger::give_back(std::uint32_t slot, RequeueItem& item, Now now, Decisions& out) {
  Entry& entry = entries_[slot];
  const Holding holding = release(slot);
  if (entry.is(Entry::kCancelRequested)) {
    end(slot, own_failure(ErrorKind::Cancelled, entry.id, holding.worker, cancel_reason(slot)), {}, now, out);
    return RequeueAnswer::Cancelled;
  }
  const core::Options& options = profile(entry).options;
  const bool once = options.delivery == core::Delivery::AtMostOnce;
  const std::uint16_t max_losses = options.max_attempts > 0 ? options.max_attempts : core::limits::kMaxAttempts;
  const ErrorKind given = item.failure.kind == ErrorKind::None ? ErrorKind::WorkerLost : item.failure.kind;
  ErrorKind verdict = ErrorKind::None;
  switch (item.why) {
    case GiveBack::Unstarted: break;
    case GiveBack::WorkerLost:
      ++entry.losses;
      if (once || entry.losses >= max_losses) verdict = ErrorKind::WorkerLost;
      break;
    case GiveBack::Killed:
      ++entry.losses;
      ++entry.kills;
      if (once || entry.losses >= max_losses) verdict = given;
      if (entry.kills >= core::limits::kMaxKills) verdict = ErrorKind::PoisonTask;
      break;
    case GiveBack::Suspect:
      if (once) verdict = given;
      entry.set(Entry::kSuspect);
      break;
    case GiveBack::Retry:
      if (once || entry.retries_used >= options.retries) verdict = given;
      ++entry.retries_used;
      break;
  }
  if (verdict == ErrorKind::None && has_expired(slot, now.instant + item.delay)) {
    if (item.why != GiveBack::Retry) return expire_held(slot, item, now, out);
    verdict = given;  // its next try would begin too late: what it raised is what it ends with
  }
  if (verdict == ErrorKind::None) {
    go_back(slot, item, item.why != GiveBack::Unstarted, now, out);
    return RequeueAnswer::Queued;
  }
  core::Outcome outcome = final_failure(slot, verdict, item);
  if (!item.last_error.empty()) details(slot).last_error = std::move(item.last_error);
  end(slot, std::move(outcome), {}, now, out);
  return RequeueAnswer::Failed;
}

RequeueAnswer Ledger::expire_held(std::uint32_t slot, RequeueItem& item, Now now, Decisions& out) {
  if (!item.last_error.empty()) details(slot).last_error = std::move(item.last_error);
  end_expired(slot, now, out);
  return RequeueAnswer::Failed;
}

core::Outcome Ledger::final_failure(std::uint32_t slot, ErrorKind kind, RequeueItem& item) {
  const Entry& entry = entries_[slot];
  core::Outcome outcome = std::move(item.failure);
  std::string text = outcome.error_message.empty() ? item.last_error : outcome.error_message;
  const bool says_so = outcome.kind == kind && !outcome.result.bytes.empty();
  if (says_so) return outcome;
  if (kind == ErrorKind::PoisonTask) {
    const auto known = details_.find(slot);
    const std::string first = known == details_.end() ? std::string() : known->second.last_error;
    text = "It killed its executor " + std::to_string(entry.kills) +
           " times; it will not be run again. First: " + first + ". Last: " + text;
  }
  core::Outcome own = own_failure(kind, entry.id, holdings_.at(slot).worker, std::move(text));
  own.traceback = std::move(outcome.traceback);
  own.output = std::move(outcome.output);
  own.measures = outcome.measures;
  return own;
}

void Ledger::go_back(std::uint32_t slot, RequeueItem& item, bool changed, Now now, Decisions& out) {
  Entry& entry = entries_[slot];
  holdings_.erase(slot);
  set_state(entry, TaskState::Queued);
  const WallMs not_before{item.delay > Duration{0} ? now.wall.ms + item.delay / 1ms : 0};
  if (!item.last_error.empty()) details(slot).last_error = item.last_error;
  if (changed || entry.is(Entry::kRecorded) || not_before.ms != 0) {
    out.changes.push_back(change::Requeue{entry.seq, entry.attempt, entry.losses, entry.kills, entry.retries_used,
                                          entry.is(Entry::kSuspect), not_before, std::move(item.last_error)});
    entry.clear(Entry::kRecorded);
  }
  enqueue(slot, now.instant + item.delay, now.instant);
}

void Ledger::lose(std::uint32_t slot, const std::string& why, Now now, Decisions& out) {
  const Entry& entry = entries_[slot];
  const Holding& holding = holdings_.at(slot);
  const bool once = profile(entry).options.delivery == core::Delivery::AtMostOnce;
  const bool burnt = once || entry.state == TaskState::Running;
  RequeueItem item{entry.id, holding.token, burnt ? GiveBack::WorkerLost : GiveBack::Unstarted, Duration{0}};
  if (burnt) {
    item.last_error = "WorkerLost worker=" + holding.worker + " attempt=" + std::to_string(entry.attempt) + ": " + why;
  }
  give_back(slot, item, now, out);
}

CancelDecision Ledger::cancel(TaskId id, const std::string& reason, Now now, Decisions& out) {
  const std::uint32_t slot = find(id);
  if (slot == kNone) return {};
  Entry& entry = entries_[slot];
  if (entry.is(Entry::kEnding)) return {CancelAnswer::Terminal};
  if (entry.state == TaskState::Queued) {
    leave_line(slot);
    end(slot, own_failure(ErrorKind::Cancelled, id, "", reason), {}, now, out);
    return {CancelAnswer::Cancelled};
  }
  const Holding& holding = holdings_.at(slot);
  const core::Held attempt{id, holding.token};
  // Perhaps the first one is not durable yet: it is said again, so that this answer waits for the disk as well.
  if (entry.is(Entry::kCancelRequested)) {
    out.changes.push_back(change::RequestCancel{entry.seq, cancel_reason(slot)});
    return {CancelAnswer::Requested, holding.session, attempt};
  }
  entry.set(Entry::kCancelRequested);
  details(slot).cancel_reason = reason;
  if (Session* session = sessions_.find(holding.session)) session->revokes.push_back(attempt);
  out.changes.push_back(change::RequestCancel{entry.seq, reason});
  return {CancelAnswer::Requested, holding.session, attempt};
}

void Ledger::fail_unreadable(std::uint32_t slot, const std::string& why, Now now, Decisions& out) {
  const TaskId id = entries_[slot].id;
  const std::string worker = release(slot).worker;
  end(slot, own_failure(ErrorKind::DeserializeFailed, id, worker, why), {}, now, out);
}

}  // namespace treadle::store

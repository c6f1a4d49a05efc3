// The ledger's held tasks: claims, starts, adoption, re-assertion, reaping; and what is loaded at start.
#include <algorithm>

#include "base/assert.h"
#include "store/ledger.h"

namespace treadle::store {

using core::Delivery;
using core::TaskState;

namespace {

constexpr std::size_t kParkedByAClaim = 4096;  // tasks whose limit is reached that one claim sets aside; then it ends

}  // namespace

void Ledger::load(LiveRow row, Now now, Decisions& out) {
  next_seq_ = std::max(next_seq_, row.seq + 1);
  const std::uint32_t slot = add(row.id, row.seq, row.function, row.options, row.args_bytes);
  Entry& entry = entries_[slot];
  entry.attempt = row.attempt;
  entry.losses = static_cast<std::uint16_t>(row.losses);
  entry.kills = static_cast<std::uint8_t>(row.kills);
  entry.retries_used = static_cast<std::uint16_t>(row.retries_used);
  if (row.suspect) entry.set(Entry::kSuspect);
  const Instant expires = instant_of(row.expires);
  // A wait limit of its own is not told apart from the common one.
  set_expiry(slot, expires, expires - now.instant < core::limits::kWatchedWait);
  if (row.cancel_requested) {
    entry.set(Entry::kCancelRequested);
    details(slot).cancel_reason = row.cancel_reason;
  }
  if (row.state == TaskState::Queued && row.cancel_requested) {
    end(slot, own_failure(core::ErrorKind::Cancelled, row.id, row.worker, row.cancel_reason), {}, now, out);
    return;  // its claim was not recorded, and whoever held it is gone
  }
  if (row.state == TaskState::Queued) return enqueue(slot, instant_of(row.not_before), now.instant);
  set_state(entry, TaskState::Claimed);
  if (row.state == TaskState::Running) set_state(entry, TaskState::Running);
  entry.set(Entry::kRecorded);
  holdings_[slot] = Holding{row.token, SessionId{}, row.worker, row.times};
  hold_limit(slot);
  if (config_.adoption_window > Duration{0}) {
    adopt_until_ = now.instant + config_.adoption_window;
  } else {
    lose(slot, "the server that it ran under ended", now, out);
  }
}

std::vector<core::Held> Ledger::claim(const ClaimRequest& request, Now now, Decisions& out, bool& more, bool& synced) {
  std::vector<core::Held> given;
  static const std::vector<std::string> kDefault = {""};
  more = false;
  for (const std::string& name : request.queues.empty() ? kDefault : request.queues) {
    const std::vector<Queue*> lines = lines_for(name, request.labels);
    if (paused_.contains(std::string(core::queue_of_line(name)))) {
      for (Queue* line : lines) line->found_empty = true;  // its resumption is told as new work is
      continue;
    }
    claim_from(lines, request, now, out, given, synced);
    for (Queue* line : lines) {
      line->found_empty = line->ready.empty();
      more = more || !line->ready.empty();
    }
  }
  return given;
}

void Ledger::claim_from(const std::vector<Queue*>& lines, const ClaimRequest& request, Now now, Decisions& out,
                        std::vector<core::Held>& given, bool& synced) {
  std::size_t parked = 0;
  while (given.size() < request.tokens.size() && parked < kParkedByAClaim) {
    Queue* line = first_of(lines);
    if (!line) return;
    const std::uint32_t slot = line->ready.pop();
    if (slot == kNone) return;
    if (has_expired(slot, now.instant)) {
      end_expired(slot, now, out);
      wake_parked(slot);
      continue;
    }
    if (park_if_full(slot)) {
      ++parked;
      continue;
    }
    const Token token = request.tokens[given.size()];
    take(slot, token, request.session, request.worker, now, out);
    synced = synced || entries_[slot].is(Entry::kRecorded);
    given.push_back({entries_[slot].id, token});
  }
}

// The entry is in no line any more.
void Ledger::take(std::uint32_t slot, Token token, SessionId session, const std::string& worker, Now now,
                  Decisions& out) {
  Entry& entry = entries_[slot];
  set_state(entry, TaskState::Claimed);
  ++entry.attempt;
  holdings_[slot] = Holding{token, session, worker, {now.wall, {}}};
  sessions_.hold(session, slot);
  hold_limit(slot);
  if (profile(entry).options.delivery != Delivery::AtMostOnce) return;
  entry.set(Entry::kRecorded);
  out.changes.push_back(change::Claim{entry.seq, entry.attempt, token, worker, now.wall});
}

Ledger::Holding Ledger::release(std::uint32_t slot) {
  Holding& holding = holdings_.at(slot);
  sessions_.let_go(holding.session, slot, {entries_[slot].id, holding.token});
  holding.session = {};
  let_go_limit(slot);
  return holding;
}

bool Ledger::is_held(core::Held attempt, SessionId session) const {
  const std::uint32_t slot = find(attempt.task);
  if (slot == kNone || !entries_[slot].held()) return false;
  const Holding& holding = holdings_.at(slot);
  return holding.token == attempt.token && holding.session == session;
}

core::Attempt Ledger::attempt_of(std::uint32_t slot, Instant now) const {
  const Entry& entry = entries_[slot];
  const Profile& p = profile(entry);
  core::Attempt attempt;
  attempt.task = entry.id;
  attempt.token = holdings_.at(slot).token;
  attempt.number = entry.attempt;
  attempt.function = p.function->id;
  attempt.body_digest = p.function->digest;
  attempt.args = args_.at(slot);
  attempt.delivery = p.options.delivery;
  attempt.isolation = p.options.isolation;
  attempt.suspect = entry.is(Entry::kSuspect);
  attempt.retries_left = static_cast<std::uint16_t>(std::max(0, p.options.retries - entry.retries_used));
  const core::Scheduling scheduling = core::scheduling_of(p.options.more);
  attempt.retry_delay =
      core::retry_wait(std::chrono::milliseconds(p.options.retry_delay_ms), scheduling, entry.retries_used);
  attempt.retry_on = scheduling.retry_on;
  attempt.start_within = time_to_start(slot, now);
  attempt.time_limit = std::chrono::milliseconds(p.options.time_limit_ms);
  attempt.memory_limit = p.options.memory_limit;
  attempt.allowance = core::allowance_of(p.options.more);
  attempt.surroundings = core::surroundings_of(p.options.more);
  return attempt;
}

void Ledger::started(const StartedItem& item, Now now, Decisions& out) {
  const std::uint32_t slot = find(item.task);
  if (slot == kNone || !entries_[slot].held()) return;
  Entry& entry = entries_[slot];
  Holding& holding = holdings_.at(slot);
  if (holding.token != item.token || entry.state != TaskState::Claimed) return;
  set_state(entry, TaskState::Running);
  entry.set(Entry::kRecorded);
  holding.worker = to_string(item.worker);
  holding.times.started = now.wall;
  out.changes.push_back(change::Start{entry.seq, entry.attempt, item.token, holding.worker, holding.times});
}

void Ledger::tell(std::uint32_t slot, TaskStory& story) const {
  const Entry& entry = entries_[slot];
  story.view.state = entry.state;
  story.view.attempt = entry.attempt;
  story.claimed = story.started = WallMs{};
  const auto held = holdings_.find(slot);
  if (entry.state == TaskState::Queued || held == holdings_.end()) return;
  story.claimed = held->second.times.claimed;
  story.started = held->second.times.started;
  if (!held->second.worker.empty()) story.worker = held->second.worker;
}

// ---- sessions ----

AdoptAnswer Ledger::adopt(SessionId to, core::Held attempt) {
  const std::uint32_t slot = find(attempt.task);
  if (slot == kNone || !entries_[slot].held()) return AdoptAnswer::Refused;
  Holding& holding = holdings_.at(slot);
  if (holding.token != attempt.token) return AdoptAnswer::Refused;
  if (holding.session == to) return AdoptAnswer::Adopted;
  sessions_.let_go(holding.session, slot, attempt);
  holding.session = to;
  sessions_.hold(to, slot);
  if (entries_[slot].is(Entry::kCancelRequested)) sessions_.find(to)->revokes.push_back(attempt);
  return AdoptAnswer::Adopted;
}

AdoptAnswer Ledger::reassert(SessionId to, const ReassertItem& item, Now now, Decisions& out) {
  const std::uint32_t slot = find(item.task);
  if (slot == kNone) return AdoptAnswer::Refused;
  Entry& entry = entries_[slot];
  if (!entry.claimable()) return adopt(to, {item.task, item.token});
  leave_line(slot);
  entry.attempt = std::max(entry.attempt, item.number);
  if (entry.attempt == item.number && entry.attempt > 0) --entry.attempt;  // take() counts it
  take(slot, item.token, to, "", now, out);
  return AdoptAnswer::Adopted;
}

bool Ledger::reap(SessionId other, std::uint64_t beat_seen, Now now, Decisions& out) {
  const Session* session = sessions_.find_live(other);
  if (!session || session->beat != beat_seen) return false;
  std::vector<std::uint32_t> held(session->held.begin(), session->held.end());
  std::sort(held.begin(), held.end(), [this](auto a, auto b) { return entries_[a].seq < entries_[b].seq; });
  for (const std::uint32_t slot : held) lose(slot, "its dispatcher was silent", now, out);
  sessions_.bury(other);
  return true;
}

}  // namespace treadle::store

// The ledger's waiting tasks: submit, lines and delays, expiry, arguments.
#include "store/ledger.h"

#include <algorithm>
#include <limits>

#include "base/assert.h"

namespace treadle::store {
namespace {

constexpr Duration kSweepEvery = 60s;         // of tasks with the common queue time, which is counted in days
constexpr std::uint32_t kSweepSlots = 8192;   // looked at by one sweep
constexpr std::size_t kAheadTasks = 256;      // arguments read ahead of claims
constexpr std::uint64_t kArgsOverhead = 112;  // of cached arguments, beyond their bytes: map node, count, view

// Mapped files cost no memory of ours.
std::uint64_t weight_of(const core::Payload& args) {
  return (args.bytes.size() <= core::limits::kInline ? args.bytes.size() : 0) + kArgsOverhead;
}

}  // namespace

Ledger::Ledger(LedgerConfig config, Now birth)
    : config_(std::move(config)), birth_(birth), sweep_at_(birth.instant + kSweepEvery) {}

// ---- queues and profiles ----

std::uint32_t Ledger::queue_named(const std::string& name) {
  const std::string& known = is_default_queue(name) ? std::string() : name;
  if (const auto it = queue_numbers_.find(known); it != queue_numbers_.end()) return it->second;
  const auto free = std::find(queues_.begin(), queues_.end(), nullptr);
  const auto number = static_cast<std::uint32_t>(free - queues_.begin());
  if (free == queues_.end()) queues_.emplace_back();
  queues_[number] = std::make_unique<Queue>(
      Queue{ReadyQueue(known, entries_, [this](std::uint32_t slot) { entries_.give_back(slot); })});
  queue_numbers_[known] = number;
  labelled_lines_ += core::labels_of_line(known).empty() ? 0 : 1;
  return number;
}

void Ledger::drop_queue_if_unused(std::uint32_t number) {
  const Queue& queue = *queues_[number];
  // One with labels goes though it was claimed from: clients make them as they like.
  const bool labelled = !core::labels_of_line(queue.ready.name()).empty();
  if (queue.profiles > 0 || (queue.claimed && !labelled) || !queue.ready.clean()) return;
  labelled_lines_ -= labelled ? 1 : 0;
  queue_numbers_.erase(queue.ready.name());
  queues_[number] = nullptr;
}

std::uint32_t Ledger::add(TaskId id, std::uint64_t seq, const FunctionRef& function, const core::Options& options,
                          std::uint64_t args_bytes) {
  const std::uint32_t slot = entries_.take();
  bool is_new = false;
  Entry& entry = entries_[slot];
  entry.id = id;
  entry.seq = seq;
  entry.args_bytes =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(args_bytes, std::numeric_limits<std::uint32_t>::max()));
  entry.profile = profiles_.acquire(function, options, is_new);
  if (is_new) {
    Profile& p = profiles_[entry.profile];
    const core::Scheduling scheduling = core::scheduling_of(options.more);
    p.queue = queue_named(core::line_name(options.queue, scheduling.labels));
    p.limit = scheduling.limit;
    p.keep_ms = scheduling.keep_ms;
    if (!scheduling.limit_key.empty()) p.limiter = limiters_.acquire(scheduling.limit_key);
    ++queues_[p.queue]->profiles;
  }
  index_.insert(id, slot);
  count(entry, true);
  return slot;
}

Ledger::Details& Ledger::details(std::uint32_t slot) {
  entries_[slot].set(Entry::kDetails);
  return details_[slot];
}

std::string Ledger::cancel_reason(std::uint32_t slot) const {
  const auto it = details_.find(slot);
  return it == details_.end() ? std::string() : it->second.cancel_reason;
}

// ---- submit ----

Result<void> Ledger::admit(std::size_t tasks, std::uint64_t bytes) const {
  if (queued_ + tasks > config_.max_queued) {
    return fail(Code::Full, "The queue holds " + std::to_string(queued_) + " waiting tasks and its limit is " +
                                std::to_string(config_.max_queued) + ". Submit again when some have run.");
  }
  if (queued_bytes_ + bytes > config_.max_queued_bytes) {
    return fail(Code::Full, "The arguments of waiting tasks take " + std::to_string(queued_bytes_) +
                                " bytes and the limit is " + std::to_string(config_.max_queued_bytes) +
                                ". Submit again when some have run.");
  }
  return {};
}

std::uint32_t Ledger::submit(Submission task, const FunctionRef& function, Now now, Decisions& out) {
  const std::uint64_t args_bytes = task.args.bytes.size();
  const std::uint32_t slot = add(task.id, next_seq_++, function, task.options, args_bytes);
  Entry& entry = entries_[slot];
  entry.set(Entry::kPending);
  const bool own_wait = has_own_wait(task);
  const WallMs not_before{task.delay_ms > 0 ? now.wall.ms + task.delay_ms : 0};
  const WallMs expires{now.wall.ms + wait_limit_ms(task)};
  if (task.delay_ms > 0) details(slot).due = now.instant + std::chrono::milliseconds(task.delay_ms);
  // The wall clock may have been stepped since the ledger was born: what it holds runs by the monotonic clock.
  set_expiry(slot, now.instant + std::chrono::milliseconds(expires.ms - now.wall.ms), own_wait);
  if (args_bytes <= core::limits::kInline && args_bytes_ < config_.args_cache_bytes) put_args(slot, task.args);
  out.changes.push_back(change::Insert{entry.seq, function->no, std::move(task), now.wall, not_before, expires});
  return slot;
}

void Ledger::activate(std::uint32_t slot, Now now) {
  Entry& entry = entries_[slot];
  TREADLE_ASSERT(entry.is(Entry::kPending));
  entry.clear(Entry::kPending);
  enqueue(slot, entry.is(Entry::kDetails) ? details_.at(slot).due : Instant{}, now.instant);
}

void Ledger::drop(std::uint32_t slot) {
  TREADLE_ASSERT(entries_[slot].is(Entry::kPending));
  count(entries_[slot], false);
  forget(slot);
}

std::uint32_t Ledger::find(TaskId id) const {
  const std::uint32_t slot = index_.find(id);
  return slot == kNone || entries_[slot].is(Entry::kPending) ? kNone : slot;
}

// ---- lines ----

void Ledger::enqueue(std::uint32_t slot, Instant due, Instant now) {
  if (due <= now) return make_ready(slot);
  details(slot).due = due;
  delayed_.emplace(due, slot);
  entries_[slot].where = Where::Delayed;
}

void Ledger::make_ready(std::uint32_t slot) {
  if (!park_if_full(slot)) push_ready(slot);
}

void Ledger::push_ready(std::uint32_t slot) {
  const Profile& p = profile(entries_[slot]);
  Queue& queue = *queues_[p.queue];
  queue.ready.push(slot, p.options.priority);
  if (!queue.found_empty) return;
  queue.found_empty = false;
  work_hint_ = true;
}

// Takes a waiting task out of wherever it waits.
void Ledger::leave_line(std::uint32_t slot) {
  Entry& entry = entries_[slot];
  if (entry.where == Where::Delayed) {
    delayed_.erase({details_.at(slot).due, slot});
    entry.where = Where::Nowhere;
  } else if (entry.where == Where::Parked) {
    limiters_.unpark(profile(entry).limiter, group_of(slot), rank_of(slot));
    entry.where = Where::Nowhere;
  } else if (entry.claimable()) {
    queues_[profile(entry).queue]->ready.remove(slot, profile(entry).options.priority);
    wake_parked(slot);
  }
}

void Ledger::count(const Entry& entry, bool add) {
  const auto by = [add](std::uint64_t& counter, std::uint64_t n) { add ? counter += n : counter -= n; };
  switch (entry.state) {
    case core::TaskState::Queued:
      by(queued_, 1);
      by(queued_bytes_, entry.args_bytes);
      return;
    case core::TaskState::Claimed: return by(claimed_, 1);
    case core::TaskState::Running: return by(running_, 1);
    default: TREADLE_ASSERT_MSG(false, "a terminal task is counted as live");
  }
}

void Ledger::set_state(Entry& entry, core::TaskState state) {
  TREADLE_ASSERT_MSG(core::is_legal_move(entry.state, state), "illegal move of a task");
  count(entry, false);
  entry.state = state;
  count(entry, true);
}

void Ledger::forget(std::uint32_t slot) {
  Entry& entry = entries_[slot];
  const std::uint32_t queue = profile(entry).queue, limiter = profile(entry).limiter;
  const std::int16_t priority = profile(entry).options.priority;
  index_.erase(entry.id);
  holdings_.erase(slot);
  if (const auto it = args_.find(slot); it != args_.end()) {
    args_bytes_ -= weight_of(it->second);
    args_.erase(it);
  }
  if (entry.is(Entry::kDetails)) {
    expiring_.erase({details_.at(slot).expires, slot});
    details_.erase(slot);
  }
  const bool last = profiles_.release(entry.profile);
  if (entry.where == Where::Fifo) {
    entry.flags = Entry::kGone;
    queues_[queue]->ready.bury(priority);
  } else {
    entries_.give_back(slot);
  }
  if (!last) return;
  if (limiter != Limiters::kNone) limiters_.release(limiter);
  --queues_[queue]->profiles;
  drop_queue_if_unused(queue);
}

// ---- time ----

Instant Ledger::instant_of(WallMs wall) const {
  return wall.ms == 0 ? Instant{} : birth_.instant + std::chrono::milliseconds(wall.ms - birth_.wall.ms);
}

void Ledger::set_expiry(std::uint32_t slot, Instant expires, bool of_its_own) {
  const std::int64_t seconds = std::max<std::int64_t>((expires - birth_.instant) / 1s + 1, 0);
  entries_[slot].expires_s =
      static_cast<std::uint32_t>(std::min<std::int64_t>(seconds, std::numeric_limits<std::uint32_t>::max()));
  if (!of_its_own) return;
  details(slot).expires = expires;
  expiring_.emplace(expires, slot);
}

Duration Ledger::time_to_start(std::uint32_t slot, Instant now) const {
  const Entry& entry = entries_[slot];
  if (!entry.is(Entry::kDetails)) return Duration{0};
  const Instant own = details_.at(slot).expires;
  return own == Instant::never() ? Duration{0} : std::max(own - now, Duration{1ms});
}

bool Ledger::has_expired(std::uint32_t slot, Instant now) const {
  const Entry& entry = entries_[slot];
  if (entry.is(Entry::kDetails)) {
    if (const Instant own = details_.at(slot).expires; own != Instant::never()) return own <= now;
  }
  return birth_.instant + std::chrono::seconds(entry.expires_s) <= now;
}

void Ledger::expire(std::uint32_t slot, Now now, Decisions& out) {
  leave_line(slot);
  end_expired(slot, now, out);
}

void Ledger::tick(Now now, Decisions& out) {
  while (!delayed_.empty() && delayed_.begin()->first <= now.instant) {
    const std::uint32_t slot = delayed_.begin()->second;
    delayed_.erase(delayed_.begin());
    entries_[slot].where = Where::Nowhere;
    make_ready(slot);
  }
  while (!expiring_.empty() && expiring_.begin()->first <= now.instant) {
    const std::uint32_t slot = expiring_.begin()->second;
    expiring_.erase(expiring_.begin());
    const Entry& entry = entries_[slot];  // one that is held or pending is looked at when it is to be claimed again
    if (entry.state == core::TaskState::Queued && !entry.is(Entry::kPending | Entry::kEnding)) expire(slot, now, out);
  }
  if (now.instant >= adopt_until_) {
    adopt_until_ = Instant::never();
    for (std::uint32_t slot = 0; slot < entries_.slots(); ++slot) {
      if (entries_[slot].held() && holdings_.at(slot).session.is_nil())
        lose(slot, "nobody came back with it after a restart", now, out);
    }
  }
  if (now.instant >= sweep_at_) sweep_expired(now, out);
}

void Ledger::sweep_expired(Now now, Decisions& out) {
  sweep_at_ = now.instant + kSweepEvery;
  for (std::uint32_t i = 0; i < std::min(kSweepSlots, entries_.slots()); ++i) {
    if (sweep_from_ >= entries_.slots()) sweep_from_ = 0;
    const std::uint32_t slot = sweep_from_++;
    const Entry& entry = entries_[slot];
    const bool waits = entry.claimable() && !entry.id.is_nil();
    if (waits && has_expired(slot, now.instant)) expire(slot, now, out);
  }
}

Instant Ledger::next_deadline() const {
  Instant next = adopt_until_;
  if (!delayed_.empty()) next = std::min(next, delayed_.begin()->first);
  if (!expiring_.empty()) next = std::min(next, expiring_.begin()->first);
  if (queued_ > 0) next = std::min(next, sweep_at_);
  return next;
}

// ---- arguments ----

void Ledger::put_args(std::uint32_t slot, core::Payload args) {
  args_bytes_ += weight_of(args);
  const bool added = args_.emplace(slot, std::move(args)).second;
  TREADLE_ASSERT(added);
}

std::vector<std::uint32_t> Ledger::wanted_args() {
  std::vector<std::uint32_t> wanted;
  for (const auto& queue : queues_) {
    if (!queue || !queue->claimed) continue;
    queue->ready.look_ahead(kAheadTasks, [&](std::uint32_t slot) {
      if (!has_args(slot) && entries_[slot].args_bytes <= core::limits::kInline) wanted.push_back(slot);
    });
  }
  return wanted;
}

}  // namespace treadle::store

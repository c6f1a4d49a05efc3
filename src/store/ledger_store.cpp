#include "store/ledger_store.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace treadle::store {
namespace {

constexpr std::uint64_t kRecentOverhead = 224;  // of one remembered task, beyond its result
constexpr std::uint64_t kFunctionsBytes = 16ull << 20;

}  // namespace

LedgerStore::LedgerStore(LedgerStoreConfig config, const Clock& clock, std::unique_ptr<Table> table)
    : config_(std::move(config)),
      clock_(clock),
      table_(std::move(table)),
      recent_(config_.recent_bytes),
      functions_(kFunctionsBytes),
      bodies_(config_.bodies_bytes) {
  load();
}

LedgerStore::~LedgerStore() = default;

void LedgerStore::load() {
  ledger_ = std::make_unique<Ledger>(config_.ledger, now());
  next_function_no_ = table_->last_function_no() + 1;
  Decisions decisions;
  table_->load_live([&](LiveRow row) { ledger_->load(std::move(row), now(), decisions); });
  ledger_->set_next_seq(table_->last_seq() + 1);
  for (const std::string& queue : table_->paused_queues()) ledger_->restore_pause(queue);
  commit(std::move(decisions), {});
  table_->flush();
}

void LedgerStore::restart() {
  ++life_;
  held_.clear();
  tickets_.clear();
  recent_ = ByteLru<TaskId, Recent>(config_.recent_bytes);
  functions_ = ByteLru<FunctionId, FunctionRef>(kFunctionsBytes);
  bodies_ = ByteLru<Digest, core::Payload, DigestHash>(config_.bodies_bytes);
  waiters_ = {};
  worker_reports_.clear();
  counters_ = {};
  load();
}

std::optional<Error> LedgerStore::closed() const {
  if (!closed_) return std::nullopt;
  return fail(Code::Unavailable, "The store is closed: the service is shutting down. Try again when it is back.");
}

// ---- commits ----

// Returns its ticket, or 0 if there is nothing to keep; then the answer is given at once.
std::uint64_t LedgerStore::commit(Decisions decisions, OnDurable answer) {
  if (decisions.changes.empty()) {
    TREADLE_ASSERT(decisions.endings.empty());
    if (answer) answer(Report{});
    return 0;
  }
  const std::uint64_t ticket = next_ticket_++;
  Held& held = held_[ticket];
  for (const Ending& ending : decisions.endings) tickets_[ending.slot] = ticket;
  held.endings = std::move(decisions.endings);
  if (answer) held.answers.push_back(std::move(answer));
  table_->commit({ticket, std::move(decisions.changes)});
  return ticket;
}

// As two commits if some rows bring big payloads, so that small ones need not wait for those. Answers after both.
void LedgerStore::commit_split(Decisions decisions, OnDurable answer) {
  Decisions big, small;
  auto ending = decisions.endings.begin();
  for (Change& change : decisions.changes) {
    Decisions& part = is_big(change) ? big : small;
    if (std::holds_alternative<change::Finish>(change)) part.endings.push_back(std::move(*ending++));
    part.changes.push_back(std::move(change));
  }
  const int parts = (big.changes.empty() ? 0 : 1) + (small.changes.empty() ? 0 : 1);
  if (parts < 2) {
    commit(small.changes.empty() ? std::move(big) : std::move(small), std::move(answer));
    return;
  }
  struct Both {
    int left = 2;
    Report report;
    OnDurable answer;
  };
  auto both = std::make_shared<Both>();
  both->answer = std::move(answer);
  const auto part_done = [both](const Report& report) {
    if (report.error) both->report.error = report.error;
    if (--both->left == 0) both->answer(both->report);
  };
  commit(std::move(small), part_done);
  commit(std::move(big), part_done);
}

void LedgerStore::after(std::uint64_t ticket, OnDurable answer) {
  held_.at(ticket).answers.push_back(std::move(answer));
}

bool LedgerStore::handle_reports() {
  const std::vector<Report> reports = table_->take_reports();
  for (const Report& report : reports) {
    auto node = held_.extract(report.ticket);
    TREADLE_ASSERT(!node.empty());
    for (Ending& ending : node.mapped().endings) settle(ending);
    for (OnDurable& answer : node.mapped().answers) answer(report);
  }
  return !reports.empty();
}

// The end of a task is durable: readers may see it.
void LedgerStore::settle(Ending& ending) {
  TaskView& view = ending.task.view;
  tickets_.erase(ending.slot);
  ledger_->forget(ending.slot);
  ended_ = true;
  ++(view.state == core::TaskState::Completed ? counters_.completed : counters_.failed);
  const bool big = view.result.bytes.size() > core::limits::kInline;
  Recent recent{ending.task, big};
  if (big) recent.task.view.result.bytes = {};
  const std::uint64_t bytes = recent.task.view.result.bytes.size() + kRecentOverhead;
  recent_.put(view.id, std::move(recent), bytes);
  for (auto& answer : waiters_.take(view.id)) answer(view);
}

// ---- arguments ----

void LedgerStore::read_args(const std::vector<std::uint32_t>& slots, Callback<void()> then) {
  std::vector<std::pair<std::uint64_t, TaskId>> wanted;
  for (const std::uint32_t slot : slots) wanted.emplace_back(ledger_->entry(slot).seq, ledger_->entry(slot).id);
  auto ids = wanted;
  table_->read_args(std::move(wanted), [this, life = life_, ids = std::move(ids),
                                        then = std::move(then)](std::vector<SeqArgs> all) mutable {
    if (life != life_) return;
    Decisions decisions;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::uint32_t slot = ledger_->find(ids[i].second);
      if (slot == Ledger::kNone || ledger_->has_args(slot)) continue;  // it has ended, or another read was faster
      if (all[i].args) {
        ledger_->put_args(slot, std::move(*all[i].args));
      } else if (ledger_->entry(slot).held()) {
        ledger_->fail_unreadable(slot, all[i].args.error().message, now(), decisions);
      }
    }
    commit(std::move(decisions), {});
    if (then) then();
  });
}

void LedgerStore::read_ahead() {
  const std::vector<std::uint32_t> wanted = ledger_->wanted_args();
  if (!wanted.empty()) read_args(wanted, {});
}

// ---- hosting ----

bool LedgerStore::turn(Instant instant) {
  bool ran = handle_reports();
  ran |= table_->deliver_reads();
  if (instant >= ledger_->next_deadline()) {
    Decisions decisions;
    ledger_->tick(now(), decisions);
    commit(std::move(decisions), {});
  }
  for (auto& [id, answer] : waiters_.take_late(instant)) {
    answer_late_waiter(id, std::move(answer));
    ran = true;
  }
  table_->drop_due(clock_.wall());
  table_->flush();
  ran |= handle_reports();  // of a batch that was written in place
  read_ahead();
  if (std::exchange(ended_, false) && end_hint_) {
    end_hint_();
    ran = true;
  }
  if (ledger_->take_work_hint() && work_hint_) {
    work_hint_();
    ran = true;
  }
  return ran;
}

Instant LedgerStore::next_deadline() const { return std::min(ledger_->next_deadline(), waiters_.next_deadline()); }

void LedgerStore::close() {
  if (closed_) return;
  closed_ = true;
  table_->flush();
  table_->close();
  handle_reports();
  table_->deliver_reads();
  for (auto& [id, answer] : waiters_.take_late(Instant::never())) answer_late_waiter(id, std::move(answer));
  const Report never{0, closed(), {}};
  for (auto& [ticket, held] : std::exchange(held_, {})) {
    for (OnDurable& answer : held.answers) answer(never);
  }
}

Counters LedgerStore::counters() const {
  Counters counters = counters_;
  counters.queued = ledger_->queued();
  counters.queued_bytes = ledger_->queued_bytes();
  counters.claimed = ledger_->claimed();
  counters.running = ledger_->running();
  counters.delayed = ledger_->delayed();
  counters.waiters = waiters_.size();
  return counters;
}

}  // namespace treadle::store

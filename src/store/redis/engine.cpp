#include "store/redis/engine.h"

#include <algorithm>
#include <utility>

#include "store/redis/loop.h"

namespace treadle::store::redis {
namespace {

constexpr std::uint64_t kSchema = 1;
constexpr Duration kSweepEvery = 1s;    // due tasks, waits that are too long, counters
constexpr Duration kSweepAgain = 10ms;  // after a step that found many names of tasks that have gone
constexpr std::uint64_t kMany = 64;
constexpr Duration kCloseLimit = 5s;  // for answers that are still on their way
constexpr Duration kStep = 10ms;      // of the loop while we run it ourselves
constexpr std::uint64_t kOwnersBytes = 4 << 20;

Caller::Args header_of(const RedisConfig& config, const std::string& prefix) {
  return {prefix, std::to_string(config.keep_completed_ms), std::to_string(config.keep_failed_ms),
          std::to_string(core::limits::kMaxAttempts), std::to_string(core::limits::kMaxKills)};
}

}  // namespace

Engine::Engine(boost::asio::io_context& io, RedisConfig config, const Clock& clock, std::shared_ptr<Topology> topology,
               Partition partition)
    : config_(std::move(config)),
      clock_(clock),
      io_(io),
      prefix_(partition.prefix()),
      partition_(partition),
      topology_(std::move(topology)),
      home_(topology_->home(partition.number)),
      caller_(home_.small(), clock, header_of(config_, prefix_), config_.wait, later_),
      bulk_(home_.bulk(), clock, prefix_, later_),
      submitter_(caller_, bulk_, config_.max_queued, config_.max_queued_bytes,
                 {[this](const Reply& counts) { count(counts); }, [this](FunctionId id) { functions_.erase(id); }}),
      functions_(config_.bodies_bytes),
      body_owners_(kOwnersBytes),
      live_(core::limits::kLiveKept / partition.of),
      begun_(clock.now()),
      sweep_at_(begun_) {
  topology_->enter();
  home_.set_hooks({.on_message = [this](std::string_view channel, std::string_view message) { hear(channel, message); },
                   .on_connected = [this] {  // messages may have been missed
                     work_heard_ = true;
                     if (waiters_.size() > 0) later_.push_back([this] { look_at_all(); });
                   }});
}

Engine::~Engine() { home_.set_hooks({}); }

std::optional<Error> Engine::closed() const {
  if (!closed_) return std::nullopt;
  return fail(Code::Unavailable, "The store is closed: the service is shutting down. Try again when it is back.");
}

std::string Engine::describe() const {
  return "Redis " + config_.address.shown() + ", " + std::string(name_of(level_));
}

// ---- figures ----

Counters Engine::counters() const {
  Counters counters = counters_;
  counters.waiters = waiters_.size();
  return counters;
}

// The end of every script's answer (prelude.lua). What operators delete can leave the figures behind for a while.
void Engine::count(const Reply& counts) {
  if (counts.items.size() < 13) return;
  const auto at = [&](std::size_t i) { return number_of(counts.items[i]); };
  Counters& c = counters_;
  c.queued = at(0);
  c.queued_bytes = at(1);
  c.running = std::min(at(3), at(2));
  c.claimed = at(2) - c.running;
  c.submitted = at(4);
  c.completed = at(5);
  c.failed = at(6);
  c.stale = at(7);
  c.duplicate = at(8);
  c.requeued = at(9);
  c.adopted = at(10);
  c.reaped = at(11);
  c.delayed = at(12);
}

// ---- tasks that a script ended by itself ----

// They lack the object that clients decode, which Lua cannot make.
void Engine::take_ended(const Reply& ended) {
  Args fill;
  for (std::size_t i = 0; i + 3 < ended.items.size(); i += 4) {
    const auto id = TaskId::parse(ended.items[i].text);
    const auto kind = core::parse_error_kind(ended.items[i + 1].text);
    if (!id || !kind) continue;
    const core::Payload object = config_.failure(*kind, *id, ended.items[i + 2].text, ended.items[i + 3].text);
    Args result;
    add_result(result, object, true);
    fill.push_back(ended.items[i].text);
    fill.push_back(std::move(result[1]));
    fill.push_back(std::move(result[5]));
    fill.push_back(std::move(result[3]));
    if (waiters_.contains(*id)) ended_hints_.insert(*id);
  }
  if (!fill.empty()) caller_.run(Script::Fill, std::move(fill), [](Result<Reply>) {});
}

// ---- housekeeping ----

void Engine::sweep() {
  sweeping_ = true;
  sweep_at_ = clock_.now() + kSweepEvery;
  const std::string round = std::to_string(config_.client.jitter_seed) + '-' + std::to_string(begun_.ns);
  caller_.run(Script::Sweep, {sweep_from_, std::to_string(kSchema), std::to_string(partition_.of), round},
              [this](Result<Reply> reply) {
                sweeping_ = false;
                if (!reply || reply->items.size() < 7) return;  // the next one comes in a second
                schema_ = number_of(reply->items[0]);
                partitions_ = number_of(reply->items[1]);
                sweep_from_ = reply->items[2].text;
                if (number_of(reply->items[3]) >= kMany) sweep_at_ = clock_.now() + kSweepAgain;
                take_ended(reply->items[5]);
                count(reply->items[6]);
              });
}

std::optional<Error> Engine::check_layout() {
  if (schema_ == kSchema && partitions_ == partition_.of) return std::nullopt;
  if (schema_ == 0) return fail(Code::StoreAway, "Redis at " + config_.address.shown() + " did not answer in time.");
  return fail(Code::StoreError, "Redis at " + config_.address.shown() + " holds the data of another treadle (schema " +
                                    std::to_string(schema_) + ", " + std::to_string(partitions_) +
                                    " partitions; this one knows schema 1 and was told of " +
                                    std::to_string(partition_.of) +
                                    " partitions). Use the matching program, or another database: --store "
                                    "redis://host:port/N.");
}

// ---- hosting ----

bool Engine::run_later() {
  if (later_.empty()) return false;
  for (auto& one : std::exchange(later_, {})) one();
  return true;
}

bool Engine::turn(Instant now) {
  bool ran = run_later();
  if (closed_) return ran;
  topology_->turn(now);
  if (now >= sweep_at_ && !sweeping_) sweep();
  ran |= serve_waiters(now);
  ran |= serve_hints(now);
  flush();
  return ran;
}

Instant Engine::next_deadline() const {
  if (closed_) return Instant::never();
  Instant next = std::min({waiters_.next_deadline(), backstop_at_, topology_->next_deadline()});
  if (!sweeping_) next = std::min(next, sweep_at_);
  if (hungry_) next = std::min(next, work_due_);
  return next;
}

void Engine::flush() {
  submitter_.flush();
  caller_.flush_confirms();
  home_.flush();
}

bool Engine::run_until_idle(Duration limit) {
  for (const Instant end = clock_.now() + limit; clock_.now() < end;) {
    run_later();
    topology_->turn(clock_.now());
    flush();
    if (later_.empty() && caller_.in_flight() + bulk_.in_flight() == 0 && submitter_.idle()) return true;
    run_one(io_, kStep);
  }
  return false;
}

void Engine::close() {
  if (closed_) return;
  closed_ = true;
  run_until_idle(kCloseLimit);
  caller_.stop();
  bulk_.stop();
  topology_->leave();
  for (auto& [id, answer] : waiters_.take_late(Instant::never())) answer(*closed());
  while (run_later()) continue;
}

}  // namespace treadle::store::redis

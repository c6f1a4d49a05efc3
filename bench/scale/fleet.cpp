#include "fleet.h"

#include <algorithm>

#include "base/assert.h"

namespace treadle::scale {
namespace {

constexpr Duration kLoadedTurn = 1us;  // while tasks are measured, so that no heartbeat comes between
constexpr Duration kIdleTurn = 1ms;

}  // namespace

Fleet::Fleet(Shape shape)
    : shape_(shape),
      core_({.mode = shape.mode, .session = SessionId(Uuid{1, 1}), .name = "scale"}, Rng(5), now_),
      workers_(shape.workers),
      args_(Buffer::of(std::string(64, 'x'))) {
  digest_.words[0] = 1;
  for (Worker& worker : workers_) worker.held.reserve(shape_.slots);
  turn(kLoadedTurn);
  turn(kLoadedTurn);
}

core::WorkerMessage Fleet::message_of(Speech& speech) {
  Worker& worker = workers_[speech.worker];
  core::WorkerMessage m;
  m.worker = id_of(speech.worker);
  m.boot = 1;
  m.session = core_.session();
  m.seq = ++worker.seq;
  m.ack = worker.ack;
  const auto held = static_cast<std::uint32_t>(worker.held.size());
  m.free_slots = held < shape_.slots ? shape_.slots - held : 0;
  const std::uint32_t beyond = held - std::min(held, shape_.slots);
  m.prefetch = prefetch_ - std::min(prefetch_, beyond);
  if (names_held_) {
    m.names_held = true;
    m.held = worker.held;
  }
  if (speech.registers) {
    m.registers = true;
    m.info.host = "worker.example";
    m.info.pid = speech.worker;
    m.info.slots = shape_.slots;
    m.info.pythons = {{3, 11, 2}};
  }
  if (speech.wants_body) m.wants = {digest_};
  m.outcomes = std::move(speech.outcomes);
  return m;
}

void Fleet::register_all() {
  for (std::uint32_t n = 0; n < shape_.workers; ++n) say({.worker = n, .registers = true});
  settle_down();
}

void Fleet::submit(std::uint64_t tasks, core::Delivery delivery) {
  queued_ += tasks;
  delivery_ = delivery;
  events_.push_back(core::event::WorkHint{});
}

void Fleet::turn(Duration passes) {
  now_ = now_ + passes;
  auto said = std::exchange(events_, {});
  for (std::uint32_t i = 0; i < shape_.batch && !speeches_.empty(); ++i) {
    said.push_back(core::event::WorkerSaid{message_of(speeches_.front())});
    speeches_.pop_front();
    ++spent_.messages;
  }
  const auto begun = std::chrono::steady_clock::now();
  for (auto& e : said) core_.step(now_, std::move(e));
  core_.tick(now_, effects_);
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begun;
  spent_.core_ns += took.count();
  spent_.longest_turn_ns = std::max(spent_.longest_turn_ns, took.count());
  ++spent_.turns;
  for (auto& e : std::exchange(effects_, {})) std::visit([this](auto& one) { carry_out(one); }, e);
}

bool Fleet::fill(std::uint64_t attempts) {
  while (held_ < attempts && (waiting() || queued_ > 0)) turn(kLoadedTurn);
  return held_ >= attempts;
}

void Fleet::end_oldest() {
  std::map<std::uint32_t, std::vector<core::OutcomeReport>> reports;
  for (std::uint32_t i = 0; i < shape_.batch && !running_.empty(); ++i) {
    const Running one = running_.front();
    running_.pop_front();
    std::erase(workers_[one.worker].held, one.attempt);
    --held_;
    reports[one.worker].push_back({one.attempt, core::Outcome{}});
  }
  for (auto& [n, outcomes] : reports) say({.worker = n, .outcomes = std::move(outcomes)});
}

void Fleet::run_dry() {
  while (waiting() || held_ > 0 || queued_ > 0) {
    if (speeches_.size() < shape_.batch) end_oldest();
    turn(kLoadedTurn);
  }
}

void Fleet::stand(Duration time) {
  names_held_ = true;
  const Instant end = now_ + time;
  const double each_turn =
      shape_.workers * (std::chrono::duration<double>(kIdleTurn) / core::limits::kHeartbeatInterval);
  double due = 0;
  while (now_ < end) {
    due += each_turn;
    for (; due >= 1; --due) {
      say({.worker = next_heartbeat_});
      next_heartbeat_ = (next_heartbeat_ + 1) % shape_.workers;
    }
    turn(kIdleTurn);
    while (speeches_.size() > shape_.batch) turn(Duration{0});
  }
  names_held_ = false;
}

void Fleet::want_body() {
  for (std::uint32_t n = 0; n < shape_.workers; ++n) say({.worker = n, .wants_body = true});
  settle_down();
}

void Fleet::speak_all() {
  for (std::uint32_t n = 0; n < shape_.workers; ++n) say({.worker = n});
  settle_down();
}

void Fleet::store_answers(bool yes) {
  answers_ = yes;
  for (const auto& [batch, items] : std::exchange(unanswered_, {})) {
    events_.push_back(core::event::Finished{batch, std::vector(items, core::FinishAnswer::Applied)});
    ended_ += items;
  }
}

void Fleet::carry_out(core::effect::OpenSession&) { events_.push_back(core::event::SessionOpened{Result<void>{}}); }

void Fleet::carry_out(core::effect::Renew&) {
  core::RenewAnswer answer;
  answer.live = true;
  events_.push_back(core::event::Renewed{std::move(answer)});
}

void Fleet::carry_out(core::effect::Claim& e) {
  core::ClaimAnswer answer;
  for (const Token token : e.request.tokens) {
    if (queued_ == 0) break;
    --queued_;
    core::Attempt attempt;
    attempt.task = TaskId(Uuid{7, ++next_task_});
    attempt.token = token;
    attempt.number = 1;
    attempt.body_digest = digest_;
    attempt.args.bytes = args_;
    attempt.delivery = delivery_;
    answer.attempts.push_back(std::move(attempt));
  }
  answer.more = queued_ > 0;
  events_.push_back(core::event::Claimed{e.request.call, std::move(answer)});
}

void Fleet::carry_out(core::effect::Finish& e) {
  if (!answers_) {
    unanswered_[e.batch] = e.items.size();
    return;
  }
  ended_ += e.items.size();
  events_.push_back(core::event::Finished{e.batch, std::vector(e.items.size(), core::FinishAnswer::Applied)});
}

// An attempt that waited too long for a slot: back to the head of the queue.
void Fleet::carry_out(core::effect::Requeue& e) {
  queued_ += e.items.size();
  for (const auto& item : e.items) lost_ += item.why == core::GiveBack::Unstarted ? 0 : 1;
  events_.push_back(core::event::Requeued{e.batch, std::vector(e.items.size(), core::RequeueAnswer::Queued)});
}

void Fleet::carry_out(core::effect::FetchBody& e) {
  events_.push_back(core::event::BodyFetched{e.digest, core::Payload{}});
}

void Fleet::carry_out(core::effect::Send& e) {
  const auto n = static_cast<std::uint32_t>(e.worker.lo - 1);
  Worker& worker = workers_[n];
  worker.ack = e.message.seq;
  for (core::Attempt& attempt : e.message.attempts) {
    worker.held.push_back({attempt.task, attempt.token});
    running_.push_back({n, worker.held.back()});
    ++held_;
  }
  bodies_ += e.message.functions.size();
  if (e.message.ping || core::speaks_only_when_asked(shape_.mode))
    say({.worker = n});  // a request that was answered is made again
}

}  // namespace treadle::scale

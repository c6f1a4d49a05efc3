// The dispatcher's side of the small world: what it hears it checks, and what it says may be lost, doubled or late.
#include "core/supervisor_world.h"

namespace treadle::core::testing_world {
namespace {

std::string text(Token token) { return "attempt " + std::to_string(token.value); }

}  // namespace

void World::take(const WorkerMessage& message) {
  if (message.registers) {
    registered_due_ = true;
    heard_seq_ = std::max(heard_seq_, message.seq);
  } else if (message.session != SessionId{Uuid{9, session_}}) {
    DispatcherMessage stray;
    stray.session = SessionId{Uuid{9, session_}};
    stray.reregister = true;
    say(stray);
    return;
  } else if (message.seq <= heard_seq_) {
    return;
  }
  heard_seq_ = message.seq;
  free_ = message.free_slots;
  credit_ = message.free_slots + message.prefetch;
  if (free_ > slots_) broken("more free slots than slots");
  for (const auto& report : message.outcomes)
    take_end(report.attempt, "outcome " + std::to_string(static_cast<int>(report.outcome.kind)), false,
             report.outcome.completed());
  for (const auto& given : message.given_back)
    take_end(given.attempt, "given back " + std::to_string(static_cast<int>(given.why)),
             given.why == GiveBack::Unstarted, false);
  for (const Held& held : message.started) {
    if (tasks_.at(held.token.value).starts == 0) broken(text(held.token) + " was reported started and never was");
  }
  if (message.names_held) find_dropped(message);
  wanted_.insert(message.wants.begin(), message.wants.end());
  after(between(1us, 20us), [this] { dispatch(); });
}

void World::take_end(Held held, std::string how, bool unstarted, bool completed) {
  Task& task = tasks_.at(held.token.value);
  if (!task.end.empty() && task.end != how) broken(text(held.token) + " ended twice: " + task.end + ", " + how);
  if (unstarted && task.victim) ++tally_.victims;
  if (unstarted && task.starts > 0 && !task.victim) broken(text(held.token) + " was called unstarted after it ran");
  if (completed && !task.returned) broken(text(held.token) + " completed without having returned");
  if (unstarted && task.end.empty()) ++tally_.unstarted;
  task.end = std::move(how);
  to_settle_.push_back(held);
}

// The rule of the dispatcher: dropped is what is not named though the message that carried it was acknowledged. (A
// registration acknowledges nothing; what an earlier session sent counts as sent in this one's first message.)
void World::find_dropped(const WorkerMessage& message) {
  std::set<std::uint64_t> named;
  for (const Held& held : message.held) named.insert(held.token.value);
  for (auto& [token, task] : tasks_) {
    if (task.sent_in == 0 || !task.end.empty() || named.contains(token)) continue;
    if (message.registers || task.sent_in > message.ack) continue;
    if (task.starts > 0) broken(text(Token{token}) + " ran, has no end, and is not named");
    task.sent_in = 0;
    to_give_.push_back(token);
  }
}

void World::dispatch() {
  DispatcherMessage m;
  m.session = SessionId{Uuid{9, session_}};
  m.ack = heard_seq_;
  m.registered = std::exchange(registered_due_, false);
  m.settled = std::exchange(to_settle_, {});
  for (const Digest& digest : std::exchange(wanted_, {})) {
    FunctionBody body;
    body.digest = digest;
    body.found = rng_.chance(0.98);
    if (body.found) body.body.bytes = Buffer::of("body");
    m.functions.push_back(body);
  }
  for (; credit_ > 0 && !to_give_.empty(); --credit_) {
    const Attempt& attempt = tasks_.at(to_give_.front()).attempt;
    if (attempt.delivery == Delivery::AtMostOnce && free_ == 0) break;
    if (free_ > 0) --free_;
    m.attempts.push_back(attempt);
    to_give_.pop_front();
  }
  if (m.registered || !m.settled.empty() || !m.functions.empty() || !m.attempts.empty()) say(std::move(m));
}

void World::say(DispatcherMessage message) {
  if (!message.reregister) message.seq = ++seq_;
  for (const Attempt& attempt : message.attempts) tasks_.at(attempt.token.value).sent_in = message.seq;
  if (lossy_ && rng_.chance(0.03)) {
    ++tally_.lost;
    return;
  }
  for (const Held& held : message.settled) tasks_.at(held.token.value).settled = true;
  auto arrive = [this, message] {
    SupervisorEffects effects;
    supervisor_.step(now_, event::DispatcherSaid{message}, effects);
    carry_out(effects);
  };
  const Duration delay = between(1us, 50us);
  after(delay, arrive);
  if (rng_.chance(0.02)) {
    ++tally_.doubled;
    after(delay + between(1us, 5ms), arrive);
  }
}

void World::meddle() {
  DispatcherMessage m;
  m.session = SessionId{Uuid{9, session_}};
  m.ack = heard_seq_;
  for (int i = 0; i < 3; ++i) {
    std::uint64_t token = 0;
    for (int tries = 0; tries < 20 && (token == 0 || tasks_.at(token).sent_in == 0 || !tasks_.at(token).end.empty());
         ++tries) {
      token = 1 + rng_.below(tasks_.size());
    }
    m.revokes.push_back({{tasks_.at(token).attempt.task, Token{token}}, rng_.chance(0.3)});
  }
  if (rng_.chance(0.3)) say(std::move(m));
  if (rng_.chance(0.02)) {
    ++session_;
    ++tally_.sessions;
    for (auto& [token, task] : tasks_) task.sent_in = task.sent_in > 0 ? 1 : 0;
    seq_ = 1;
    credit_ = free_ = 0;
  }
  after(between(100us, 5ms), [this] { meddle(); });
}

}  // namespace treadle::core::testing_world

#include "dispatcher_node.h"

#include <algorithm>

namespace treadle::sim {

using namespace core;

DispatcherNode::DispatcherNode(World& world, StoreLaw& store, DispatcherConfig config, Send send)
    : world_(world), store_(store), config_(std::move(config)), send_(std::move(send)) {
  start();
}

void DispatcherNode::start() {
  ++life_;
  config_.session = SessionId(Uuid{world_.rng.next(), world_.rng.next() | 1});
  last_call_ = 0;
  die_in_ = 0;
  events_.clear();
  wake_at_ = Instant::never();
  stalled_until_ = Instant{};
  core_ = std::make_unique<Dispatcher>(config_, Rng(world_.rng.next()), world_.now());
  wake(world_.now());
  if (on_start) on_start();
}

void DispatcherNode::kill() {
  if (!core_) return;
  ++deaths;
  ++life_;
  core_.reset();
  events_.clear();
}

void DispatcherNode::stall(Duration d) {
  stalls += core_ ? 1 : 0;
  stalled_until_ = world_.now() + d;
}

void DispatcherNode::say(DispatcherEvent event) {
  if (!core_) return;
  events_.push_back(std::move(event));
  wake(world_.now());
}

void DispatcherNode::wake(Instant at) {
  at = std::max(at, stalled_until_);
  if (at >= wake_at_ && wake_at_ > world_.now()) return;
  if (at == Instant::never()) return;
  wake_at_ = at;
  world_.at(at, [this, life = life_] {
    if (life != life_ || !core_) return;
    if (world_.now() < stalled_until_) return wake(stalled_until_);
    wake_at_ = Instant::never();
    turn();
  });
}

void DispatcherNode::turn() {
  const std::uint64_t life = life_;
  for (auto& event : std::exchange(events_, {})) core_->step(world_.now(), std::move(event));
  DispatcherEffects effects;
  core_->tick(world_.now(), effects);
  for (auto& effect : effects) {
    if (die_in_ > 0 && --die_in_ == 0) kill();
    if (life != life_) return;  // it died in the middle of its effects
    carry_out(effect);
  }
  if (core_) wake(core_->next_deadline());
}

// The world hears of nothing that is not durable.
void DispatcherNode::check_settled(const DispatcherMessage& message) const {
  for (const Held& attempt : message.settled) {
    if (!store_.is_settled(attempt.token))
      on_violation("a worker may forget its attempt of task " + to_string(attempt.task) +
                   ", and the store has not said so");
  }
}

bool DispatcherNode::refuses() { return world_.rng.chance(faults_.away); }

template <class Answer, class Event>
Callback<void(Result<Answer>)> DispatcherNode::answer(Event event) {
  return [this, life = life_, event = std::move(event)](Result<Answer> given) mutable {
    if (world_.rng.chance(faults_.lose_answer)) {
      ++answers_lost;
      given = fail(Code::StoreAway, "the answer was lost");
    }
    event.answer = std::move(given);
    const bool late = world_.rng.chance(faults_.slow);
    answers_late += late ? 1 : 0;
    world_.after(late ? world_.between(100ms, 4s) : world_.between(10us, 200us),
                 [this, life, event = std::move(event)]() mutable {
                   if (life == life_) say(std::move(event));
                 });
  };
}

void DispatcherNode::carry_out(DispatcherEffect& effect) {
  const Error away = fail(Code::StoreAway, "the store is away");
  if (auto* e = std::get_if<effect::OpenSession>(&effect)) {
    if (refuses()) return answer<void>(event::SessionOpened{away})(away);
    store_.open_session(e->session, e->name, answer<void>(event::SessionOpened{away}));
  } else if (auto* e = std::get_if<effect::Renew>(&effect)) {
    if (refuses()) return answer<RenewAnswer>(event::Renewed{away})(away);
    store_.renew(e->session, e->revokes_done, answer<RenewAnswer>(event::Renewed{away}));
  } else if (auto* e = std::get_if<effect::Reap>(&effect)) {
    store_.reap(e->other, e->beat_seen, answer<bool>(event::Reaped{e->other, away}));
  } else if (auto* e = std::get_if<effect::Claim>(&effect)) {
    const std::uint64_t call = e->request.call;
    claims_replayed += call == last_call_ ? 1 : 0;
    last_call_ = call;
    if (refuses()) return answer<ClaimAnswer>(event::Claimed{call, away})(away);
    store_.claim(std::move(e->request), answer<ClaimAnswer>(event::Claimed{call, away}));
  } else if (auto* e = std::get_if<effect::Finish>(&effect)) {
    if (refuses()) return answer<std::vector<FinishAnswer>>(event::Finished{e->batch, away})(away);
    store_.finish(e->session, std::move(e->items), answer<std::vector<FinishAnswer>>(event::Finished{e->batch, away}));
  } else if (auto* e = std::get_if<effect::Requeue>(&effect)) {
    if (refuses()) return answer<std::vector<RequeueAnswer>>(event::Requeued{e->batch, away})(away);
    store_.requeue(e->session, std::move(e->items),
                   answer<std::vector<RequeueAnswer>>(event::Requeued{e->batch, away}));
  } else if (auto* e = std::get_if<effect::Adopt>(&effect)) {
    store_.adopt(e->session, std::move(e->items), answer<std::vector<AdoptAnswer>>(event::Adopted{e->batch, away}));
  } else if (auto* e = std::get_if<effect::Reassert>(&effect)) {
    store_.reassert(e->session, std::move(e->items), answer<std::vector<AdoptAnswer>>(event::Adopted{e->batch, away}));
  } else if (auto* e = std::get_if<effect::Started>(&effect)) {
    store_.started(std::move(e->items));
  } else if (auto* e = std::get_if<effect::FetchBody>(&effect)) {
    store_.get_body(e->digest, answer<Payload>(event::BodyFetched{e->digest, away}));
  } else if (auto* e = std::get_if<effect::Send>(&effect)) {
    check_settled(e->message);
    send_(e->worker, std::move(e->message));
  } else if (auto* e = std::get_if<effect::Note>(&effect)) {
    if (on_note) on_note(e->text);
  }
}

}  // namespace treadle::sim

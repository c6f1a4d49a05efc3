#include "dispatcher_node.h"

#include <algorithm>
#include <iterator>

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
  die_in_ = stall_in_ = 0;
  events_.clear();
  heard_.clear();
  effects_.clear();
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
  heard_.clear();
  effects_.clear();
}

void DispatcherNode::stall(Duration d) {
  stalls += core_ ? 1 : 0;
  stalled_until_ = std::max(stalled_until_, world_.now() + d);
}

void DispatcherNode::deliver(WorkerMessage message, std::function<void()> heard) {
  if (!core_) return;
  heard_.push_back(std::move(heard));
  say(event::WorkerSaid{std::move(message)});
}

void DispatcherNode::say(DispatcherEvent event) {
  if (!core_) return;
  events_.push_back(std::move(event));
  wake(world_.now());
}

void DispatcherNode::wake(Instant at) {
  at = std::max(at, stalled_until_);
  if (at >= wake_at_) return;
  wake_at_ = at;
  world_.at(at, [this, at, life = life_] {
    if (life != life_ || !core_ || at != wake_at_) return;  // it was woken earlier instead
    wake_at_ = Instant::never();
    if (world_.now() < stalled_until_) return wake(stalled_until_);
    turn();
  });
}

void DispatcherNode::turn() {
  if (!carry_on()) return;
  for (const auto& heard : std::exchange(heard_, {})) heard();
  transitions += events_.size();
  for (auto& event : std::exchange(events_, {})) core_->step(world_.now(), std::move(event));
  DispatcherEffects effects;
  core_->tick(world_.now(), effects);
  transitions += effects.size();
  effects_.assign(std::make_move_iterator(effects.begin()), std::make_move_iterator(effects.end()));
  if (carry_on()) wake(core_->next_deadline());
}

// False: it died or stood still before all was done.
bool DispatcherNode::carry_on() {
  while (!effects_.empty()) {
    if (die_in_ > 0 && --die_in_ == 0) {
      kill();
      return false;
    }
    if (stall_in_ > 0 && --stall_in_ == 0) {
      ++stalls_midway;
      stall(stall_for_);
      wake(world_.now());
      return false;
    }
    DispatcherEffect effect = std::move(effects_.front());
    effects_.pop_front();
    carry_out(effect);
  }
  return true;
}

// The world hears of nothing that is not durable.
void DispatcherNode::check_settled(const DispatcherMessage& message) const {
  for (const Held& attempt : message.settled) {
    if (!store_.is_settled(attempt.token))
      on_violation("a worker may forget its attempt of task " + to_string(attempt.task) +
                   ", and the store has not said so");
  }
}

template <class Event>
void DispatcherNode::hear_later(Event event, Duration delay) {
  world_.after(delay, [this, life = life_, event = std::move(event)]() mutable {
    if (life == life_) say(std::move(event));
  });
}

template <class Answer, class Event>
Callback<void(Result<Answer>)> DispatcherNode::answer(Event event) {
  return [this, life = life_, event = std::move(event)](Result<Answer> given) mutable {
    if (life != life_) return;
    if (world_.rng.chance(faults_.lose_answer)) {
      ++answers_lost;
      given = fail(Code::StoreAway, "the answer was lost");
    }
    event.answer = std::move(given);
    const bool late = world_.rng.chance(faults_.slow);
    answers_late += late ? 1 : 0;
    hear_later(std::move(event), late ? world_.between(100ms, 4s) : world_.between(10us, 200us));
  };
}

// What has left arrives, even if its dispatcher dies meanwhile.
void DispatcherNode::down_the_line(Callback<void()> call) {
  if (world_.rng.chance(faults_.slow)) {
    ++calls_late;
    line_free_at_ = std::max(line_free_at_, world_.now()) + world_.between(100ms, 4s);
  }
  if (line_free_at_ <= world_.now()) return call();
  world_.at(line_free_at_, std::move(call));
}

template <class Answer, class Event, class Call>
void DispatcherNode::ask(Event event, Call call) {
  if (world_.now() < store_away_until_ || world_.rng.chance(faults_.away)) {
    ++calls_refused;
    return hear_later(std::move(event), world_.between(10us, 200us));
  }
  if (world_.rng.chance(faults_.lose_answer)) {  // the line is cut behind the call: nobody knows whether it arrived
    ++calls_cut;
    hear_later(event, world_.between(10us, 200us));
    return down_the_line([call = std::move(call)]() mutable { call([](Result<Answer>) {}); });
  }
  down_the_line([call = std::move(call), done = answer<Answer>(std::move(event))]() mutable { call(std::move(done)); });
}

// Which attempts a call to the store names: "requeue 7a86519d 38c88887".
template <class Items>
void DispatcherNode::tell(const char* call, const Items& items) const {
  if (!on_note) return;
  std::string text = call;
  for (const auto& item : items) text += " " + to_string(item.task).substr(0, 8);
  on_note(text);
}

void DispatcherNode::carry_out(DispatcherEffect& effect) {
  const Error away = fail(Code::StoreAway, "the store is away");
  if (auto* e = std::get_if<effect::OpenSession>(&effect)) {
    ask<void>(event::SessionOpened{away}, [this, call = std::move(*e)](auto done) mutable {
      store_.open_session(call.session, std::move(call.name), std::move(done));
    });
  } else if (auto* e = std::get_if<effect::Renew>(&effect)) {
    ask<RenewAnswer>(event::Renewed{away}, [this, call = std::move(*e)](auto done) mutable {
      store_.renew(call.session, std::move(call.revokes_done), std::move(done));
    });
  } else if (auto* e = std::get_if<effect::Reap>(&effect)) {
    if (reaps_are_late_ && world_.rng.chance(0.5)) {
      ++reaps_late;
      line_free_at_ = std::max(line_free_at_, world_.now()) + world_.between(100ms, 4s);
    }
    ask<bool>(event::Reaped{e->other, away},
              [this, call = *e](auto done) { store_.reap(call.other, call.beat_seen, std::move(done)); });
  } else if (auto* e = std::get_if<effect::Claim>(&effect)) {
    const std::uint64_t number = e->request.call;
    claims_replayed += number == last_call_ ? 1 : 0;
    last_call_ = number;
    ask<ClaimAnswer>(event::Claimed{number, away}, [this, call = std::move(*e)](auto done) mutable {
      store_.claim(std::move(call.request), std::move(done));
    });
  } else if (auto* e = std::get_if<effect::Finish>(&effect)) {
    tell("finish", e->items);
    ask<std::vector<FinishAnswer>>(event::Finished{e->batch, away}, [this, call = std::move(*e)](auto done) mutable {
      store_.finish(call.session, std::move(call.items), std::move(done));
    });
  } else if (auto* e = std::get_if<effect::Requeue>(&effect)) {
    tell("requeue", e->items);
    ask<std::vector<RequeueAnswer>>(event::Requeued{e->batch, away}, [this, call = std::move(*e)](auto done) mutable {
      store_.requeue(call.session, std::move(call.items), std::move(done));
    });
  } else if (auto* e = std::get_if<effect::Adopt>(&effect)) {
    tell("adopt", e->items);
    ask<std::vector<AdoptAnswer>>(event::Adopted{e->batch, away}, [this, call = std::move(*e)](auto done) mutable {
      store_.adopt(call.session, std::move(call.items), std::move(done));
    });
  } else if (auto* e = std::get_if<effect::Reassert>(&effect)) {
    tell("reassert", e->items);
    ask<std::vector<AdoptAnswer>>(event::Adopted{e->batch, away}, [this, call = std::move(*e)](auto done) mutable {
      store_.reassert(call.session, std::move(call.items), std::move(done));
    });
  } else if (auto* e = std::get_if<effect::Started>(&effect)) {
    down_the_line([this, items = std::move(e->items)]() mutable { store_.started(std::move(items)); });
  } else if (auto* e = std::get_if<effect::Live>(&effect)) {
    down_the_line([this, items = std::move(e->items)]() mutable { store_.report_live(std::move(items)); });
  } else if (auto* e = std::get_if<effect::FetchBody>(&effect)) {
    ask<Payload>(event::BodyFetched{e->digest, away},
                 [this, digest = e->digest](auto done) { store_.get_body(digest, std::move(done)); });
  } else if (auto* e = std::get_if<effect::Send>(&effect)) {
    check_settled(e->message);
    send_(e->worker, std::move(e->message));
  } else if (auto* e = std::get_if<effect::Note>(&effect)) {
    if (on_note) on_note(e->text);
  }
}

}  // namespace treadle::sim

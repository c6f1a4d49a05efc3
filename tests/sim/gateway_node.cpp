#include "gateway_node.h"

namespace treadle::sim {
namespace {

constexpr int kTries = 4;
constexpr Duration kBetweenTries = 100ms;

Error unknown(const char* why) { return fail(Code::StoreAway, why); }

}  // namespace

void GatewayNode::kill() {
  if (!alive_) return;
  ++deaths;
  ++life_;
  alive_ = false;
  die_in_ = 0;
  stalled_until_ = Instant{};
}

bool GatewayNode::dies_now() {
  if (die_in_ == 0 || --die_in_ > 0) return false;
  kill();
  return true;
}

void GatewayNode::submit(store::Submission task, Reply<store::SubmitAnswer> reply) {
  carry<store::SubmitAnswer>(
      [this, task = std::move(task)](Reply<store::SubmitAnswer> done) {
        the_store_().submit({task}, [done](Result<std::vector<Result<store::SubmitAnswer>>> answer) {
          done(answer ? (*answer)[0] : Result<store::SubmitAnswer>(answer.error()));
        });
      },
      std::move(reply));
}

void GatewayNode::cancel(TaskId task, Reply<store::CancelAnswer> reply) {
  carry<store::CancelAnswer>(
      [this, task](Reply<store::CancelAnswer> done) {
        the_store_().cancel(task, "the client wants it", [done](Result<store::CancelAnswer> answer) { done(answer); });
      },
      std::move(reply));
}

// A request waits in the socket of a gateway that stands still, long after its client has gone elsewhere.
template <class Answer>
void GatewayNode::carry(Call<Answer> call, Reply<Answer> reply) {
  if (!alive_) return reply(unknown("nobody listens"));
  ++requests;
  requests_held_up += world_.now() < stalled_until_ ? 1 : 0;
  const Instant arrives = std::max(world_.now() + world_.between(50us, 1ms), stalled_until_);
  world_.at(arrives, [this, life = life_, call = std::move(call), reply = std::move(reply)] {
    if (life != life_) return ++cut_off, reply(unknown("the gateway died"));
    ask<Answer>(call, reply, kTries);
  });
}

template <class Answer>
void GatewayNode::ask(Call<Answer> call, Reply<Answer> reply, int tries) {
  const bool cut = world_.rng.chance(faults_.lose_answer);
  if (world_.now() < store_away_until_ || world_.rng.chance(faults_.away)) return again<Answer>(call, reply, tries);
  if (cut) again<Answer>(call, reply, tries);  // nobody knows whether the call arrives; it does
  call([this, life = life_, cut, call, reply, tries](Result<Answer> answer) {
    if (cut) return;
    if (life != life_ || dies_now()) return ++cut_off, reply(unknown("the gateway died"));
    if (world_.rng.chance(faults_.lose_answer)) return again<Answer>(call, reply, tries);
    world_.at(std::max(world_.now() + world_.between(50us, 1ms), stalled_until_), [this, life, answer, reply] {
      if (life != life_) return ++cut_off, reply(unknown("the gateway died"));
      reply(answer);
    });
  });
}

template <class Answer>
void GatewayNode::again(Call<Answer> call, Reply<Answer> reply, int tries) {
  if (tries <= 1) return reply(unknown("the store is away"));
  ++replays;
  world_.after(kBetweenTries, [this, life = life_, call = std::move(call), reply = std::move(reply), tries] {
    if (life != life_) return ++cut_off, reply(unknown("the gateway died"));
    ask<Answer>(call, reply, tries - 1);
  });
}

}  // namespace treadle::sim

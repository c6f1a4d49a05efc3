// One simulated gateway: carries requests of clients to the store. It dies or stands still at any moment, its line to
// the store loses calls and answers, and then it sends the same call again, as the Redis client does with its scripts.
#pragma once

#include <functional>
#include <memory>

#include "scenario.h"
#include "store/store.h"
#include "world.h"

namespace treadle::sim {

class GatewayNode {
 public:
  template <class Answer>
  using Reply = std::function<void(Result<Answer>)>;
  // The store that there is at the time of the call.
  using TheStore = std::function<store::Store&()>;
  GatewayNode(World& world, TheStore the_store) : world_(world), the_store_(std::move(the_store)) {}

  // An error: the client does not know what became of its request. Nothing at all: the gateway stands still, or the
  // store crashed under it.
  void submit(store::Submission task, Reply<store::SubmitAnswer> reply);
  void cancel(TaskId task, Reply<store::CancelAnswer> reply);

  void kill();
  void start() { alive_ = true; }
  void stall(Duration d) { stalled_until_ = std::max(stalled_until_, world_.now() + d); }
  void die_at_answer(std::uint64_t n) { die_in_ = n; }
  void store_is_away_until(Instant then) { store_away_until_ = then; }
  void set(StoreFaults faults) { faults_ = faults; }
  bool alive() const { return alive_; }

  std::uint64_t deaths = 0, requests = 0, requests_held_up = 0, replays = 0, cut_off = 0;

 private:
  template <class Answer>
  using Call = std::function<void(Reply<Answer>)>;
  template <class Answer>
  void carry(Call<Answer> call, Reply<Answer> reply);
  template <class Answer>
  void ask(Call<Answer> call, Reply<Answer> reply, int tries);
  template <class Answer>
  void again(Call<Answer> call, Reply<Answer> reply, int tries);
  bool dies_now();

  World& world_;
  TheStore the_store_;
  StoreFaults faults_;
  bool alive_ = true;
  std::uint64_t life_ = 0;
  std::uint64_t die_in_ = 0;  // answers of the store from now; 0 = not planned
  Instant stalled_until_, store_away_until_;
};

}  // namespace treadle::sim

// A dispatcher core with a store, a link and N workers that are only counters: what is measured is the core's own time.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "core/dispatcher.h"

namespace treadle::scale {

struct Shape {
  core::Mode mode = core::Mode::Push;
  std::uint32_t workers = 1000;
  std::uint32_t slots = 4;
  std::uint32_t batch = 64;  // messages of workers that one turn carries: a dispatcher under load
};

// Time spent inside step() and tick().
struct Spent {
  double core_ns = 0;
  double longest_turn_ns = 0;
  std::uint64_t turns = 0;
  std::uint64_t messages = 0;  // of workers
};

class Fleet {
 public:
  explicit Fleet(Shape shape);

  void register_all();
  // Submits so many tasks to the store; a dispatcher that has credit is told.
  void submit(std::uint64_t tasks, core::Delivery delivery = core::Delivery::AtLeastOnce);
  // One turn: what waits for the dispatcher is said (a batch of it), then its effects are carried out.
  void turn(Duration passes);
  // Until the fleet holds that many attempts; false: nothing more comes.
  bool fill(std::uint64_t attempts);
  // The attempts held longest end, a batch a turn, until none is left.
  void run_dry();
  // Only time passes; each worker speaks once a heartbeat, and answers pings and replies.
  void stand(Duration time);
  // Each worker asks for the same function body at once.
  void want_body();
  // Grants so much beyond the free slots; said with the next message.
  void prefetch(std::uint32_t attempts) { prefetch_ = attempts; }
  void speak_all();
  // Whether the store answers outcomes.
  void store_answers(bool yes);

  Spent take_spent() { return std::exchange(spent_, {}); }
  std::uint64_t ended() const { return ended_; }
  std::uint64_t held() const { return held_; }
  std::uint64_t bodies() const { return bodies_; }
  std::uint64_t lost() const { return lost_; }
  const core::Dispatcher& core() const { return core_; }
  const Shape& shape() const { return shape_; }
  // Of the heap, what this class itself takes for each worker.
  std::size_t own_bytes() const { return sizeof(Worker) + shape_.slots * sizeof(core::Held) + 2 * sizeof(void*); }

 private:
  struct Worker {
    std::uint64_t seq = 0, ack = 0;
    std::vector<core::Held> held;
  };
  struct Running {
    std::uint32_t worker = 0;
    core::Held attempt;
  };

  // What a worker is about to say; numbers, credit and acknowledgement are filled in when it goes out.
  struct Speech {
    std::uint32_t worker = 0;
    bool registers = false;
    bool wants_body = false;
    std::vector<core::OutcomeReport> outcomes;
  };

  static WorkerId id_of(std::uint32_t n) { return WorkerId(Uuid{9, n + 1}); }
  core::WorkerMessage message_of(Speech& speech);
  void say(Speech speech) { speeches_.push_back(std::move(speech)); }
  void end_oldest();
  bool waiting() const { return !events_.empty() || !speeches_.empty(); }
  void settle_down() {
    while (waiting()) turn(Duration{1000});
  }
  void carry_out(core::effect::OpenSession& e);
  void carry_out(core::effect::Renew& e);
  void carry_out(core::effect::Claim& e);
  void carry_out(core::effect::Finish& e);
  void carry_out(core::effect::Requeue& e);
  void carry_out(core::effect::FetchBody& e);
  void carry_out(core::effect::Send& e);
  template <class Other>
  void carry_out(Other&) {}

  Shape shape_;
  Instant now_{1'000'000'000};
  core::Dispatcher core_;
  std::vector<Worker> workers_;
  std::vector<core::DispatcherEvent> events_;  // answers of the store
  std::deque<Speech> speeches_;
  core::DispatcherEffects effects_;
  std::deque<Running> running_;
  std::map<std::uint64_t, std::size_t> unanswered_;  // batches of outcomes, while the store does not answer
  Buffer args_;
  Digest digest_;
  core::Delivery delivery_ = core::Delivery::AtLeastOnce;
  std::uint64_t queued_ = 0, next_task_ = 0, held_ = 0, ended_ = 0, bodies_ = 0, lost_ = 0;
  std::uint32_t next_heartbeat_ = 0, prefetch_ = 0;
  bool answers_ = true, names_held_ = false;
  Spent spent_;
};

}  // namespace treadle::scale

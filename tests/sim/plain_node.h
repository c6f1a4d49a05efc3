// One simulated plain client (docs/protocol.md): numbers nothing, asks for one task, runs it, reports it, asks again.
// Its connection keeps order and loses nothing; it ends with the client, or with the dispatcher.
#pragma once

#include <functional>
#include <optional>

#include "core/message.h"
#include "user_code.h"
#include "world.h"

namespace treadle::sim {

class PlainNode {
 public:
  using Send = std::function<void(core::WorkerMessage)>;
  PlainNode(World& world, RunLog& log, WorkerId id, Habits habits, Send send);

  void deliver(core::DispatcherMessage message);
  void dispatcher_began();  // another one than before: the connection is new, and it registers
  void kill();
  void start();
  bool alive() const { return alive_; }
  WorkerId id() const { return id_; }
  std::uint64_t connection() const { return connection_; }
  std::function<void()> on_death;

  std::uint64_t starts = 0, deaths = 0, held_at_death = 0;

 private:
  void say(core::WorkerMessage message);
  void connect();
  void connect_later();
  void ask();
  void report();
  void run(const core::Attempt& attempt);
  void after(Duration delay, void (PlainNode::*what)());

  World& world_;
  RunLog& log_;
  WorkerId id_;
  Habits habits_;
  Send send_;
  bool alive_ = false;
  std::uint64_t life_ = 0;
  std::uint64_t connection_ = 0;   // what belongs to an earlier one is lost
  std::optional<core::Held> job_;  // runs, or waits for the ACK of its outcome
  bool done_ = false;              // job_ has ended here
};

}  // namespace treadle::sim

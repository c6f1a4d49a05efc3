// Bytes (or plain structs) between dispatcher and workers. A link only carries; what a message means is the cores'
// matter. Each link lives on the thread of the loop that hosts it: send() queues, receive() takes what has come since
// the last call.
#pragma once

#include <string>
#include <vector>

#include "core/message.h"

namespace treadle::transport {

inline constexpr Instant kAtOnce{0};  // a deadline that is over: something has come

class DispatcherLink {
 public:
  virtual ~DispatcherLink() = default;
  virtual void send(WorkerId to, core::DispatcherMessage message) = 0;
  virtual std::vector<core::WorkerMessage> receive(Instant now) = 0;
  // Workers that cannot be reached any more, as far as was found since the last call.
  virtual std::vector<WorkerId> unroutable() = 0;
  // Workers that gave a sign of life without a message: parts of a large payload came.
  virtual std::vector<WorkerId> alive() { return {}; }
  // receive() must be called then at the latest. The loop asks before it sleeps, after all sends.
  virtual Instant next_deadline() const { return Instant::never(); }
  // Sentences for the log about messages that were dropped since the last call.
  virtual std::vector<std::string> take_notes() { return {}; }
  // The dispatcher has removed this worker: nothing needs to be kept for it.
  virtual void forget(WorkerId) {}
};

class WorkerLink {
 public:
  virtual ~WorkerLink() = default;
  virtual void send(core::WorkerMessage message) = 0;
  virtual std::vector<core::DispatcherMessage> receive(Instant now) = 0;
  // As above.
  virtual Instant next_deadline() const { return Instant::never(); }
  enum class Change { Up, Down };
  // What became of the connection since the last call.
  virtual std::vector<Change> changes() { return {}; }
  // Sentences for the log about messages that were dropped since the last call.
  virtual std::vector<std::string> take_notes() { return {}; }
  // The sentence of a dispatcher that will not work with us; "" = none. Final.
  virtual std::string refusal() const { return {}; }
};

}  // namespace treadle::transport

// Bytes (or plain structs) between dispatcher and workers. A link only carries; what a message means is the cores'
// matter. Each link lives on the thread of the loop that hosts it: send() queues, receive() takes what has come since
// the last call.
#pragma once

#include <vector>

#include "core/message.h"

namespace treadle::transport {

class DispatcherLink {
 public:
  virtual ~DispatcherLink() = default;
  virtual void send(WorkerId to, core::DispatcherMessage message) = 0;
  virtual std::vector<core::WorkerMessage> receive() = 0;
  // Workers that a message could not be sent to since the last call.
  virtual std::vector<WorkerId> unroutable() = 0;
};

class WorkerLink {
 public:
  virtual ~WorkerLink() = default;
  virtual void send(core::WorkerMessage message) = 0;
  virtual std::vector<core::DispatcherMessage> receive() = 0;
};

}  // namespace treadle::transport

// A worker's end: a DEALER to a PUSH dispatcher, a REQ to a PULL one. Connects by itself, again and again.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "core/policy.h"
#include "transport/codec.h"
#include "transport/link.h"
#include "transport/zmq/zmq_socket.h"

namespace treadle::transport {

class ZmqWorkerLink final : public WorkerLink {
 public:
  // `mode` is Push or Pull; `endpoint`: tcp://host:port.
  static Result<std::unique_ptr<ZmqWorkerLink>> connect(ZmqContext& context, core::Mode mode,
                                                        const std::string& endpoint);

  void send(core::WorkerMessage message) override;
  std::vector<core::DispatcherMessage> receive() override;
  std::vector<Change> changes() override;
  std::string refusal() const override { return refusal_; }

  const ZmqSocket& socket() const { return socket_; }

 private:
  ZmqWorkerLink(ZmqContext& context, core::Mode mode);
  void take(const Frames& frames);
  void send_waiting();

  core::Mode mode_;
  ZmqSocket socket_;
  Frames envelope_;
  std::deque<Frames> waiting_;  // what zmq would not take yet
  std::vector<core::DispatcherMessage> inbox_;
  std::vector<Change> changes_{Change::Down};  // until there is a first connection
  std::string refusal_;
};

}  // namespace treadle::transport

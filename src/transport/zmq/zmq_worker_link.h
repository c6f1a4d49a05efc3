// A worker's end: a DEALER to a PUSH dispatcher, a REQ to a PULL one. Connects by itself, again and again.
#pragma once

#include <deque>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/policy.h"
#include "transport/blobs.h"
#include "transport/codec.h"
#include "transport/link.h"
#include "transport/zmq/zmq_socket.h"

namespace treadle::transport {

class ZmqWorkerLink final : public WorkerLink {
 public:
  // `mode` is Push or Pull; `endpoint`: tcp://host:port. `max_blob`: of one payload, in bytes.
  static Result<std::unique_ptr<ZmqWorkerLink>> connect(ZmqContext& context, core::Mode mode,
                                                        const std::string& endpoint, std::uint64_t max_blob);

  void send(core::WorkerMessage message) override;
  std::vector<core::DispatcherMessage> receive(Instant now) override;
  std::vector<Change> changes() override;
  Instant next_deadline() const override;
  std::string refusal() const override { return refusal_; }
  std::vector<std::string> take_notes() override { return pull_.take_notes(); }

  const ZmqSocket& socket() const { return socket_; }

 private:
  ZmqWorkerLink(ZmqContext& context, core::Mode mode, std::uint64_t max_blob);
  void take(Instant now, std::span<const Buffer> message);
  void take_blob_request(std::span<const Buffer> message);
  void go_on_pulling(Instant now);
  void push(Frames frames);
  void send_waiting();
  void misunderstood(const Error& error);

  core::Mode mode_;
  ZmqSocket socket_;
  Frames envelope_;
  std::deque<Frames> waiting_;  // what zmq would not take yet
  BlobSender self_;
  BlobStock stock_;
  BlobPull<DecodedDispatcher> pull_;
  Frames blob_request_;                        // PULL: the last one, which a later message of ours supersedes
  std::vector<Change> changes_{Change::Down};  // until there is a first connection
  std::string refusal_;
};

}  // namespace treadle::transport

// The dispatcher's end on a ROUTER socket. PUSH: workers are DEALERs, sent to at any time. PULL: they are REQs, or
// plain clients; each request is answered once, and the newest supersedes one that waits.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/policy.h"
#include "transport/codec.h"
#include "transport/link.h"
#include "transport/zmq/zmq_socket.h"

namespace treadle::transport {

struct WireCounters {
  std::uint64_t received = 0, sent = 0;
  std::uint64_t malformed = 0;   // messages that were answered with ERROR, or that nobody could be answered for
  std::uint64_t unroutable = 0;  // messages for a peer that was gone
};

class ZmqDispatcherLink final : public DispatcherLink {
 public:
  // `endpoint`: tcp://host:port; port * takes a free one.
  static Result<std::unique_ptr<ZmqDispatcherLink>> listen(ZmqContext& context, core::Mode mode,
                                                           const std::string& endpoint);

  void send(WorkerId to, core::DispatcherMessage message) override;
  std::vector<core::WorkerMessage> receive() override;
  std::vector<WorkerId> unroutable() override;
  void forget(WorkerId worker) override;

  const ZmqSocket& socket() const { return socket_; }
  const WireCounters& counters() const { return counters_; }

 private:
  ZmqDispatcherLink(ZmqContext& context, core::Mode mode) : mode_(mode), socket_(context, ZmqSocket::Kind::Router) {}

  struct Peer {
    Frames envelope;  // PULL: of the request that is to be answered; empty = none
    bool plain = false;
    bool asked = false;  // its last request was for a task
    int connection = -1;
    std::deque<Frames> waiting;  // PUSH: what zmq would not take yet
  };
  void take(ZmqSocket::Received received);
  std::string objection(const DecodedWorker& decoded) const;
  void refuse(const Frames& envelope, const std::string& why);
  Frames frames_for(const Peer& peer, const core::DispatcherMessage& message) const;
  void send_now(WorkerId to, Peer& peer, Frames frames);
  void send_waiting();
  void lose(WorkerId worker, Peer& peer);
  void watch_connections();

  core::Mode mode_;
  ZmqSocket socket_;
  std::unordered_map<WorkerId, Peer> peers_;
  std::unordered_set<WorkerId> blocked_;  // peers with something waiting
  std::vector<core::WorkerMessage> inbox_;
  std::vector<WorkerId> unroutable_;
  WireCounters counters_;
};

}  // namespace treadle::transport

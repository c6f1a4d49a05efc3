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
#include "transport/blobs.h"
#include "transport/codec.h"
#include "transport/link.h"
#include "transport/zmq/zmq_socket.h"

namespace treadle::transport {

struct WireCounters {
  std::uint64_t received = 0, sent = 0;
  std::uint64_t malformed = 0;   // messages that were answered with ERROR, or that nobody could be answered for
  std::uint64_t unroutable = 0;  // messages for a peer that was gone
  std::uint64_t blob_parts = 0;  // received and sent
  std::uint64_t probes = 0;      // whether somebody is still there
};

class ZmqDispatcherLink final : public DispatcherLink {
 public:
  // `endpoint`: tcp://host:port; port * takes a free one. `max_blob`: of one payload, in bytes.
  static Result<std::unique_ptr<ZmqDispatcherLink>> listen(ZmqContext& context, core::Mode mode,
                                                           const std::string& endpoint, std::uint64_t max_blob);

  void send(WorkerId to, core::DispatcherMessage message) override;
  std::vector<core::WorkerMessage> receive(Instant now) override;
  std::vector<WorkerId> unroutable() override;
  std::vector<WorkerId> alive() override;
  Instant next_deadline() const override;
  void forget(WorkerId worker) override;
  std::vector<std::string> take_notes() override { return std::exchange(notes_, {}); }

  // PULL: asks for a while whether there is still a connection to this peer; it hears nothing of that.
  void doubt(WorkerId worker, Instant now);

  const ZmqSocket& socket() const { return socket_; }
  const WireCounters& counters() const { return counters_; }

 private:
  ZmqDispatcherLink(ZmqContext& context, core::Mode mode, std::uint64_t max_blob);

  struct Peer {
    explicit Peer(PullConfig config) : pull(config) {}
    std::uint64_t boot = 0;
    Frames envelope;  // PULL: of the request that is to be answered; empty = none
    bool plain = false;
    bool asked = false;  // its last request was for a task
    int connection = -1;
    Buffer route;                // where it is: the first frame of its envelope
    std::deque<Frames> waiting;  // PUSH: what zmq would not take yet
    BlobStock stock;
    BlobPull<DecodedWorker> pull;
    Frames blob_request;  // PULL: the last one sent, which a superseding request of the worker's loses
  };
  void take(Instant now, ZmqSocket::Received received);
  void take_message(Instant now, Frames envelope, int connection, std::span<const Buffer> body);
  void take_blob_request(const Frames& envelope, std::span<const Buffer> body);
  void take_blob(Instant now, Frames envelope, std::span<const Buffer> body);
  Peer* peer_of(const BlobSender& sender);
  Peer& meet(const DecodedWorker& decoded);
  void go_on_pulling(Instant now, WorkerId worker, Peer& peer);
  std::string objection(const DecodedWorker& decoded) const;
  void refuse(const Frames& envelope, const std::string& why);
  void send_frames(WorkerId to, Peer& peer, Frames frames);
  void send_waiting();
  void lose(WorkerId worker, Peer& peer);
  void watch_connections(Instant now);
  void probe(Instant now);

  core::Mode mode_;
  PullConfig pull_config_;
  ZmqSocket socket_;
  std::unordered_map<WorkerId, Peer> peers_;
  std::unordered_set<WorkerId> blocked_;            // peers with something waiting
  std::unordered_set<WorkerId> pulling_;            // peers with messages held back
  std::unordered_map<WorkerId, Instant> doubtful_;  // PULL: peers whose connection seems to have gone; until then
  Instant probe_at_ = Instant::never();
  std::vector<core::WorkerMessage> inbox_;
  std::vector<WorkerId> unroutable_, alive_;
  std::vector<std::string> notes_;
  WireCounters counters_;
};

}  // namespace treadle::transport

#include "transport/zmq/zmq_dispatcher_link.h"

#include <algorithm>
#include <utility>

#include "core/limits.h"

namespace treadle::transport {
namespace {

constexpr std::size_t kReceivedPerTurn = 1000;  // messages, so that a flood cannot keep the loop
constexpr std::size_t kMaxWaiting = 1000;       // messages of ours for one peer; then it counts as unroutable
constexpr std::size_t kMaxPeers = core::limits::kMaxWorkers + 1000;  // known here; a further one is refused
constexpr std::size_t kMaxEnvelope = 3;                              // identity, REQ's number, the empty frame

// The routing frames up to the empty one; empty if there is none where it should be.
std::span<const Buffer> envelope_of(const Frames& frames) {
  for (std::size_t i = 1; i < std::min(frames.size(), kMaxEnvelope); ++i) {
    if (frames[i].empty()) return std::span(frames).first(i + 1);
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<ZmqDispatcherLink>> ZmqDispatcherLink::listen(ZmqContext& context, core::Mode mode,
                                                                     const std::string& endpoint) {
  std::unique_ptr<ZmqDispatcherLink> link(new ZmqDispatcherLink(context, mode));
  if (auto bound = link->socket_.bind(endpoint); !bound) return bound.error();
  return link;
}

std::vector<core::WorkerMessage> ZmqDispatcherLink::receive() {
  for (std::size_t i = 0; i < kReceivedPerTurn; ++i) {
    auto received = socket_.receive();
    if (!received) break;
    take(std::move(*received));
  }
  watch_connections();
  send_waiting();
  return std::exchange(inbox_, {});
}

void ZmqDispatcherLink::take(ZmqSocket::Received received) {
  ++counters_.received;
  const auto head = envelope_of(received.frames);
  if (head.empty()) {  // nobody can be told: where its answer would go is unknown
    ++counters_.malformed;
    return;
  }
  Frames envelope(head.begin(), head.end());
  if (received.too_many)
    return refuse(envelope, "the message has more than " + std::to_string(core::limits::kMaxFrames) + " frames");
  auto decoded = decode_worker(std::span<const Buffer>(received.frames).subspan(head.size()));
  if (!decoded) return refuse(envelope, decoded.error().message);
  if (const std::string why = objection(*decoded); !why.empty()) return refuse(envelope, why);

  Peer& peer = peers_[decoded->message.worker];
  peer.envelope = std::move(envelope);
  peer.plain = decoded->marks.plain;
  peer.asked = decoded->marks.asks;
  peer.connection = received.connection;
  decoded->message.asks = decoded->marks.asks;
  decoded->message.wait = decoded->marks.wait;
  inbox_.push_back(std::move(decoded->message));
}

std::string ZmqDispatcherLink::objection(const DecodedWorker& decoded) const {
  const bool pull = core::speaks_only_when_asked(mode_);
  const PlainMarks& marks = decoded.marks;
  if (!pull && marks.plain)
    return "this dispatcher is in push mode, whose workers number their messages (seq); plain clients are served by "
           "treadle dispatcher -m pull";
  if (!pull && marks.asks) return "this dispatcher is in push mode; start workers with: treadle worker push";
  if (pull && !marks.plain && !marks.asks)
    return "this dispatcher is in pull mode; start workers with: treadle worker pull";
  if (peers_.size() >= kMaxPeers && !peers_.contains(decoded.message.worker))
    return "this dispatcher knows " + std::to_string(kMaxPeers) + " workers and takes no more";
  return {};
}

void ZmqDispatcherLink::refuse(const Frames& envelope, const std::string& why) {
  ++counters_.malformed;
  (void)socket_.send(envelope, error_frames(why));  // whoever speaks so may also be gone
}

void ZmqDispatcherLink::send(WorkerId to, core::DispatcherMessage message) {
  const auto it = peers_.find(to);
  if (it == peers_.end()) return unroutable_.push_back(to);
  Peer& peer = it->second;
  if (peer.envelope.empty()) return;  // PULL: nothing is asked
  send_now(to, peer, frames_for(peer, message));
}

Frames ZmqDispatcherLink::frames_for(const Peer& peer, const core::DispatcherMessage& message) const {
  if (peer.plain && !message.attempts.empty() && !message.functions.empty())
    return encode_plain(message.attempts.front(), message.functions.front().body);
  return encode(message, nullptr, peer.asked);
}

void ZmqDispatcherLink::send_now(WorkerId to, Peer& peer, Frames frames) {
  const bool pull = core::speaks_only_when_asked(mode_);
  const Frames envelope = pull ? std::exchange(peer.envelope, {}) : peer.envelope;
  const auto sent = peer.waiting.empty() ? socket_.send(envelope, frames) : ZmqSocket::Sent::NotNow;
  if (sent == ZmqSocket::Sent::Yes) {
    ++counters_.sent;
  } else if (sent == ZmqSocket::Sent::NoRoute || pull || peer.waiting.size() >= kMaxWaiting) {
    lose(to, peer);
  } else {
    peer.waiting.push_back(std::move(frames));
    blocked_.insert(to);
  }
}

void ZmqDispatcherLink::send_waiting() {
  for (const WorkerId worker : std::vector(blocked_.begin(), blocked_.end())) {
    Peer& peer = peers_.at(worker);
    while (!peer.waiting.empty()) {
      const auto sent = socket_.send(peer.envelope, peer.waiting.front());
      if (sent == ZmqSocket::Sent::NoRoute) lose(worker, peer);
      if (sent != ZmqSocket::Sent::Yes) break;
      ++counters_.sent;
      peer.waiting.pop_front();
    }
    if (peer.waiting.empty()) blocked_.erase(worker);
  }
}

// What was on its way is lost: the numbers of the messages will show it.
void ZmqDispatcherLink::lose(WorkerId worker, Peer& peer) {
  ++counters_.unroutable;
  peer.waiting.clear();
  blocked_.erase(worker);
  unroutable_.push_back(worker);
}

// A REQ client that computes cannot be sent anything, so only its connection tells that it is gone. Descriptors are
// used again by later connections; so numbered workers, whom pings and the lease find, are not judged by them.
void ZmqDispatcherLink::watch_connections() {
  for (const auto& connection : socket_.connections()) {
    if (connection.up) continue;
    for (auto& [worker, peer] : peers_) {
      if (peer.plain && peer.connection == connection.descriptor) unroutable_.push_back(worker);
    }
  }
}

void ZmqDispatcherLink::forget(WorkerId worker) {
  peers_.erase(worker);
  blocked_.erase(worker);
}

std::vector<WorkerId> ZmqDispatcherLink::unroutable() { return std::exchange(unroutable_, {}); }

}  // namespace treadle::transport

#include "transport/zmq/zmq_dispatcher_link.h"

#include <algorithm>
#include <utility>

#include "core/limits.h"
#include "transport/oversized.h"

namespace treadle::transport {
namespace {

constexpr std::size_t kReceivedPerTurn = 1000;  // messages, so that a flood cannot keep the loop
constexpr std::size_t kMaxWaiting = 1000;       // messages of ours for one peer; then it counts as unroutable
constexpr std::size_t kMaxPeers = core::limits::kMaxWorkers + 1000;  // known here; a further one is refused
constexpr Duration kDoubt = 200ms;                                   // so long a lost connection is asked about
constexpr Duration kProbeEvery = 20ms;
constexpr std::size_t kMaxEnvelope = 3;  // identity, REQ's number, the empty frame

// The routing frames up to the empty one; empty if there is none where it should be.
std::span<const Buffer> envelope_of(const Frames& frames) {
  for (std::size_t i = 1; i < std::min(frames.size(), kMaxEnvelope); ++i) {
    if (frames[i].empty()) return std::span(frames).first(i + 1);
  }
  return {};
}

}  // namespace

ZmqDispatcherLink::ZmqDispatcherLink(ZmqContext& context, core::Mode mode, std::uint64_t max_blob)
    : mode_(mode), socket_(context, ZmqSocket::Kind::Router) {
  pull_config_.max_blob = max_blob;
  if (core::speaks_only_when_asked(mode)) pull_config_.window = 1;
}

Result<std::unique_ptr<ZmqDispatcherLink>> ZmqDispatcherLink::listen(ZmqContext& context, core::Mode mode,
                                                                     const std::string& endpoint,
                                                                     std::uint64_t max_blob) {
  std::unique_ptr<ZmqDispatcherLink> link(new ZmqDispatcherLink(context, mode, max_blob));
  if (auto bound = link->socket_.bind(endpoint); !bound) return bound.error();
  return link;
}

// ---- received ----

std::vector<core::WorkerMessage> ZmqDispatcherLink::receive(Instant now) {
  for (std::size_t i = 0; i < kReceivedPerTurn; ++i) {
    auto received = socket_.receive();
    if (!received) break;
    take(now, std::move(*received));
  }
  for (const WorkerId worker : std::vector(pulling_.begin(), pulling_.end()))
    go_on_pulling(now, worker, peers_.at(worker));
  watch_connections(now);
  if (now >= probe_at_) probe(now);
  send_waiting();
  return std::exchange(inbox_, {});
}

void ZmqDispatcherLink::take(Instant now, ZmqSocket::Received received) {
  ++counters_.received;
  const auto head = envelope_of(received.frames);
  if (head.empty()) {  // nobody can be told: where its answer would go is unknown
    ++counters_.malformed;
    return;
  }
  Frames envelope(head.begin(), head.end());
  const auto body = std::span<const Buffer>(received.frames).subspan(head.size());
  if (received.too_many)
    return refuse(envelope, "the message has more than " + std::to_string(core::limits::kMaxFrames) + " frames");
  const std::string_view kind = body.empty() ? std::string_view() : body.front().view();
  if (kind == type::kBlobRequest) return take_blob_request(envelope, body);
  if (kind == type::kBlob) return take_blob(now, std::move(envelope), body);
  take_message(now, std::move(envelope), received.connection, body);
}

void ZmqDispatcherLink::take_message(Instant now, Frames envelope, int connection, std::span<const Buffer> body) {
  auto decoded = decode_worker(body);
  if (!decoded) return refuse(envelope, decoded.error().message);
  if (const std::string why = objection(*decoded); !why.empty()) return refuse(envelope, why);
  Peer& peer = meet(*decoded);
  peer.route = envelope.front();
  peer.envelope = std::move(envelope);
  peer.plain = decoded->marks.plain;
  peer.asked = decoded->marks.asks;
  peer.connection = connection;
  peer.stock.acknowledged(decoded->message.ack);
  const WorkerId worker = decoded->message.worker;
  decoded->message.asks = decoded->marks.asks;
  decoded->message.wait = decoded->marks.wait;
  fail_oversized(*decoded, pull_config_.max_blob);
  peer.pull.take(std::move(*decoded));
  if (!peer.blob_request.empty()) send_frames(worker, peer, peer.blob_request);
  go_on_pulling(now, worker, peer);
}

// A new boot has none of the old one's blobs, nor wants any.
ZmqDispatcherLink::Peer& ZmqDispatcherLink::meet(const DecodedWorker& decoded) {
  const WorkerId worker = decoded.message.worker;
  const auto it = peers_.find(worker);
  if (it != peers_.end() && it->second.boot != decoded.message.boot) forget(worker);
  Peer& peer = peers_.try_emplace(worker, pull_config_).first->second;
  peer.boot = decoded.message.boot;
  return peer;
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

// ---- blobs ----

ZmqDispatcherLink::Peer* ZmqDispatcherLink::peer_of(const BlobSender& sender) {
  const auto it = peers_.find(sender.worker);
  return it != peers_.end() && it->second.boot == sender.boot ? &it->second : nullptr;
}

void ZmqDispatcherLink::take_blob_request(const Frames& envelope, std::span<const Buffer> body) {
  const auto request = decode_blob_request(body);
  if (!request) return refuse(envelope, request.error().message);
  Peer* peer = peer_of(request->from);
  const BlobPart part = (peer ? peer->stock : BlobStock()).answer(*request);  // of a stranger: gone
  ++counters_.blob_parts;
  if (peer) {
    peer->envelope = core::speaks_only_when_asked(mode_) ? Frames{} : envelope;  // over REQ it supersedes what waited
    alive_.push_back(request->from.worker);
  }
  (void)socket_.send(envelope, encode(part));  // asked for again if it is lost
}

void ZmqDispatcherLink::take_blob(Instant now, Frames envelope, std::span<const Buffer> body) {
  auto part = decode_blob(body);
  if (!part) return refuse(envelope, part.error().message);
  ++counters_.blob_parts;
  Peer* peer = peer_of(part->from);
  if (!peer) return;  // of a life that is over; over REQ its next request finds out
  const WorkerId worker = part->from.worker;
  peer->envelope = std::move(envelope);
  peer->blob_request.clear();
  if (peer->pull.take(now, std::move(*part))) alive_.push_back(worker);
  go_on_pulling(now, worker, *peer);
}

void ZmqDispatcherLink::go_on_pulling(Instant now, WorkerId worker, Peer& peer) {
  for (const BlobRequest& request : peer.pull.requests(now)) {
    Frames frames = encode(request);
    if (core::speaks_only_when_asked(mode_)) peer.blob_request = frames;
    send_frames(worker, peer, std::move(frames));
  }
  for (auto& decoded : peer.pull.ready()) inbox_.push_back(std::move(decoded.message));
  for (auto& note : peer.pull.take_notes()) notes_.push_back(std::move(note));
  if (peer.pull.held_back() > 0) {
    pulling_.insert(worker);
  } else {
    peer.blob_request.clear();
    pulling_.erase(worker);
  }
}

Instant ZmqDispatcherLink::next_deadline() const {
  // Not while something waits to be sent: to look would eat the edge of the room that it waits for.
  if (blocked_.empty() && socket_.readable()) return kAtOnce;
  Instant next = probe_at_;
  for (const WorkerId worker : pulling_) next = std::min(next, peers_.at(worker).pull.next_deadline());
  return next;
}

// ---- sent ----

void ZmqDispatcherLink::send(WorkerId to, core::DispatcherMessage message) {
  const auto it = peers_.find(to);
  if (it == peers_.end()) return unroutable_.push_back(to);
  Peer& peer = it->second;
  if (peer.plain && !message.attempts.empty() && !message.functions.empty())
    return send_frames(to, peer, encode_plain(message.attempts.front(), message.functions.front().body));
  Offers offers;
  Frames frames = encode(message, peer.plain ? nullptr : &offers, peer.asked);
  if (!offers.empty()) peer.stock.keep(message.seq, std::move(offers));
  send_frames(to, peer, std::move(frames));
}

void ZmqDispatcherLink::send_frames(WorkerId to, Peer& peer, Frames frames) {
  if (peer.envelope.empty()) return;  // PULL: nothing is asked; the numbers will show that this was not seen
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
// used again by later connections; so this is no more than a doubt about numbered workers. In PUSH pings settle it.
void ZmqDispatcherLink::watch_connections(Instant now) {
  for (const auto& connection : socket_.connections()) {
    if (connection.up) continue;
    for (auto& [worker, peer] : peers_) {
      if (peer.connection != connection.descriptor) continue;
      if (peer.plain) {
        unroutable_.push_back(worker);
      } else if (core::speaks_only_when_asked(mode_)) {
        doubt(worker, now);
      }
    }
  }
}

void ZmqDispatcherLink::doubt(WorkerId worker, Instant now) {
  doubtful_[worker] = now + kDoubt;
  probe_at_ = now;
}

// A REQ drops an answer with another number than its request's, which are four bytes (anything else ends the
// connection); so this may be said at any time, and zmq says whether there is anybody. It may learn of the end after
// its monitor does: we repeat.
void ZmqDispatcherLink::probe(Instant now) {
  std::erase_if(doubtful_, [&](const auto& doubt) {
    const auto it = peers_.find(doubt.first);
    if (it == peers_.end() || now > doubt.second) return true;
    const Frames nowhere = {it->second.route, Buffer::of("none"), Buffer()};
    ++counters_.probes;
    if (socket_.send(nowhere, Frames{Buffer::of(std::string(type::kPing))}) != ZmqSocket::Sent::NoRoute) return false;
    lose(doubt.first, it->second);
    return true;
  });
  probe_at_ = doubtful_.empty() ? Instant::never() : now + kProbeEvery;
}

void ZmqDispatcherLink::forget(WorkerId worker) {
  peers_.erase(worker);
  blocked_.erase(worker);
  pulling_.erase(worker);
  doubtful_.erase(worker);
}

std::vector<WorkerId> ZmqDispatcherLink::unroutable() { return std::exchange(unroutable_, {}); }
std::vector<WorkerId> ZmqDispatcherLink::alive() { return std::exchange(alive_, {}); }

}  // namespace treadle::transport

#include "transport/zmq/zmq_socket.h"

#include <cstring>
#include <zmq.hpp>

#include "base/assert.h"
#include "core/limits.h"

namespace treadle::transport {
namespace {

constexpr std::size_t kCopyBelow = 2048;  // bytes: a smaller frame is copied, which costs less than a reference
constexpr int kReconnectFirstMs = 50;
constexpr int kReconnectMaxMs = 2000;
constexpr int kPeerPingMs = 2000;  // zmq's own sign of life, which finds half-open connections
constexpr int kPeerSilentMs = 10'000;

zmq::socket_type type_of(ZmqSocket::Kind kind) {
  if (kind == ZmqSocket::Kind::Router) return zmq::socket_type::router;
  return kind == ZmqSocket::Kind::Dealer ? zmq::socket_type::dealer : zmq::socket_type::req;
}

zmq::message_t frame_of(const Buffer& bytes) {
  if (bytes.size() < kCopyBelow) return zmq::message_t(bytes.data(), bytes.size());
  auto* kept = new Buffer(bytes);
  return zmq::message_t(
      const_cast<char*>(kept->data()), kept->size(), [](void*, void* hint) { delete static_cast<Buffer*>(hint); },
      kept);
}

Buffer buffer_of(zmq::message_t frame) {
  auto owner = std::make_shared<zmq::message_t>(std::move(frame));
  const std::string_view view(static_cast<const char*>(owner->data()), owner->size());
  return Buffer::from(std::move(owner), view);
}

}  // namespace

struct ZmqContext::Impl {
  zmq::context_t context{1};
  int monitors = 0;
};
ZmqContext::ZmqContext() : impl_(std::make_unique<Impl>()) {}
ZmqContext::~ZmqContext() = default;

struct ZmqSocket::Impl {
  const Kind kind;
  zmq::socket_t socket, monitor;
  bool unended = false;  // Request: its last message still lacks its last frame

  Impl(ZmqContext::Impl& context, Kind kind_in)
      : kind(kind_in), socket(context.context, type_of(kind)), monitor(context.context, zmq::socket_type::pair) {
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(core::limits::kMaxFrame));
    socket.set(zmq::sockopt::sndhwm, kSendQueue);
    if (kind == Kind::Router) {
      socket.set(zmq::sockopt::router_mandatory, true);
    } else {
      socket.set(zmq::sockopt::immediate, true);  // what waits for a connection waits with us, where it can be seen
      socket.set(zmq::sockopt::reconnect_ivl, kReconnectFirstMs);
      socket.set(zmq::sockopt::reconnect_ivl_max, kReconnectMaxMs);
      socket.set(zmq::sockopt::heartbeat_ivl, kPeerPingMs);
      socket.set(zmq::sockopt::heartbeat_timeout, kPeerSilentMs);
    }
    if (kind == Kind::Request) {
      socket.set(zmq::sockopt::req_relaxed, true);
      socket.set(zmq::sockopt::req_correlate, true);
    }
    const std::string name = "inproc://monitor-" + std::to_string(context.monitors++);
    TREADLE_ASSERT(
        zmq_socket_monitor(socket.handle(), name.c_str(), ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED) == 0);
    monitor.connect(name);
  }
  ~Impl() { zmq_socket_monitor(socket.handle(), nullptr, 0); }

  bool receive_frame(zmq::message_t& frame) {
    int rc = 0;
    do {
      rc = zmq_msg_recv(frame.handle(), socket.handle(), ZMQ_DONTWAIT);
    } while (rc < 0 && errno == EINTR);
    // A REQ without a request under way says so before it has looked at its commands, which keep the descriptor
    // readable.
    if (rc < 0 && errno == EFSM) (void)socket.get(zmq::sockopt::events);
    return rc >= 0;
  }

  bool send_frame(const Buffer& buffer, bool more) {
    zmq::message_t frame = frame_of(buffer);
    int rc = 0;
    do {
      rc = zmq_msg_send(frame.handle(), socket.handle(), ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
    } while (rc < 0 && errno == EINTR);
    return rc >= 0;
  }

  // A REQ whose last frame was refused takes what comes next for the rest of that request, without the frames by which
  // requests are told apart. An empty one ends it: nobody can use it, and its answer is nobody's.
  bool end_request() {
    if (!send_frame(Buffer(), false)) return false;
    unended = false;
    return true;
  }
};

ZmqSocket::ZmqSocket(ZmqContext& context, Kind kind) : impl_(std::make_unique<Impl>(*context.impl_, kind)) {}
ZmqSocket::~ZmqSocket() = default;

Result<void> ZmqSocket::bind(const std::string& endpoint) {
  if (zmq_bind(impl_->socket.handle(), endpoint.c_str()) == 0) return {};
  if (errno == EADDRINUSE) return fail(Code::Conflict, endpoint + " is taken by another program");
  return fail(Code::Invalid, "cannot listen on " + endpoint + ": " + zmq_strerror(errno));
}

Result<void> ZmqSocket::connect(const std::string& endpoint) {
  if (zmq_connect(impl_->socket.handle(), endpoint.c_str()) == 0) return {};
  return fail(Code::Invalid, "cannot connect to " + endpoint + ": " + zmq_strerror(errno));
}

std::string ZmqSocket::endpoint() const { return impl_->socket.get(zmq::sockopt::last_endpoint); }

std::optional<ZmqSocket::Received> ZmqSocket::receive() {
  Received received;
  for (bool more = true; more;) {
    zmq::message_t frame;
    if (!impl_->receive_frame(frame)) {
      TREADLE_ASSERT_MSG(received.frames.empty(), "zmq gave a part of a message");
      return std::nullopt;
    }
    more = frame.more();
    if (received.frames.empty()) received.connection = zmq_msg_get(frame.handle(), ZMQ_SRCFD);
    if (received.frames.size() == core::limits::kMaxFrames) {
      received.too_many = true;
    } else {
      received.frames.push_back(buffer_of(std::move(frame)));
    }
  }
  return received;
}

bool ZmqSocket::readable() const { return (impl_->socket.get(zmq::sockopt::events) & ZMQ_POLLIN) != 0; }

ZmqSocket::Sent ZmqSocket::send(std::span<const Buffer> envelope, std::span<const Buffer> message) {
  if (impl_->unended && !impl_->end_request()) return Sent::NotNow;
  const std::size_t count = envelope.size() + message.size();
  const auto frame_at = [&](std::size_t i) -> const Buffer& {
    return i < envelope.size() ? envelope[i] : message[i - envelope.size()];
  };
  for (std::size_t i = 0; i < count; ++i) {
    if (impl_->send_frame(frame_at(i), i + 1 < count)) continue;
    const bool no_route = errno == EHOSTUNREACH;
    // The connection died between two frames: what zmq had taken is lost, and it drops all up to the last frame.
    for (std::size_t rest = i + 1; i > 0 && rest < count; ++rest)
      (void)impl_->send_frame(frame_at(rest), rest + 1 < count);
    impl_->unended = i > 0 && i + 1 == count && impl_->kind == Kind::Request;
    return no_route ? Sent::NoRoute : Sent::NotNow;
  }
  return Sent::Yes;
}

std::vector<ZmqSocket::Connection> ZmqSocket::connections() {
  std::vector<Connection> found;
  zmq::message_t event, address;
  while (impl_->monitor.recv(event, zmq::recv_flags::dontwait)) {
    (void)impl_->monitor.recv(address, zmq::recv_flags::none);
    std::uint16_t kind = 0;
    std::int32_t value = 0;
    std::memcpy(&kind, event.data(), sizeof kind);
    std::memcpy(&value, static_cast<const char*>(event.data()) + sizeof kind, sizeof value);
    found.push_back({value, kind == ZMQ_EVENT_HANDSHAKE_SUCCEEDED});
  }
  return found;
}

int ZmqSocket::wake_fd() const { return impl_->socket.get(zmq::sockopt::fd); }
int ZmqSocket::monitor_fd() const { return impl_->monitor.get(zmq::sockopt::fd); }

}  // namespace treadle::transport

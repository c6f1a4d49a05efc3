// One zmq socket as Treadle uses it: nothing blocks, messages come and go whole, and what happens to connections can be
// seen. The only place that knows zmq.
//
// In an event loop: call receive() in every turn, and ask readable() before the loop sleeps. zmq's descriptor is
// edge-triggered: it tells of commands, not of messages, and a send may eat the edge
// (docs/decisions/0006-zmq-in-the-loop.md).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "transport/frames.h"

namespace treadle::transport {

inline constexpr int kSendQueue = 1000;  // messages that zmq keeps for one peer

// Owns zmq's I/O thread; outlives its sockets.
class ZmqContext {
 public:
  ZmqContext();
  ~ZmqContext();

 private:
  friend class ZmqSocket;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class ZmqSocket {
 public:
  enum class Kind : std::uint8_t { Router, Dealer, Request };
  ZmqSocket(ZmqContext& context, Kind kind);
  ~ZmqSocket();

  // Errors: Conflict, the address is taken; Invalid, it is none.
  Result<void> bind(const std::string& endpoint);
  Result<void> connect(const std::string& endpoint);
  std::string endpoint() const;  // with the port that was really bound

  struct Received {
    Frames frames;
    int connection = -1;    // descriptor of the peer's connection, as connections() names it
    bool too_many = false;  // more than core::limits::kMaxFrames: the rest was dropped
  };
  std::optional<Received> receive();
  // There is something to receive, whatever wake_fd() says.
  bool readable() const;
  enum class Sent : std::uint8_t {
    Yes,
    NotNow,   // its queue is full, or there is no connection yet
    NoRoute,  // Router: the peer of frame 0 is gone
  };
  Sent send(std::span<const Buffer> envelope, std::span<const Buffer> message);

  struct Connection {
    int descriptor = -1;
    bool up = false;
  };
  std::vector<Connection> connections();  // that came and went since the last call

  int wake_fd() const;     // of receive()
  int monitor_fd() const;  // of connections()

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace treadle::transport

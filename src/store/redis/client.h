// A connection to Redis that mends itself: commands are pipelined, answered in order, and fail fast while Redis is
// away.
//
// All on the thread of the io_context; answers and hooks run from its handlers, never from within the call that began
// them (but see close()). They may call the client again, and may destroy it.
// Messages of channels come over a second connection, made at the first subscribe(): Redis closes a connection that
// subscribes as soon as 32 MiB wait for it, which one big reply would be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/callback.h"
#include "base/result.h"
#include "base/time.h"
#include "store/redis/address.h"
#include "store/redis/reply.h"

namespace boost::asio {
class io_context;
}

namespace treadle::store::redis {

struct ClientConfig {
  Duration connect_timeout = 3s;    // from the first packet to the end of the greeting
  Duration request_timeout = 5s;    // without a byte of the answer that is due: the connection is given up
  Duration away_grace = 250ms;      // commands wait so long for a connection that was just lost, then fail at once
  Duration backoff_min = 10ms;      // between two tries to connect; doubled each time ...
  Duration backoff_max = 500ms;     // ... up to this; of each pause a random half is left out
  std::uint64_t jitter_seed = 0;    // for that, from the system's random source
  Duration ping_interval = 5s;      // on the connection for messages, whose death nothing else would show
  std::size_t max_pending = 65536;  // commands that wait for their replies or to be sent; above it Code::Full
  std::size_t max_channels = 1024;  // subscribed at one time; above it Code::Full
  std::uint64_t max_unsent_bytes = 1ull << 30;  // of commands that wait to be sent; above it Code::Full
};

using Command = std::vector<std::string>;
// The error is Code::Unavailable: no connection, lost before the reply, or no reply in time; whether the command took
// effect is then unknown. Code::Full: over a limit of ClientConfig, nothing was sent. An error that Redis answered is
// no error here but a Reply of Type::Error.
using Answer = Callback<void(Result<Reply>)>;

class Client {
 public:
  // Begins to connect at once, and goes on trying for ever.
  Client(boost::asio::io_context& io, Address address, ClientConfig config);
  ~Client();  // what still waits is dropped unanswered
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Queued until flush(). Not for commands that block, subscribe, or change the state of the connection.
  void send(Command command, Answer answer);
  // Kept together, for MULTI ... EXEC: no other command of this client comes between.
  void send_all(std::vector<Command> commands, Callback<void(Result<std::vector<Reply>>)> answer);
  // Writes all that is queued at once. What is queued while there is no connection leaves when there is one.
  void flush();

  // Each time a connection is ready. What was lost with the old one must be repeated by the caller; commands sent from
  // within the hook go ahead of those that wait. Also when only the connection for messages was lost and is back:
  // messages may have been missed then.
  void on_connected(Callback<void()> hook);
  // A connection that was ready is lost; the commands in flight have been answered with this error.
  void on_disconnected(Callback<void(const Error&)> hook);
  void on_message(Callback<void(std::string_view channel, std::string_view message)> hook);

  // Kept over reconnects. `confirmed` runs once: when Redis has confirmed it, however late, or has refused it.
  void subscribe(std::string channel, Callback<void(Result<void>)> confirmed);
  void unsubscribe(std::string channel);

  bool connected() const;
  // Of the connection that is there, or was there last: no two in this program have the same.
  std::uint64_t connection_number() const;
  // How often it was connected to another server than before.
  std::uint64_t moves() const;
  // Why there is no connection; the sentence that commands fail with.
  Error last_error() const;
  // The last try reached something that did not let us in: a wrong password, a strange certificate, a forbidden socket.
  bool refused() const;
  const Address& address() const;
  // What it is connected to is not the master any more (READONLY): it looks for the new one.
  void look_for_master();
  // For good. All that waits is answered with Code::Unavailable before it returns.
  void close();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace treadle::store::redis

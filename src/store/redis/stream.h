// Bytes to and from a Redis: over TCP, TLS or a Unix socket, dialed with one deadline for all of it.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/callback.h"
#include "base/result.h"
#include "base/time.h"
#include "store/redis/address.h"

namespace boost::asio {
class io_context;
}

namespace treadle::store::redis {

// Loop thread. One read and one write may be under way; what is handed in outlives the call's Moved. No Moved runs
// after close().
class Stream {
 public:
  // `failure` is empty, or says what happened; the stream is of no more use then. `bytes` may be > 0 all the same.
  using Moved = Callback<void(std::string failure, std::size_t bytes)>;
  static constexpr std::size_t kPiecesAtOnce = 64;  // the kernel is given at most so many in one call
  virtual ~Stream() = default;
  virtual void read(char* into, std::size_t room, Moved moved) = 0;
  virtual void write(std::vector<std::string_view> pieces, Moved moved) = 0;  // as much of them as goes at once
  virtual void close() = 0;
};

// One try to connect. Ends by calling `done` once, from a handler, unless it is cancelled before.
class Dial {
 public:
  virtual ~Dial() = default;
  virtual void cancel() = 0;
};
// The error is Code::Invalid if something is there but trust or permission is missing, else Code::Unavailable.
using Dialed = Callback<void(Result<std::unique_ptr<Stream>>)>;
std::shared_ptr<Dial> dial(boost::asio::io_context& io, const Address& address, Duration timeout, Dialed done);

}  // namespace treadle::store::redis

// The HTTP edge: serves the seed's API, health, metrics and docs from a store, on the loop thread of its host.
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "base/time.h"
#include "gateway/config.h"
#include "gateway/id_source.h"
#include "gateway/status_source.h"
#include "store/store.h"

namespace boost::asio {
class io_context;
}

namespace treadle::gateway {

// Whether listen() may use the address at all; known before anything is opened. Invalid: one sentence with the way out.
Result<void> check_address(const GatewayConfig& config);

// All calls on the thread that runs `io`. Everything referred to outlives the Gateway; the store may call back later.
class Gateway {
 public:
  Gateway(boost::asio::io_context& io, store::Store& store, GatewayConfig config, StatusSource& status, IdSource& ids,
          const Clock& clock);
  ~Gateway();  // closes every connection at once

  // Conflict: the port is taken. Invalid: not an address, not ours, or not allowed without insecure_public.
  Result<void> listen();
  std::uint16_t port() const;  // the real one, after listen()
  // Sends what the burst of handlers before it has answered: one write per connection. True: it asked the store for
  // more.
  bool turn(Instant now);

  // Closes the listening socket and idle connections; refuses new work with 503, answers what is held by ?wait=, and
  // ends each other connection after the answers that it is owed.
  void begin_drain();
  bool drained() const;  // every connection is closed

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace treadle::gateway

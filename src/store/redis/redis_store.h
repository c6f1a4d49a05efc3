// The Redis engine: every operation is one script inside Redis, so any number of gateways and dispatchers may share
// one. Keys, fields and scripts: docs/storage.md.
#pragma once

#include <memory>

#include "base/result.h"
#include "base/time.h"
#include "store/redis/config.h"
#include "store/store.h"

namespace boost::asio {
class io_context;
}

namespace treadle::store {

// Connects, looks at version and durability, and prepares the scripts; blocks (running `io` itself) for at most the 5 s
// that an absent Redis is waited for. Afterwards the store lives on the handlers of `io`: wake_fd() is -1, and the host
// must give it a turn after each burst of handlers. `io` and `clock` outlive it.
Result<std::unique_ptr<Store>> open_redis(boost::asio::io_context& io, RedisConfig config, const Clock& clock);

}  // namespace treadle::store

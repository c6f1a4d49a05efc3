// The way to the Redis that serves a partition's keys; it may lead elsewhere after a failover.
#pragma once

#include <string_view>

#include "store/redis/client.h"

namespace treadle::store::redis {

class Route {
 public:
  virtual ~Route() = default;
  // That serves the keys now, as far as is known.
  virtual Client& client() = 0;
  // Redis says that the keys are elsewhere (MOVED, ASK): whom to ask instead; null if it says nothing of that kind.
  virtual Client* elsewhere(std::string_view redis_says) = 0;
  // There was no answer, or none that helps: the keys may have a new master.
  virtual void in_vain() = 0;
};

}  // namespace treadle::store::redis

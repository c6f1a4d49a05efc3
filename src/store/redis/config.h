// Settings of the Redis engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "core/limits.h"
#include "store/changes.h"
#include "store/redis/address.h"
#include "store/redis/caller.h"
#include "store/redis/client.h"

namespace treadle::store {

struct RedisConfig {
  redis::Address address;
  redis::ClientConfig client;
  FailureWriter failure;                         // makes the object of failures that no executor reported
  std::function<void(const std::string&)> warn;  // called by open_redis() for each setting of Redis that loses tasks
  unsigned partitions = 0;                       // 0: as Redis has it; at its first use 1, or 16 on several servers
  redis::ReplicaWait wait;                       // replicas that must have what is acknowledged (--redis-wait)
  // Says of another dispatcher, by its name, that its process is known to be gone (--name); what it held is given back
  // when this store is so old, without the wait for its session to end. Its workers may come to us first.
  std::function<bool(const std::string& name)> is_dead;
  Duration take_over_after{0};
  std::uint64_t max_queued = core::limits::kMaxQueued;
  std::uint64_t max_queued_bytes = core::limits::kMaxQueuedBytes;
  std::size_t max_waiters = core::limits::kMaxWaiters;
  std::int64_t keep_completed_ms = core::limits::kKeepCompletedMs;  // 0: for ever
  std::int64_t keep_failed_ms = core::limits::kKeepFailedMs;
  std::uint64_t bodies_bytes = 64ull << 20;  // of function bodies that are answered without asking Redis
};

}  // namespace treadle::store

// Settings of the Redis engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "core/limits.h"
#include "store/changes.h"
#include "store/redis/address.h"
#include "store/redis/client.h"

namespace treadle::store {

struct RedisConfig {
  redis::Address address;
  redis::ClientConfig client;
  FailureWriter failure;                         // makes the object of failures that no executor reported
  Level required = Level::None;                  // refuse a Redis that keeps less (--require-durable)
  std::function<void(const std::string&)> warn;  // called by open_redis() for each setting of Redis that loses tasks
  std::uint64_t max_queued = core::limits::kMaxQueued;
  std::uint64_t max_queued_bytes = core::limits::kMaxQueuedBytes;
  std::size_t max_waiters = core::limits::kMaxWaiters;
  std::int64_t keep_completed_ms = core::limits::kKeepCompletedMs;  // 0: for ever
  std::int64_t keep_failed_ms = core::limits::kKeepFailedMs;
  std::uint64_t bodies_bytes = 64ull << 20;  // of function bodies that are answered without asking Redis
};

}  // namespace treadle::store

#include "store/redis/redis_store.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "store/redis/layout.h"
#include "store/redis/loop.h"
#include "store/redis/partitioned.h"
#include "store/redis/probe.h"
#include "store/redis/topology.h"

namespace treadle::store {
namespace {

constexpr Duration kLayoutLimit = 5s;  // for the first look at what Redis holds
constexpr Duration kStep = 10ms;       // of the loop while we run it ourselves; the probe ends by itself
constexpr unsigned kManyServers = 16;  // partitions of a store on several servers, unless another number is asked for

Result<redis::Findings> look(boost::asio::io_context& io, redis::Client& client) {
  std::optional<Result<redis::Findings>> found;
  redis::probe(io, client, [&found](Result<redis::Findings> findings) { found = std::move(findings); });
  while (!found) {
    client.flush();
    redis::run_one(io, kStep);
  }
  return std::move(*found);
}

std::shared_ptr<redis::Topology> topology_of(boost::asio::io_context& io, const RedisConfig& config) {
  if (config.address.group == redis::Address::Group::Cluster)
    return redis::cluster_topology(io, config.address, config.client);
  return redis::fixed_topology(io, config.address, config.client);
}

// The level of the weakest, and what is wrong with each.
Result<Level> look_at_all(boost::asio::io_context& io, redis::Topology& topology, const RedisConfig& config) {
  Level level = Level::Power;
  for (redis::Master* master : topology.masters()) {
    TRY(const redis::Findings findings, look(io, master->client()));
    level = std::min(level, findings.level);
    for (const std::string& warning : findings.warnings) {
      if (config.warn) config.warn(warning);
    }
  }
  // A failover may undo the last writes, whatever each server does with its disk.
  if (config.address.group != redis::Address::Group::Servers) level = std::min(level, Level::Process);
  return level;
}

unsigned usual_partitions(const redis::Address& address) {
  return address.group == redis::Address::Group::Cluster || address.each().size() > 1 ? kManyServers : 1;
}

// More would look in vain, fewer would leave servers idle or, in a cluster, spread one script's keys over several.
Result<void> check_count(unsigned partitions, const redis::Address& address) {
  const std::size_t servers = address.group == redis::Address::Group::Sentinel ? 1 : address.each().size();
  const bool apart = address.group == redis::Address::Group::Cluster || servers > 1;
  if (partitions == 0) return {};
  if (!redis::is_partition_count(partitions))
    return fail(Code::Invalid,
                "--partitions takes 1, 2, 4, 8 ... up to 256; " + std::to_string(partitions) + " is none of them.");
  if (apart && partitions < std::max<std::size_t>(servers, 2))
    return fail(Code::Invalid,
                "a store on several Redis servers needs a partition for each: --partitions 16, or leave "
                "it out; " +
                    std::to_string(partitions) + " is too few for " + address.shown() + ".");
  return {};
}

RedisConfig share_of(const RedisConfig& whole, unsigned partitions) {
  RedisConfig one = whole;
  one.max_queued = std::max<std::uint64_t>(whole.max_queued / partitions, 1);
  one.max_queued_bytes = std::max<std::uint64_t>(whole.max_queued_bytes / partitions, 1);
  one.bodies_bytes = whole.bodies_bytes / partitions;
  return one;
}

}  // namespace

Result<std::unique_ptr<Store>> open_redis(boost::asio::io_context& io, RedisConfig config, const Clock& clock) {
  if (auto right = check_count(config.partitions, config.address); !right) return std::move(right.error());
  const auto topology = topology_of(io, config);
  if (auto learned = topology->learn(kLayoutLimit); !learned) return std::move(learned.error());
  TRY(const Level level, look_at_all(io, *topology, config));
  TRY(const unsigned partitions,
      redis::fix_partitions(io, *topology, config.partitions, usual_partitions(config.address), kLayoutLimit));
  if (auto right = check_count(partitions, config.address); !right) return std::move(right.error());
  topology->settle(partitions);
  std::vector<std::unique_ptr<redis::Engine>> engines;
  for (unsigned p = 0; p < partitions; ++p) {
    engines.push_back(std::make_unique<redis::Engine>(io, share_of(config, partitions), clock, topology,
                                                      redis::Partition{p, partitions}));
    engines.back()->set_level(level);
    engines.back()->turn(clock.now());  // begins the first sweep, which also says what Redis holds
  }
  for (const auto& engine : engines) {
    engine->run_until_idle(kLayoutLimit);
    if (auto error = engine->check_layout()) return std::move(*error);
  }
  if (partitions == 1) return std::unique_ptr<Store>(std::move(engines.front()));
  return std::unique_ptr<Store>(
      std::make_unique<redis::Partitioned>(std::move(engines), config.address.shown(), config.max_waiters, clock));
}

}  // namespace treadle::store

// The Redis servers of a store, and which of them has a partition.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "store/redis/address.h"
#include "store/redis/client.h"
#include "store/redis/master.h"
#include "store/redis/partition.h"

namespace treadle::store::redis {

class Topology {
 public:
  virtual ~Topology() = default;

  // Before all else: who is there. Runs the loop, for at most so long.
  virtual Result<void> learn(Duration limit) = 0;
  // That have keys now.
  virtual std::vector<Master*> masters() = 0;
  // That has the plain key "treadle:meta", in which the number of partitions is fixed: each of several, one of a
  // cluster.
  virtual std::vector<Master*> layout_masters() = 0;
  virtual void turn(Instant now) = 0;
  virtual Instant next_deadline() const = 0;
  virtual void close() = 0;

  // Gives each of so many partitions its home; once.
  void settle(unsigned partitions);
  Home& home(unsigned partition) { return *homes_.at(partition); }
  unsigned partitions() const { return static_cast<unsigned>(homes_.size()); }
  void enter() { ++engines_; }
  void leave() {
    if (--engines_ == 0) close();
  }

 protected:
  virtual std::unique_ptr<Home> make_home(Partition partition) = 0;
  std::vector<std::unique_ptr<Home>>& homes() { return homes_; }
  void drop_homes() { homes_.clear(); }

 private:
  std::vector<std::unique_ptr<Home>> homes_;
  int engines_ = 0;
};

// One Redis, or several that know nothing of each other: partition p is on number p modulo their count. Also behind
// Sentinels, which are asked by the connections themselves (sentinel.h).
std::shared_ptr<Topology> fixed_topology(boost::asio::io_context& io, const Address& address,
                                         const ClientConfig& config);
// A Redis Cluster (cluster.h).
std::shared_ptr<Topology> cluster_topology(boost::asio::io_context& io, const Address& address,
                                           const ClientConfig& config);

}  // namespace treadle::store::redis

// Where in the ledger a task is, by id: sharded, so that growing to millions of tasks never stops the loop for long.
#pragma once

#include <array>
#include <cstdint>

#include <boost/unordered/unordered_flat_map.hpp>

#include "base/ids.h"

namespace treadle::store {

class TaskIndex {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;

  std::uint32_t find(TaskId id) const {
    const Shard& shard = shards_[shard_of(id)];
    const auto it = shard.find(id);
    return it == shard.end() ? kNone : it->second;
  }
  void insert(TaskId id, std::uint32_t slot) { shards_[shard_of(id)].insert_or_assign(id, slot); }
  void erase(TaskId id) { shards_[shard_of(id)].erase(id); }

 private:
  using Shard = boost::unordered_flat_map<TaskId, std::uint32_t, std::hash<TaskId>>;
  static std::size_t shard_of(TaskId id) { return std::hash<TaskId>{}(id) >> 57; }
  std::array<Shard, 128> shards_;
};

}  // namespace treadle::store

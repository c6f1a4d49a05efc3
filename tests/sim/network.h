// The simulated network between dispatchers and workers: late, lost, doubled and overtaken messages, and partitions.
#pragma once

#include <functional>
#include <set>
#include <utility>

#include "core/message.h"
#include "world.h"

namespace treadle::sim {

struct NetworkFaults {
  double drop = 0;
  double duplicate = 0;
  Duration delay_max{1ms};  // uniform from 50 us; unequal delays overtake each other
};

// `Message` is delivered to a handler; endpoints are numbered by the cluster.
class Network {
 public:
  // In one process (LOCAL) messages are handed over in order and at once.
  Network(World& world, bool in_process) : world_(world), in_process_(in_process) {}

  void set(NetworkFaults faults) { faults_ = faults; }
  void cut(int worker) { cut_.insert(worker); }
  void heal(int worker) { cut_.erase(worker); }
  void heal_all() { cut_.clear(); }

  // Runs `deliver` later, perhaps twice, perhaps never.
  template <class Message>
  void carry(int worker, Message message, std::function<void(Message)> deliver) {
    ++sent;
    if (cut_.contains(worker) || world_.rng.chance(faults_.drop)) {
      ++dropped;
      return;
    }
    if (world_.rng.chance(faults_.duplicate)) {
      ++duplicated;
      world_.after(delay(), [message, deliver] { deliver(message); });
    }
    world_.after(delay(), [message = std::move(message), deliver = std::move(deliver)]() mutable {
      deliver(std::move(message));
    });
  }

  std::uint64_t sent = 0, dropped = 0, duplicated = 0;

 private:
  Duration delay() { return in_process_ ? 1us : world_.between(50us, faults_.delay_max); }

  World& world_;
  bool in_process_;
  NetworkFaults faults_;
  std::set<int> cut_;
};

}  // namespace treadle::sim

// The simulated network between dispatchers and workers: late, lost, doubled and overtaken messages, partitions, and
// links that are open one way only.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include "core/message.h"
#include "world.h"

namespace treadle::sim {

struct NetworkFaults {
  double drop = 0;
  double duplicate = 0;
  double reorder = 0;       // such a message leaves the line, and later ones overtake it
  Duration delay_max{1ms};  // uniform from 50 us
};

enum class Way : std::uint8_t { ToWorker, FromWorker };

// `Message` is delivered to a handler; endpoints are numbered by the cluster.
class Network {
 public:
  // In one process (LOCAL) messages are handed over in order and at once.
  Network(World& world, bool in_process) : world_(world), in_process_(in_process) {}

  void set(NetworkFaults faults) { faults_ = faults; }
  void cut(int worker) { cut_.insert({worker, Way::ToWorker}), cut_.insert({worker, Way::FromWorker}); }
  void cut_half(int worker, Way way) { cut_.insert({worker, way}); }
  void heal(int worker) { cut_.erase({worker, Way::ToWorker}), cut_.erase({worker, Way::FromWorker}); }

  // Runs `deliver` later, perhaps twice, perhaps never.
  template <class Message>
  void carry(Way way, int worker, Message message, std::function<void(Message)> deliver) {
    if (cut_.contains({worker, way})) {
      ++(cut_.contains({worker, way == Way::ToWorker ? Way::FromWorker : Way::ToWorker}) ? dropped : half_open);
      return;
    }
    if (world_.rng.chance(faults_.drop)) {
      ++dropped;
      return;
    }
    if (world_.rng.chance(faults_.duplicate)) {
      ++duplicated;
      const Instant first = carry_surely(way, worker, message, deliver, world_.rng.chance(faults_.reorder));
      world_.at(first + delay(), [message = std::move(message), deliver = std::move(deliver)] { deliver(message); });
      return;
    }
    carry_surely(way, worker, std::move(message), std::move(deliver), world_.rng.chance(faults_.reorder));
  }

  // A connection that keeps order and loses nothing. Gives the time of arrival.
  template <class Message>
  Instant carry_surely(Way way, int worker, Message message, std::function<void(Message)> deliver,
                       bool steps_out = false) {
    Lane& lane = lanes_[{worker, way}];
    const std::uint64_t number = ++lane.sent;
    Instant when = world_.now() + delay();
    if (steps_out) {
      when = when + world_.between(1ms, 50ms);
    } else {
      when = lane.last = std::max(when, lane.last);
    }
    world_.at(when, [this, &lane, number, message = std::move(message), deliver = std::move(deliver)]() mutable {
      reordered += number < lane.delivered ? 1 : 0;
      lane.delivered = std::max(lane.delivered, number);
      deliver(std::move(message));
    });
    return when;
  }

  std::uint64_t dropped = 0, duplicated = 0, reordered = 0, half_open = 0;

 private:
  struct Lane {
    std::uint64_t sent = 0, delivered = 0;
    Instant last;
  };
  Duration delay() { return in_process_ ? 1us : world_.between(50us, faults_.delay_max); }

  World& world_;
  bool in_process_;
  NetworkFaults faults_;
  std::set<std::pair<int, Way>> cut_;
  std::map<std::pair<int, Way>, Lane> lanes_;
};

}  // namespace treadle::sim

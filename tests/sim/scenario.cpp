#include "cluster.h"

namespace treadle::sim {

// Each kind of fault is drawn on its own, so that one seed has one of them and another has all.
Scenario Scenario::of(std::uint64_t seed) {
  Rng rng(seed ^ 0x5ce9a510);
  Scenario s;
  s.mode = static_cast<core::Mode>(rng.below(3));
  const bool local = s.mode == core::Mode::Local;
  s.dispatchers = local ? 1 : 1 + static_cast<int>(rng.below(2));
  s.workers = local ? 1 : 1 + static_cast<int>(rng.below(3));
  s.slots = 1 + static_cast<std::uint32_t>(rng.below(4));
  s.tasks = 40 + static_cast<int>(rng.below(120));
  s.at_most_once = rng.chance(0.5);
  s.may_hang = rng.chance(0.3);
  if (!local && rng.chance(0.6))
    s.network = {rng.chance(0.5) ? 0.02 : 0.2, rng.chance(0.5) ? 0.02 : 0.2,
                 rng.chance(0.5) ? Duration(2ms) : Duration(300ms)};
  if (rng.chance(0.4)) s.store = {0.1, 0.1};
  if (!local && rng.chance(0.5)) s.worker_kills = 1 + static_cast<int>(rng.below(3));
  if (!local && rng.chance(0.4)) s.dispatcher_kills = 1 + static_cast<int>(rng.below(2));
  if (rng.chance(0.3)) s.process_crashes = 1 + static_cast<int>(rng.below(2));
  if (rng.chance(0.3)) s.stalls = 1 + static_cast<int>(rng.below(2));
  if (!local && rng.chance(0.3)) s.partitions = 1;
  if (rng.chance(0.4)) s.cancels = 5;
  return s;
}

std::string Scenario::describe() const {
  const auto n = [](auto value) { return std::to_string(value); };
  return std::string(core::name_of(mode)) + " dispatchers=" + n(dispatchers) + " workers=" + n(workers) + "x" +
         n(slots) + " tasks=" + n(tasks) + " at_most_once=" + n(at_most_once) + " hang=" + n(may_hang) +
         " drop=" + n(network.drop) + " dup=" + n(network.duplicate) + " delay_ms=" + n(network.delay_max / 1ms) +
         " answers_lost=" + n(store.lose_answer) + " worker_kills=" + n(worker_kills) +
         " dispatcher_kills=" + n(dispatcher_kills) + " crashes=" + n(process_crashes) + " stalls=" + n(stalls) +
         " partitions=" + n(partitions) + " cancels=" + n(cancels);
}

}  // namespace treadle::sim

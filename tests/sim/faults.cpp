// What goes wrong, when, and how it ends.
#include "cluster.h"

namespace treadle::sim {

template <class What>
void Cluster::some_times(int times, What what) {
  for (int i = 0; i < times; ++i) {
    const Instant when = world_.now() + world_.between(200ms, scenario_.faults_end - 500ms);
    world_.at(when, [what]() mutable { what(); });
  }
}

void Cluster::plan_faults() {
  plan_deaths();
  plan_gateway_faults();
  plan_stalls();
  plan_links();
  plan_store_faults();
  some_times(scenario_.cancels > 0 ? 1 : 0, [this] { cancel_some(); });
  world_.after(scenario_.faults_end, [this] { end_faults(); });
}

void Cluster::plan_deaths() {
  some_times(scenario_.worker_kills, [this] {
    WorkerNode& worker = any(workers_);
    trail("fault", "kill -9 of worker " + to_string(worker.id()) + ", or within its next 20 effects");
    if (world_.rng.chance(0.5)) {
      worker.kill();
    } else {
      worker.die_at_effect(1 + world_.rng.below(20));
    }
    world_.after(world_.between(1ms, 100ms), [this, &worker] {
      const int number = static_cast<int>(worker.id().lo);
      if (!worker.alive()) connection_ends(attached_.at(number), number);
    });
    world_.after(world_.between(0ms, 2s), [&worker] {
      worker.kill();
      worker.start();
    });
  });
  some_times(plains_.empty() ? 0 : scenario_.plain_kills, [this] {
    trail("fault", "kill -9 of a plain client");
    any(plains_).kill();
  });
  some_times(scenario_.dispatcher_kills, [this] {
    DispatcherNode& dispatcher = any(dispatchers_);
    trail("fault", "dispatcher dies within its next 20 effects");
    if (dispatcher.alive()) dispatcher.die_at_effect(1 + world_.rng.below(20));
    world_.after(world_.between(1s, 3s), [this, &dispatcher] {
      dispatcher.kill();
      dispatcher.start();
      // Before it hears that its session is open, and for so long that another one reaps it.
      if (scenario_.stalls > 0 && world_.rng.chance(0.5)) dispatcher.stall_at_effect(2, world_.between(9s, 14s));
    });
  });
  some_times(scenario_.doubles, [this] { add_double(); });
}

void Cluster::plan_gateway_faults() {
  some_times(scenario_.gateway_kills, [this] {
    GatewayNode& gateway = any(gateways_);
    trail("fault", "a gateway dies, at once or within its next 10 answers");
    if (world_.rng.chance(0.5)) {
      gateway.kill();
    } else {
      gateway.die_at_answer(1 + world_.rng.below(10));
    }
    world_.after(world_.between(10ms, 1s), [&gateway] { gateway.kill(), gateway.start(); });
  });
  some_times(scenario_.gateway_stalls, [this] {
    trail("fault", "a gateway stands still");
    ++verdict_.tally["gateway_stalls"];
    any(gateways_).stall(world_.between(100ms, 5s));
  });
}

void Cluster::plan_stalls() {
  some_times(scenario_.stalls, [this] {
    // Shorter than any limit, around the end of a session, and well beyond it.
    const Duration lengths[] = {world_.between(100ms, 2s), world_.between(9s, 14s), world_.between(12s, 30s)};
    const Duration length = lengths[world_.rng.below(3)];
    const std::uint64_t whom = world_.rng.below(4);
    if (whom < 2) {
      trail("fault", "worker stands still"), any(workers_).stall(length);
    } else if (whom == 2) {
      trail("fault", "dispatcher stands still"), any(dispatchers_).stall(length);
    } else {
      trail("fault", "dispatcher stands still within its next 20 effects");
      any(dispatchers_).stall_at_effect(1 + world_.rng.below(20), length);
    }
  });
  some_times(scenario_.store_stalls, [this] {
    trail("fault", "the disk stands still");
    ++verdict_.tally["store_stalls"];
    store_stands_until_ = world_.now() + world_.between(10ms, 2s);
  });
  some_times(scenario_.client_stalls, [this] {
    trail("fault", "the clients stand still");
    ++verdict_.tally["client_stalls"];
    clients_stand_until_ = world_.now() + world_.between(100ms, 3s);
  });
  some_times(scenario_.wall_steps, [this] {
    trail("fault", "the wall clock is set");
    ++verdict_.tally["wall_steps"];
    world_.step_wall_clock(world_.rng.chance(0.5) ? 3'600'000 : -3'600'000);
  });
}

void Cluster::plan_links() {
  some_times(scenario_.partitions, [this] {
    const int number = static_cast<int>(world_.rng.below(workers_.size()));
    trail("fault", "worker " + std::to_string(number) + " is cut off");
    network_.cut(number);
    world_.after(world_.between(1s, 15s), [this, number] { network_.heal(number); });
  });
  some_times(scenario_.half_opens, [this] {
    const int number = static_cast<int>(world_.rng.below(workers_.size()));
    const Way way = world_.rng.chance(0.5) ? Way::ToWorker : Way::FromWorker;
    trail("fault", "the link of worker " + std::to_string(number) + " is open one way only");
    network_.cut_half(number, way);
    world_.after(world_.between(1s, 15s), [this, number] { network_.heal(number); });
  });
  some_times(scenario_.moves, [this] {
    const int number = static_cast<int>(world_.rng.below(workers_.size()));
    if (world_.rng.chance(0.5)) return move_worker(number);
    leaves_.insert(number);
  });
}

// Its connection breaks and the next one leads to any dispatcher (a load balancer, a name that means another host);
// often back again before the first one has noticed.
void Cluster::move_worker(int number) {
  trail("fault", "worker " + std::to_string(number) + " connects anew");
  const int before = attached_.at(number);
  const auto attach = [this, number](int dispatcher) {
    attached_[number] = dispatcher;
    workers_[static_cast<std::size_t>(number)]->reconnect();
  };
  attach(static_cast<int>(world_.rng.below(dispatchers_.size())));
  if (attached_[number] == before) return;
  ++verdict_.tally["moves"];
  if (world_.rng.chance(0.7)) {
    world_.after(world_.between(1ms, 100ms), [this, before, number] {
      if (attached_.at(number) != before) connection_ends(before, number);
    });
  }
  if (!world_.rng.chance(0.7)) return;
  world_.after(world_.between(100ms, 4s), [this, attach, before, number] {
    if (attached_.at(number) != before) attach(before);
  });
}

// The dispatcher finds that it has no way to the worker.
void Cluster::connection_ends(int dispatcher, int number) {
  ++verdict_.tally["connections_ended"];
  dispatchers_[static_cast<std::size_t>(dispatcher)]->connection_ended(
      workers_[static_cast<std::size_t>(number)]->id());
}

void Cluster::plan_store_faults() {
  some_times(scenario_.process_crashes, [this] { crash_process(); });
  if (scenario_.mode == core::Mode::Local) return;  // store and dispatcher are one process
  some_times(scenario_.store_restarts, [this] { restart_store(); });
  some_times(scenario_.flushes, [this] { flush_store(); });
  some_times(scenario_.store_outages, [this] { store_goes_away(); });
}

void Cluster::store_goes_away() {
  trail("fault", "nobody reaches the store");
  ++verdict_.tally["store_outages"];
  const Instant until = world_.now() + world_.between(100ms, 4s);
  for (auto& dispatcher : dispatchers_) dispatcher->store_is_away_until(until);
  for (auto& gateway : gateways_) gateway->store_is_away_until(until);
}

// kill -9 of the process that owns the store: what had no durable ticket is gone, and so are all roles that it hosted.
void Cluster::crash_process() {
  const bool all = scenario_.all_at_once > 0;
  trail("fault", all ? "everything is killed at once" : "the process that owns the store crashes");
  ++verdict_.tally[all ? "all_killed_at_once" : "crashes"];
  keep_counters();
  for (auto& gateway : gateways_) gateway->kill();
  for (auto& dispatcher : dispatchers_) dispatcher->kill();
  if (all || scenario_.mode == core::Mode::Local) {
    for (auto& worker : workers_) worker->kill();
  }
  for (auto& plain : plains_) {
    if (all) plain->kill();
  }
  store_->crash();
  law_.crashed();
  waiters_are_cut_off();
  world_.after(world_.between(10ms, 500ms), [this] { start_what_is_dead(); });
}

void Cluster::start_what_is_dead() {
  const auto start = [](auto& nodes) {
    for (auto& node : nodes) {
      if (!node->alive()) node->start();
    }
  };
  start(gateways_), start(dispatchers_), start(workers_), start(plains_);
}

// The store begins anew, without sessions and claims, and the dispatchers live on: they say again what they hold.
void Cluster::restart_store() {
  trail("fault", "the store begins anew under its dispatchers");
  ++verdict_.tally["store_restarts"];
  keep_counters();
  store_->crash();
  law_.crashed();
  waiters_are_cut_off();
}

// FLUSHALL: nothing is left, not even functions. What was accepted before is lost, as documented; what comes after the
// functions are registered again is not.
void Cluster::flush_store() {
  trail("fault", "the store loses everything");
  ++verdict_.tally["flushes"];
  keep_counters();
  for (Client& client : clients_) client.flushed |= !client.task.id.is_nil();
  flushed_stores_.push_back(std::move(store_));
  make_store();
  committed_ = 0;
  law_.flushed(*store_);
  world_.after(world_.between(50ms, 500ms), [this] { put_functions(); });
}

// Two programs with one worker id: each registers again whenever the other one did. The second one ends with the
// faults at the latest.
void Cluster::add_double() {
  const int number = static_cast<int>(world_.rng.below(workers_.size()));
  trail("fault", "a second program calls itself worker " + std::to_string(number));
  if (world_.rng.chance(0.5)) workers_[static_cast<std::size_t>(number)]->stall(world_.between(1s, 3s));
  doubles_.push_back(make_worker(number, 1000 * (doubles_.size() + 1)));
  WorkerNode* node = doubles_.back().get();
  ++verdict_.tally["doubles"];
  world_.after(world_.between(500ms, 4s), [node] { node->kill(); });
}

void Cluster::end_faults() {
  trail("faults", "end");
  faults_on_ = false;
  leaves_.clear();
  network_.set({});
  for (auto& dispatcher : dispatchers_) dispatcher->set({});
  for (auto& gateway : gateways_) gateway->set({});
  for (auto& node : doubles_) node->kill();
}

}  // namespace treadle::sim

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
  plan_stalls();
  plan_links();
  plan_store_faults();
  some_times(scenario_.cancels > 0 ? 1 : 0, [this] { cancel_some(); });
  world_.after(scenario_.faults_end, [this] { end_faults(); });
}

void Cluster::plan_deaths() {
  some_times(scenario_.worker_kills, [this] {
    WorkerNode& worker = any(workers_);
    trail("fault", "kill -9 of worker " + to_string(worker.id()));
    worker.kill();
    world_.after(world_.between(0ms, 2s), [&worker] {
      if (!worker.alive()) worker.start();
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
    world_.after(world_.between(1s, 3s), [&dispatcher] {
      dispatcher.kill();
      dispatcher.start();
    });
  });
  some_times(scenario_.doubles, [this] { add_double(); });
}

void Cluster::plan_stalls() {
  some_times(scenario_.stalls, [this] {
    const Duration length = world_.rng.chance(0.5) ? world_.between(100ms, 2s) : world_.between(12s, 30s);
    if (world_.rng.chance(0.5)) {
      trail("fault", "worker stands still"), any(workers_).stall(length);
    } else {
      trail("fault", "dispatcher stands still"), any(dispatchers_).stall(length);
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
}

void Cluster::plan_store_faults() {
  some_times(scenario_.process_crashes, [this] { crash_process(); });
  if (scenario_.mode == core::Mode::Local) return;  // store and dispatcher are one process
  some_times(scenario_.store_restarts, [this] { restart_store(); });
  some_times(scenario_.flushes, [this] { flush_store(); });
}

// kill -9 of the process that owns the store: what had no durable ticket is gone, and so are all roles that it hosted.
void Cluster::crash_process() {
  trail("fault", "the process that owns the store crashes");
  ++verdict_.tally["crashes"];
  keep_counters();
  for (auto& dispatcher : dispatchers_) dispatcher->kill();
  if (scenario_.mode == core::Mode::Local) workers_[0]->kill();
  store_->crash();
  law_.crashed();
  world_.after(world_.between(10ms, 500ms), [this] {
    for (auto& dispatcher : dispatchers_) {
      if (!dispatcher->alive()) dispatcher->start();
    }
    if (scenario_.mode == core::Mode::Local && !workers_[0]->alive()) workers_[0]->start();
  });
}

// The store begins anew, without sessions and claims, and the dispatchers live on: they say again what they hold.
void Cluster::restart_store() {
  trail("fault", "the store begins anew under its dispatchers");
  ++verdict_.tally["store_restarts"];
  keep_counters();
  store_->crash();
  law_.crashed();
}

// FLUSHALL: nothing is left, not even functions. What was accepted before is lost, as documented; what comes after the
// functions are registered again is not.
void Cluster::flush_store() {
  trail("fault", "the store loses everything");
  ++verdict_.tally["flushes"];
  keep_counters();
  for (auto& [id, client] : clients_) client.flushed = true;
  flushed_stores_.push_back(std::move(store_));
  make_store();
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
  network_.set({});
  for (auto& dispatcher : dispatchers_) dispatcher->set({});
  for (auto& node : doubles_) node->kill();
}

}  // namespace treadle::sim

#include "cluster.h"

#include <algorithm>
#include <cstdio>

#include "base/assert.h"
#include "core/failure_object.h"

namespace treadle::sim {
namespace {

constexpr Duration kLivenessBound = 90s;  // after the faults: a session's and a worker's end, time limits, retries
constexpr Duration kTimeLimit = 2s;
constexpr Duration kCommitEvery = 300us;  // of the simulated disk
constexpr Duration kLookEvery = 100ms;

std::string summary(const core::DispatcherMessage& m) {
  const auto n = [](auto value) { return std::to_string(value); };
  return "seq=" + n(m.seq) + " ack=" + n(m.ack) + " attempts=" + n(m.attempts.size()) +
         " settled=" + n(m.settled.size()) + " revokes=" + n(m.revokes.size()) + " functions=" + n(m.functions.size()) +
         (m.registered ? " registered" : "") + (m.reregister ? " reregister" : "") + (m.ping ? " ping" : "");
}

std::string summary(const core::WorkerMessage& m) {
  const auto n = [](auto value) { return std::to_string(value); };
  return "seq=" + n(m.seq) + " ack=" + n(m.ack) + " free=" + n(m.free_slots) + " prefetch=" + n(m.prefetch) +
         " held=" + n(m.held.size()) + " started=" + n(m.started.size()) + " outcomes=" + n(m.outcomes.size()) +
         " given_back=" + n(m.given_back.size()) + " wants=" + n(m.wants.size()) + (m.registers ? " registers" : "") +
         (m.names_held ? " names_held" : "");
}

}  // namespace

Cluster::Cluster(std::uint64_t seed, bool print_trail)
    : seed_(seed),
      print_(print_trail),
      world_(seed),
      scenario_(Scenario::of(seed)),
      network_(world_, scenario_.mode == core::Mode::Local) {
  if (print_) std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), scenario_.describe().c_str());
}

void Cluster::violation(const std::string& text) {
  if (verdict_.violations.size() < 20)
    verdict_.violations.push_back("at " + std::to_string(world_.now().ns / 1'000'000) + " ms: " + text);
}

void Cluster::trail(const std::string& who, const std::string& text) {
  if (print_) std::printf("%10.3f ms %s: %s\n", static_cast<double>(world_.now().ns) / 1e6, who.c_str(), text.c_str());
}

void Cluster::build() {
  store_ = std::make_unique<store::MemoryStore>(
      world_,
      [](core::ErrorKind kind, TaskId task, const std::string& worker, const std::string& text) {
        return core::worker_failure_object(task, worker, std::string(core::name_of(kind)) + ": " + text);
      },
      store::MemoryOptions{.manual_commit = true});
  for (const bool at_most_once : {false, true}) {
    core::Function function;
    function.id = FunctionId(Uuid{3, at_most_once});
    function.name = "f";
    function.digest.words[0] = 1 + at_most_once;
    function.body.bytes = Buffer::of("body");
    function.options.delivery = at_most_once ? core::Delivery::AtMostOnce : core::Delivery::AtLeastOnce;
    function_[at_most_once] = function.id;
    store_->put_function(std::move(function), [](Result<FunctionId> answer) { TREADLE_ASSERT(answer.has_value()); });
  }
  for (int i = 0; i < scenario_.dispatchers; ++i) {
    core::DispatcherConfig config{
        .mode = scenario_.mode, .session = SessionId(Uuid{1, 1}), .name = "d" + std::to_string(i)};
    if (scenario_.may_hang) config.time_limit = kTimeLimit;
    dispatchers_.push_back(
        std::make_unique<DispatcherNode>(world_, *store_, config, [this](WorkerId id, core::DispatcherMessage message) {
          const int number = static_cast<int>(id.lo);
          trail("to worker " + std::to_string(number), summary(message));
          network_.carry<core::DispatcherMessage>(number, std::move(message),
                                                  [this, number](core::DispatcherMessage m) {
                                                    workers_[static_cast<std::size_t>(number)]->deliver(std::move(m));
                                                  });
        }));
    dispatchers_.back()->on_note = [this, i](const std::string& text) {
      trail("dispatcher " + std::to_string(i), text);
    };
    dispatchers_.back()->set(scenario_.store);
  }
  store_->on_work([this] {
    for (auto& dispatcher : dispatchers_) dispatcher->hint();
  });
  for (int i = 0; i < scenario_.workers; ++i) {
    workers_.push_back(std::make_unique<WorkerNode>(
        world_, log_, WorkerId(Uuid{2, static_cast<std::uint64_t>(i)}), scenario_.mode, scenario_.slots,
        scenario_.may_hang, [this, i](core::WorkerMessage message) {
          trail("from worker " + std::to_string(i), summary(message));
          DispatcherNode& to = *dispatchers_[static_cast<std::size_t>(i % scenario_.dispatchers)];
          network_.carry<core::WorkerMessage>(i, std::move(message),
                                              [&to](core::WorkerMessage m) { to.deliver(std::move(m)); });
        }));
    workers_.back()->on_note = [this, i](const std::string& text) { trail("worker " + std::to_string(i), text); };
  }
  network_.set(scenario_.network);
}

// ---- clients ----

void Cluster::submit(int number) {
  store::Submission submission;
  submission.id = TaskId(Uuid{world_.rng.next(), world_.rng.next()});
  const bool at_most_once = scenario_.at_most_once && number % 5 == 0;
  submission.function = function_[at_most_once];
  submission.options.delivery = at_most_once ? core::Delivery::AtMostOnce : core::Delivery::AtLeastOnce;
  submission.args.bytes = Buffer::of("args");
  const TaskId id = submission.id;
  clients_[id].at_most_once = at_most_once;
  std::vector<store::Submission> batch;
  batch.push_back(std::move(submission));
  store_->submit(std::move(batch), [this, id](Result<std::vector<Result<store::SubmitAnswer>>> answer) {
    if (answer && (*answer)[0]) clients_[id].accepted = true;
  });
}

// What any reader may see: states move only forward to a terminal one, and a terminal answer never changes.
void Cluster::look_at(std::vector<TaskId> tasks) {
  auto order = tasks;
  store_->get(std::move(tasks), true, [this, order = std::move(order)](std::vector<Result<store::TaskView>> views) {
    for (std::size_t i = 0; i < order.size(); ++i) {
      Client& client = clients_[order[i]];
      if (!views[i]) {
        if (client.accepted)
          violation("accepted task " + to_string(order[i]) + " is lost: " + views[i].error().message);
        continue;
      }
      const store::TaskView& view = *views[i];
      if (core::is_terminal(client.seen)) {
        const bool same =
            view.state == client.seen && view.result.bytes.view() == client.result && view.error_kind == client.kind;
        if (!same) violation("terminal task " + to_string(order[i]) + " changed its answer");
      } else if (core::is_terminal(view.state)) {
        client.result = view.result.bytes.view();
        client.kind = view.error_kind;
      }
      client.seen = view.state;
    }
  });
}

void Cluster::cancel_some() {
  int left = scenario_.cancels;
  for (auto& [id, client] : clients_) {
    if (!client.accepted || core::is_terminal(client.seen) || left == 0) continue;
    --left;
    client.cancel_asked = true;
    store_->cancel(id, "the client wants it", [this](Result<store::CancelAnswer> answer) {
      if (answer && *answer != store::CancelAnswer::Missing) ++verdict_.cancelled;
    });
  }
}

std::size_t Cluster::unfinished() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      clients_, [](const auto& c) { return c.second.accepted && !core::is_terminal(c.second.seen); }));
}

// ---- faults ----

void Cluster::plan_faults() {
  const auto some_time = [this] { return world_.now() + world_.between(200ms, scenario_.faults_end - 500ms); };
  const auto any = [this](auto& list) -> auto& { return *list[world_.rng.below(list.size())]; };
  for (int i = 0; i < scenario_.worker_kills; ++i) {
    world_.at(some_time(), [this, &worker = any(workers_)] {
      trail("fault", "kill -9 of worker " + to_string(worker.id()));
      worker.kill();
      world_.after(world_.between(0ms, 2s), [&worker] {
        if (!worker.alive()) worker.start();
      });
    });
  }
  for (int i = 0; i < scenario_.dispatcher_kills; ++i) {
    world_.at(some_time(), [this, &dispatcher = any(dispatchers_)] {
      trail("fault", "dispatcher dies within its next 20 effects");
      if (dispatcher.alive()) dispatcher.die_at_effect(1 + world_.rng.below(20));
      world_.after(world_.between(1s, 3s), [&dispatcher] {
        dispatcher.kill();
        dispatcher.start();
      });
    });
  }
  for (int i = 0; i < scenario_.process_crashes; ++i) world_.at(some_time(), [this] { crash_process(); });
  for (int i = 0; i < scenario_.stalls; ++i) {
    const Duration length = world_.rng.chance(0.5) ? world_.between(100ms, 2s) : world_.between(12s, 30s);
    if (world_.rng.chance(0.5)) {
      world_.at(some_time(), [this, length, &worker = any(workers_)] {
        trail("fault", "worker stands still"), worker.stall(length);
      });
    } else {
      world_.at(some_time(), [this, length, &dispatcher = any(dispatchers_)] {
        trail("fault", "dispatcher stands still"), dispatcher.stall(length);
      });
    }
  }
  for (int i = 0; i < scenario_.partitions; ++i) {
    const int number = static_cast<int>(world_.rng.below(workers_.size()));
    world_.at(some_time(), [this, number] {
      trail("fault", "worker " + std::to_string(number) + " is cut off");
      network_.cut(number);
      world_.after(world_.between(1s, 15s), [this, number] { network_.heal(number); });
    });
  }
  if (scenario_.cancels > 0) world_.at(some_time(), [this] { cancel_some(); });
  world_.after(scenario_.faults_end, [this] {
    trail("faults", "end");
    network_.set({});
    for (auto& dispatcher : dispatchers_) dispatcher->set({});
  });
}

// kill -9 of the process that owns the store: what had no durable ticket is gone, and so are all roles that it hosted.
void Cluster::crash_process() {
  trail("fault", "the process that owns the store crashes");
  ++verdict_.crashes;
  for (auto& dispatcher : dispatchers_) dispatcher->kill();
  if (scenario_.mode == core::Mode::Local) workers_[0]->kill();
  store_->crash();
  world_.after(world_.between(10ms, 500ms), [this] {
    for (auto& dispatcher : dispatchers_) {
      if (!dispatcher->alive()) dispatcher->start();
    }
    if (scenario_.mode == core::Mode::Local && !workers_[0]->alive()) workers_[0]->start();
  });
}

// The simulated disk: every so often all that was written becomes durable.
void Cluster::pump_store() {
  store_->turn(world_.now());
  store_->commit_all();
  store_->turn(world_.now());
  world_.after(world_.between(kCommitEvery / 3, kCommitEvery * 2), [this] { pump_store(); });
}

// ---- checkers ----

void Cluster::check_now() {
  for (auto& worker : workers_) {
    if (!worker->alive()) continue;
    if (worker->executors().running() > worker->slots()) violation("more tasks run than there are slots");
  }
  if (scenario_.process_crashes > 0)
    return;  // a store that crashed may use a number again, and starts are told apart by it
  for (const auto& [token, starts] : log_.starts_of_token) {
    if (starts > 1)
      violation("token " + std::to_string(token.value) + " was started " + std::to_string(starts) + " times");
  }
}

void Cluster::check_end() {
  for (const auto& [id, client] : clients_) {
    if (client.accepted) judge(id, client);
  }
}

// Does the end of a task fit what its function does?
void Cluster::judge(TaskId id, const Client& client) {
  const auto name = [&] { return to_string(id) + " (" + std::string(core::name_of(client.kind)) + ")"; };
  if (!core::is_terminal(client.seen)) return violation("task " + name() + " never ended");
  const auto runs = log_.tasks.find(id);
  const std::uint32_t starts = runs == log_.tasks.end() ? 0 : runs->second.starts;
  if (client.at_most_once && starts > 1)
    violation("at-most-once task " + name() + " was started " + std::to_string(starts) + " times");
  const Plan plan = plan_of(id, scenario_.may_hang);
  if (client.seen == core::TaskState::Completed) {
    if (plan.behaviour != Behaviour::Return)
      violation("task " + name() + " completed though its function never returns");
    if (client.result != result_of(id)) violation("task " + name() + " has another task's result");
    if (starts == 0) violation("task " + name() + " completed and never ran");
    return;
  }
  using enum core::ErrorKind;
  const auto is_one_of = [&](std::initializer_list<core::ErrorKind> kinds) {
    return std::ranges::find(kinds, client.kind) != kinds.end();
  };
  if (client.kind == Cancelled && client.cancel_asked) return;
  if (client.kind == WorkerLost && (client.at_most_once || starts > 1 || scenario_.process_crashes > 0)) return;
  // A worker that stood still past the limit may find it passed, or the dispatcher's backstop may.
  if (client.kind == Timeout && scenario_.may_hang && scenario_.stalls > 0) return;
  const bool fits = (plan.behaviour == Behaviour::Raise && is_one_of({FunctionFailed})) ||
                    (plan.behaviour == Behaviour::KillExecutor && is_one_of({Crashed, PoisonTask, WorkerLost})) ||
                    (plan.behaviour == Behaviour::Hang && is_one_of({Timeout, PoisonTask, WorkerLost})) ||
                    (client.at_most_once && is_one_of({Crashed, WorkerLost}));
  if (!fits) violation("task " + name() + " failed, and its function gives no reason for it");
}

Verdict Cluster::run() {
  build();
  pump_store();
  for (int i = 0; i < scenario_.tasks; ++i)
    world_.after(world_.between(0ms, scenario_.faults_end - 1s), [this, i] { submit(i); });
  plan_faults();
  const Instant faults_end = world_.now() + scenario_.faults_end;
  const Instant give_up = faults_end + kLivenessBound;
  Instant next_look = world_.now();
  while (world_.step() && world_.now() < give_up) {
    if (world_.now() < next_look) continue;
    next_look = world_.now() + kLookEvery;
    std::vector<TaskId> open;
    for (const auto& [id, client] : clients_) {
      if (client.accepted) open.push_back(id);
    }
    look_at(std::move(open));
    check_now();
    if (world_.now() > faults_end && unfinished() == 0) break;
    if (!verdict_.violations.empty()) break;
  }
  verdict_.longest_after_faults = std::max(Duration{0}, world_.now() - faults_end);
  if (verdict_.violations.empty()) check_end();
  verdict_.events = world_.events;
  verdict_.starts = log_.starts;
  verdict_.messages_dropped = network_.dropped;
  for (const auto& [id, client] : clients_) {
    verdict_.accepted += client.accepted;
    verdict_.completed += client.seen == core::TaskState::Completed;
    verdict_.failed += client.seen == core::TaskState::Failed;
  }
  for (const auto& d : dispatchers_) {
    verdict_.answers_lost += d->answers_lost;
    verdict_.claims_replayed += d->claims_replayed;
    verdict_.dispatcher_deaths += d->deaths;
  }
  for (const auto& w : workers_) {
    verdict_.worker_deaths += w->deaths;
    verdict_.held_at_death += w->held_at_death;
    verdict_.recalled += w->recalled + (w->alive() ? w->executors().recalled() : 0);
  }
  const store::Counters counters = store_->counters();
  verdict_.requeued = counters.requeued;
  verdict_.stale = counters.stale;
  verdict_.adopted = counters.adopted;
  verdict_.reaped = counters.reaped;
  return verdict_;
}

}  // namespace treadle::sim

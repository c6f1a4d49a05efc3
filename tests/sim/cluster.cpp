#include "cluster.h"

#include <algorithm>
#include <cstdio>

#include "base/assert.h"
#include "core/failure_object.h"

namespace treadle::sim {
namespace {

constexpr Duration kLivenessBound = 90s;  // after the faults: a session's and a worker's end, time limits, retries
constexpr Duration kTimeLimit = 2s;
constexpr Duration kCommitLeast = 100us, kCommitMost = 600us;  // of the simulated disk
constexpr Duration kLookEvery = 100ms;
constexpr std::uint64_t kEventsAtOnce = 100'000;  // without any time passing: something wakes itself for ever
constexpr int kPlainNumbers = 100;                // plain clients are numbered from here

core::Held named(const core::Held& attempt) { return attempt; }
core::Held named(const core::Attempt& attempt) { return {attempt.task, attempt.token}; }
core::Held named(const core::Revoke& revoke) { return revoke.attempt; }
core::Held named(const core::OutcomeReport& report) { return report.attempt; }
core::Held named(const core::GivenBack& given) { return given.attempt; }

// " attempts=2(7a86519d,38c88887)"; nothing if there are none.
template <class List>
std::string some(const char* what, const List& list) {
  if (list.empty()) return "";
  std::string text;
  for (const auto& item : list) text += (text.empty() ? "" : ",") + to_string(named(item).task).substr(0, 8);
  return std::string(" ") + what + "=" + std::to_string(list.size()) + "(" + text + ")";
}

std::string summary(const core::DispatcherMessage& m) {
  return "seq=" + std::to_string(m.seq) + " ack=" + std::to_string(m.ack) + some("attempts", m.attempts) +
         some("settled", m.settled) + some("revokes", m.revokes) +
         (m.functions.empty() ? "" : " functions=" + std::to_string(m.functions.size())) +
         (m.registered ? " registered" : "") + (m.reregister ? " reregister" : "") + (m.ping ? " ping" : "");
}

std::string summary(const core::WorkerMessage& m) {
  return "seq=" + std::to_string(m.seq) + " ack=" + std::to_string(m.ack) + " free=" + std::to_string(m.free_slots) +
         " prefetch=" + std::to_string(m.prefetch) + some("held", m.held) + some("started", m.started) +
         some("outcomes", m.outcomes) + some("given_back", m.given_back) +
         (m.wants.empty() ? "" : " wants=" + std::to_string(m.wants.size())) + (m.registers ? " registers" : "") +
         (m.names_held ? " names_held" : "") + (m.asks ? " asks" : "");
}

}  // namespace

Cluster::Cluster(std::uint64_t seed, Scenario scenario, bool print_trail)
    : seed_(seed),
      print_(print_trail),
      world_(seed),
      scenario_(scenario),
      network_(world_, scenario_.mode == core::Mode::Local),
      law_(world_, [this](const std::string& text) { violation("store_law", text); }),
      liar_(world_) {
  if (print_) std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), scenario_.describe().c_str());
}

void Cluster::violation(const char* checker, const std::string& text) {
  if (verdict_.violations.size() < 20)
    verdict_.violations.push_back("at " + std::to_string(world_.now().ns / 1'000'000) + " ms: [" + checker + "] " +
                                  text);
}

void Cluster::trail(const std::string& who, const std::string& text) {
  if (print_) std::printf("%10.3f ms %s: %s\n", static_cast<double>(world_.now().ns) / 1e6, who.c_str(), text.c_str());
}

// ---- the parts ----

void Cluster::make_store() {
  store_ = std::make_unique<store::MemoryStore>(
      world_,
      [](core::ErrorKind kind, TaskId task, const std::string& worker, const std::string& text) {
        return core::worker_failure_object(task, worker, std::string(core::name_of(kind)) + ": " + text);
      },
      store::MemoryOptions{.manual_commit = true});
  const auto lost = [this] {
    const bool lost = faults_on_ && world_.rng.chance(scenario_.hint_loss);
    verdict_.tally["hints_lost"] += lost ? 1 : 0;
    return lost;
  };
  store_->on_work([this, lost] {
    if (lost()) return;
    for (auto& dispatcher : dispatchers_) dispatcher->hint();
  });
  store_->on_revoke([this, lost](std::vector<core::Held> attempts) {
    if (lost()) return;
    law_.hinted(attempts);
    for (auto& dispatcher : dispatchers_) dispatcher->hint(attempts);
  });
}

void Cluster::put_functions() {
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
}

void Cluster::add_dispatcher(int number) {
  core::DispatcherConfig config{
      .mode = scenario_.mode, .session = SessionId(Uuid{1, 1}), .name = "d" + std::to_string(number)};
  if (scenario_.may_hang) config.time_limit = kTimeLimit;
  dispatchers_.push_back(std::make_unique<DispatcherNode>(
      world_, law_, config, [this, number](WorkerId id, core::DispatcherMessage message) {
        to_worker(number, static_cast<int>(id.lo), std::move(message));
      }));
  DispatcherNode& node = *dispatchers_.back();
  if (print_)
    node.on_note = [this, number](const std::string& text) { trail("dispatcher " + std::to_string(number), text); };
  node.on_violation = [this](const std::string& text) { violation("durable_first", text); };
  node.on_start = [this, number, &node] {
    std::erase_if(asked_, [number](const auto& request) { return request.first == number; });
    for (auto& plain : plains_) {  // their connections end with the dispatcher that was there before
      if (&dispatcher_of(static_cast<int>(plain->id().lo)) == &node) plain->dispatcher_began();
    }
  };
  node.set(scenario_.store);
  node.reaps_are_late(scenario_.stalls > 0);
}

// To the life of the worker id that the dispatcher heard last; a connection that was left carries nothing any more.
void Cluster::to_worker(int dispatcher, int number, core::DispatcherMessage message) {
  if (!may_reply(dispatcher, number)) return;
  if (print_)
    trail("dispatcher " + std::to_string(dispatcher) + " to worker " + std::to_string(number), summary(message));
  if (number >= kPlainNumbers) return to_plain(number, std::move(message));
  if (scenario_.liars > 0 && number == 0) liar_.hear(message);
  network_.carry<core::DispatcherMessage>(
      Way::ToWorker, number, std::move(message),
      [this, dispatcher, number, route = route_[{dispatcher, number}]](core::DispatcherMessage m) {
        if (attached_.at(number) != dispatcher || route.node->life() != route.life)
          return void(++verdict_.tally["lost_with_a_connection"]);
        const bool leaves = !m.attempts.empty() && leaves_.erase(number) > 0;
        route.node->deliver(std::move(m));
        if (leaves) move_worker(number);
      });
}

// PULL: a REQ socket takes one reply for one request; the link has no way to say more.
bool Cluster::may_reply(int dispatcher, int number) {
  if (scenario_.mode != core::Mode::Pull || asked_.erase({dispatcher, number}) > 0) return true;
  ++verdict_.tally["replies_unasked"];
  return false;
}

void Cluster::to_plain(int number, core::DispatcherMessage message) {
  network_.carry_surely<core::DispatcherMessage>(
      Way::ToWorker, number, std::move(message),
      [this, number, connection = heard_[number]](core::DispatcherMessage m) {
        PlainNode& node = *plains_[static_cast<std::size_t>(number - kPlainNumbers)];
        if (node.connection() == connection) node.deliver(std::move(m));
      });
}

void Cluster::from_worker(int number, WorkerNode* node, core::WorkerMessage message) {
  const int dispatcher = attached_.at(number);
  const Route route{node, node->life()};
  const auto carry = [this, number, route, dispatcher](core::WorkerMessage m) {
    if (print_) trail("from worker " + std::to_string(number), summary(m));
    network_.carry<core::WorkerMessage>(
        Way::FromWorker, number, std::move(m), [this, number, route, dispatcher](core::WorkerMessage arrived) {
          if (attached_.at(number) != dispatcher && world_.rng.chance(0.5))
            return void(++verdict_.tally["lost_with_a_connection"]);
          dispatchers_[static_cast<std::size_t>(dispatcher)]->deliver(std::move(arrived), [=, this] {
            route_[{dispatcher, number}] = route;
            asked_.insert({dispatcher, number});
          });
        });
  };
  if (scenario_.liars > 0 && number == 0 && faults_on_) {
    if (auto before = liar_.lie(message)) carry(std::move(*before));
  }
  carry(std::move(message));
}

std::unique_ptr<WorkerNode> Cluster::make_worker(int number, std::uint64_t first_boot) {
  const auto self = std::make_shared<WorkerNode*>(nullptr);  // it speaks only after it is made
  auto node = std::make_unique<WorkerNode>(
      world_, log_, WorkerId(Uuid{2, static_cast<std::uint64_t>(number)}), scenario_.mode,
      static_cast<std::uint32_t>(scenario_.slots), habits(),
      [this, number, self](core::WorkerMessage message) { from_worker(number, *self, std::move(message)); },
      first_boot);
  *self = node.get();
  node->on_note = [this, number](const std::string& text) { trail("worker " + std::to_string(number), text); };
  return node;
}

void Cluster::add_worker(int number) {
  attached_[number] = number % scenario_.dispatchers;
  workers_.push_back(make_worker(number, 0));
  for (int d = 0; d < scenario_.dispatchers; ++d)
    route_[{d, number}] = {workers_.back().get(), workers_.back()->life()};
}

void Cluster::add_plain(int index) {
  const int number = kPlainNumbers + index;
  attached_[number] = number % scenario_.dispatchers;
  plains_.push_back(std::make_unique<PlainNode>(
      world_, log_, WorkerId(Uuid{2, static_cast<std::uint64_t>(number)}), habits(),
      [this, number](core::WorkerMessage message) { plain_speaks(number, std::move(message)); }));
  PlainNode& node = *plains_.back();
  node.on_death = [this, number, &node] {
    dispatcher_of(number).connection_ended(node.id());
    world_.after(world_.between(10ms, 2s), [&node] {
      if (!node.alive()) node.start();
    });
  };
}

// A connection lives as long as the client and the dispatcher that it goes to.
void Cluster::plain_speaks(int number, core::WorkerMessage message) {
  if (print_) trail("from plain client " + std::to_string(number), summary(message));
  const auto index = static_cast<std::size_t>(number - kPlainNumbers);
  // The first words of a node are said while it is being made.
  const std::uint64_t connection = index < plains_.size() && plains_[index] ? plains_[index]->connection() : 1;
  network_.carry_surely<core::WorkerMessage>(
      Way::FromWorker, number, std::move(message),
      [this, number, connection, life = dispatcher_of(number).life()](core::WorkerMessage m) {
        if (dispatcher_of(number).life() != life) return;
        dispatcher_of(number).deliver(std::move(m), [=, this] {
          heard_[number] = connection;
          asked_.insert({attached_.at(number), number});
        });
      });
}

void Cluster::build() {
  make_store();
  law_.stand_before(*store_);
  put_functions();
  log_.on_start = [this](TaskId id, RunLog::By by) { check_start(id, by); };
  for (int i = 0; i < scenario_.gateways; ++i) {
    gateways_.push_back(std::make_unique<GatewayNode>(world_, [this]() -> store::Store& { return *store_; }));
    gateways_.back()->set(scenario_.store);
  }
  for (int i = 0; i < scenario_.dispatchers; ++i) add_dispatcher(i);
  for (int i = 0; i < scenario_.workers; ++i) add_worker(i);
  const bool asked = scenario_.mode == core::Mode::Pull;
  for (int i = 0; asked && i < scenario_.plain; ++i) add_plain(i);
  network_.set(scenario_.network);
}

// ---- the run ----

// The simulated disk: what was written becomes durable together, a moment later.
void Cluster::pump_store() {
  pump_at_ = Instant::never();
  store_->turn(world_.now());
  if (world_.now() >= store_stands_until_) {
    store_->commit_all();
    committed_ = store_->commits();
    store_->turn(world_.now());
  }
}

// After each thing that happens: is there something for the disk, or for the store's own clock?
void Cluster::keep_pumping() {
  Instant due = store_->next_deadline();
  if (law_.was_touched() || store_->commits() != committed_) due = world_.now();
  if (due == Instant::never() ||
      (pump_at_ != Instant::never() && pump_at_ <= std::max(due, world_.now() + kCommitMost)))
    return;
  due = std::max({due, world_.now() + world_.between(kCommitLeast, kCommitMost), store_stands_until_});
  if (due >= pump_at_) return;
  pump_at_ = due;
  world_.at(due, [this, due] {
    if (pump_at_ == due) pump_store();
  });
}

// Time has to pass: else something wakes itself for ever.
bool Cluster::time_passes() {
  if (still_since_ != world_.now()) {
    still_since_ = world_.now();
    events_at_ = world_.events;
  }
  if (world_.events - events_at_ < kEventsAtOnce) return true;
  violation("liveness", "time stands still: something wakes itself for ever");
  return false;
}

bool Cluster::all_is_said(Instant faults_end) const {
  if (!verdict_.violations.empty()) return true;
  return world_.now() > faults_end && world_.now() >= clients_stand_until_ && unfinished() == 0 && all_are_awake();
}

Verdict Cluster::run() {
  build();
  keep_pumping();
  clients_.resize(static_cast<std::size_t>(scenario_.tasks));
  for (std::size_t i = 0; i < clients_.size(); ++i)
    world_.after(world_.between(0ms, scenario_.faults_end - 1s), [this, i] { submit(i); });
  plan_faults();
  const Instant faults_end = world_.now() + scenario_.faults_end;
  const Instant give_up = faults_end + kLivenessBound;
  Instant next_look = world_.now();
  while (world_.step() && world_.now() < give_up) {
    keep_pumping();
    if (!time_passes()) break;
    if (world_.now() < next_look) continue;
    next_look = std::max(world_.now() + kLookEvery, clients_stand_until_);
    look();
    check_now();
    if (all_is_said(faults_end)) break;
  }
  verdict_.longest_after_faults = std::max(Duration{0}, world_.now() - faults_end);
  if (verdict_.violations.empty()) check_end();
  tally();
  return verdict_;
}

// The store's own counters begin anew with it.
void Cluster::keep_counters() {
  const store::Counters counters = store_->counters();
  verdict_.tally["requeued"] += counters.requeued;
  verdict_.tally["stale"] += counters.stale;
  verdict_.tally["duplicate_outcomes"] += counters.duplicate;
  verdict_.tally["adopted"] += counters.adopted;
  verdict_.tally["reaped"] += counters.reaped;
}

void Cluster::tally() {
  keep_counters();
  auto& t = verdict_.tally;
  t["world_steps"] = world_.events;
  t["starts"] = log_.starts;
  t["messages_dropped"] = network_.dropped;
  t["messages_doubled"] = network_.duplicated;
  t["messages_overtaken"] = network_.reordered;
  t["half_open_losses"] = network_.half_open;
  t["lies"] = liar_.lies;
  t["calls_cut_off"] = law_.errors_of_crashes;
  for (const Client& client : clients_) {
    t["accepted"] += client.accepted;
    t["completed"] += client.seen == core::TaskState::Completed;
    t["failed"] += client.seen == core::TaskState::Failed;
  }
  for (const auto& g : gateways_) {
    t["gateway_deaths"] += g->deaths;
    t["gateway_requests_held_up"] += g->requests_held_up;
    t["gateway_calls_replayed"] += g->replays;
    t["gateway_requests_cut_off"] += g->cut_off;
  }
  for (const auto& d : dispatchers_) {
    t["transitions"] += d->transitions;
    t["reaps_late"] += d->reaps_late;
    t["calls_cut"] += d->calls_cut;
    t["calls_late"] += d->calls_late;
    t["calls_refused"] += d->calls_refused;
    t["dispatcher_stalls_midway"] += d->stalls_midway;
    t["answers_lost"] += d->answers_lost;
    t["answers_late"] += d->answers_late;
    t["claims_replayed"] += d->claims_replayed;
    t["dispatcher_deaths"] += d->deaths;
    t["dispatcher_stalls"] += d->stalls;
  }
  for (const auto* list : {&workers_, &doubles_}) {
    for (const auto& w : *list) {
      t["worker_deaths"] += w->deaths;
      t["worker_stalls"] += w->stalls;
      t["held_at_death"] += w->held_at_death;
      t["recalled"] += w->recalled + (w->alive() ? w->executors().recalled() : 0);
      t["replies_superseded"] += w->superseded;
      t["reconnects"] += w->reconnects;
      t["transitions"] += w->transitions;
    }
  }
  for (const auto& p : plains_) {
    t["plain_starts"] += p->starts;
    t["plain_deaths"] += p->deaths;
    t["plain_held_at_death"] += p->held_at_death;
  }
}

}  // namespace treadle::sim

// Who asks from outside, and the checkers of what they see.
#include <algorithm>
#include <utility>

#include "cluster.h"

namespace treadle::sim {
namespace {

constexpr int kSubmitTries = 6;
constexpr Duration kLongestDelay = 2s;
constexpr Duration kSettle = 5s;    // of one that has woken: two renewals
constexpr Duration kPatience = 2s;  // of a client that hears nothing
constexpr double kWaits = 0.3;      // of the clients wait for the end
constexpr Duration kLongWait = 1h;
constexpr double kSentTwice = 0.1;  // of the tasks with a key
constexpr std::uint64_t kLookAtEnded = 8;
constexpr std::uint64_t kWakeSlack = 1;  // ms: stored times are whole milliseconds

}  // namespace

void Cluster::submit(std::size_t number) {
  Client& client = clients_[number];
  store::Submission& task = client.task;
  task.id = TaskId(Uuid{world_.rng.next(), world_.rng.next()});
  client.at_most_once = scenario_.at_most_once > 0 && number % (scenario_.at_most_once > 1 ? 2 : 5) == 0;
  task.function = function_[client.at_most_once];
  task.options.delivery = client.at_most_once ? core::Delivery::AtMostOnce : core::Delivery::AtLeastOnce;
  task.args.bytes = Buffer::of("args");
  if (number % 2 == 0) task.idempotency_key = "key " + std::to_string(number);
  if (scenario_.delays && number % 10 == 1) {
    task.delay_ms = world_.between(10ms, kLongestDelay) / 1ms;
    ++verdict_.tally["delayed"];
  }
  client.not_before = world_.now() + std::chrono::milliseconds(task.delay_ms);
  send(number, kSubmitTries);
  if (task.idempotency_key.empty() || !world_.rng.chance(kSentTwice)) return;
  ++verdict_.tally["submits_doubled"];
  send(number, kSubmitTries);
}

// A client that heard nothing sends again, through whichever gateway: the same task, or another with the same key. One
// task comes of it, and one end.
void Cluster::send(std::size_t number, int tries) {
  store::Submission task = clients_[number].task;
  if (!task.idempotency_key.empty()) task.id = TaskId(Uuid{world_.rng.next(), world_.rng.next()});
  client_of_[task.id] = number;
  const auto over = std::make_shared<bool>(false);
  any(gateways_).submit(std::move(task), [this, number, tries, over](Result<store::SubmitAnswer> answer) {
    if (std::exchange(*over, true)) return;
    if (!answer) return send_again(number, tries - 1);
    accept(clients_[number], *answer);
  });
  world_.after(kPatience, [this, number, tries, over] {
    if (!std::exchange(*over, true)) send_again(number, tries - 1);
  });
}

void Cluster::send_again(std::size_t number, int tries) {
  if (tries == 0 || clients_[number].accepted) return;
  ++verdict_.tally["submits_repeated"];
  world_.after(world_.between(20ms, 200ms), [this, number, tries] { send(number, tries); });
}

void Cluster::accept(Client& client, const store::SubmitAnswer& answer) {
  verdict_.tally["submits_known"] += answer.duplicate ? 1 : 0;
  if (client.accepted && !client.flushed && client.task.id != answer.id)
    violation("idempotency",
              "one key was answered with two tasks: " + to_string(client.task.id) + " and " + to_string(answer.id));
  const bool first = !std::exchange(client.accepted, true);
  client.task.id = answer.id;
  if (first && world_.rng.chance(kWaits)) wait_for(client);
}

// Who waits is told of the end, in the words that every reader finds; a store that crashes cuts the waiters off.
void Cluster::wait_for(Client& client) {
  if (client.flushed) return;
  client.waits = true;
  const std::size_t number = client_of_.at(client.task.id);
  store_->wait(client.task.id, world_.now() + kLongWait, [this, number](Result<store::TaskView> view) {
    Client& told = clients_[number];
    if (told.flushed) return;
    told.waits = false;
    ++verdict_.tally["waits_answered"];
    if (view && !core::is_terminal(view->state))
      return violation("waiter", "who waits was told of task " + to_string(told.task.id) + " before its end");
    see(told, view);
  });
}

void Cluster::waiters_are_cut_off() {
  for (Client& client : clients_) {
    if (!std::exchange(client.waits, false)) continue;
    ++verdict_.tally["waits_cut_off"];
    world_.after(world_.between(20ms, 1s), [this, &client] { wait_for(client); });
  }
}

void Cluster::look() {
  std::vector<TaskId> ids;
  const bool at_all = ++looks_ % kLookAtEnded == 0;  // an end is for good: that is looked at less often
  for (const Client& client : clients_) {
    if (client.accepted && !client.flushed && (at_all || !core::is_terminal(client.seen)))
      ids.push_back(client.task.id);
  }
  auto order = ids;
  store_->get(std::move(ids), true, [this, order = std::move(order)](std::vector<Result<store::TaskView>> views) {
    for (std::size_t i = 0; i < order.size(); ++i) see(clients_[client_of_.at(order[i])], views[i]);
  });
}

// What any reader may see: states move only forward to a terminal one, and a terminal answer never changes.
void Cluster::see(Client& client, const Result<store::TaskView>& found) {
  const std::string name = "task " + to_string(client.task.id);
  if (!found) return violation("reader", "accepted " + name + " is lost: " + found.error().message);
  const store::TaskView& view = *found;
  if (core::is_terminal(client.seen)) {
    const bool same =
        view.state == client.seen && view.result.bytes.view() == client.result && view.error_kind == client.kind;
    if (!same) violation("reader", "terminal " + name + " changed its answer");
  } else if (core::is_terminal(view.state)) {
    client.result = view.result.bytes.view();
    client.kind = view.error_kind;
  }
  client.seen = view.state;
}

void Cluster::cancel_some() {
  const auto from = static_cast<std::size_t>(world_.rng.below(clients_.size()));
  int left = scenario_.cancels;
  for (std::size_t i = 0; i < clients_.size() && left > 0; ++i) {
    Client& client = clients_[(from + i) % clients_.size()];
    if (!client.accepted || client.flushed || core::is_terminal(client.seen)) continue;
    --left;
    cancel(client);
  }
}

void Cluster::cancel(Client& client) {
  client.cancel_asked = true;
  const TaskId id = client.task.id;
  any(gateways_).cancel(id, [this, id](Result<store::CancelAnswer> answer) {
    if (!answer || *answer == store::CancelAnswer::Missing) return;
    ++verdict_.tally["cancelled"];
    if (*answer == store::CancelAnswer::Requested) law_.cancel_was_promised(id);
  });
}

std::size_t Cluster::unfinished() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      clients_, [](const auto& c) { return c.accepted && !c.flushed && !core::is_terminal(c.seen); }));
}

// ---- checkers ----

void Cluster::check_now() {
  for (const auto* list : {&workers_, &doubles_}) {
    for (const auto& worker : *list) {
      if (worker->alive() && worker->executors().running() > worker->slots())
        violation("slots", "more tasks run than there are slots");
    }
  }
  if (store_->terminal_twice() > 0) violation("terminal_twice", "an end was written over another end");
  // A store that crashed may use a number again, and starts are told apart by it.
  if (scenario_.process_crashes + scenario_.store_restarts > 0) return;
  for (const auto& [token, starts] : log_.starts_of_token) {
    if (starts > 1)
      violation("starts", "token " + std::to_string(token.value) + " was started " + std::to_string(starts) + " times");
  }
}

void Cluster::check_start(TaskId id, RunLog::By by) {
  const auto it = client_of_.find(id);
  if (it == client_of_.end() || clients_[it->second].flushed) return;
  Client& client = clients_[it->second];
  if (client.runs && *client.runs != id)
    violation("idempotency", "two tasks of one key ran: " + to_string(*client.runs) + " and " + to_string(id));
  client.runs = id;
  const bool store_forgot = scenario_.process_crashes + scenario_.store_restarts > 0;
  // A second program of the same name takes the attempts of the first one at once, which cannot know it at once.
  // So does a registration of an earlier life, which a liar repeats.
  const bool known = !store_forgot && scenario_.doubles + scenario_.liars == 0;
  // A plain client cannot tell that a reply is old, of a dispatcher that stood still while it sent it.
  const bool in_time = by == RunLog::By::Supervisor || scenario_.stalls == 0;
  if (client.at_most_once && core::is_terminal(client.seen) && known && in_time)
    violation("at_most_once", "at-most-once task " + to_string(id) + " was started after its end");
  if (world_.now() + std::chrono::milliseconds(kWakeSlack) < client.not_before)
    violation("delay", "task " + to_string(id) + " was started before its time");
}

// Whoever stands still now wakes to another world.
bool Cluster::all_are_awake() const {
  const auto awake = [this](const auto& nodes) {
    return std::ranges::all_of(nodes,
                               [this](const auto& node) { return node->stalled_until() + kSettle <= world_.now(); });
  };
  return awake(dispatchers_) && awake(workers_);
}

void Cluster::check_end() {
  const bool long_after = verdict_.longest_after_faults > kSettle * 2;  // the last one that died is there again, too
  for (const auto& dispatcher : dispatchers_) {
    if (long_after && !law_.is_live(dispatcher->session()))
      violation("session",
                "a dispatcher has no live session long after the faults: " + to_string(dispatcher->session()));
  }
  for (const Client& client : clients_) {
    if (client.accepted && !client.flushed) judge(client);
  }
}

std::string Cluster::what_is_known_of(TaskId id) {
  std::string text;
  store_->story(id, [this, &text](Result<store::TaskStory> story) {
    if (!story) return;
    text = std::string(core::public_name(story->view.state)) + " attempt=" + std::to_string(story->view.attempt) +
           " claimed=" + std::to_string(story->claimed.ms) + " not_before=" + std::to_string(story->not_before.ms) +
           " queued=" + std::to_string(store_->counters().queued) +
           " delayed=" + std::to_string(store_->counters().delayed) + " worker=" + story->worker + " last_error=\"" +
           story->last_error + "\"";
  });
  return text;
}

// Does the end of a task fit what its function does, and what befell the cluster?
void Cluster::judge(const Client& client) {
  const TaskId id = client.task.id;
  const std::string name = "task " + to_string(id) + " (" + std::string(core::name_of(client.kind)) + ")";
  if (!core::is_terminal(client.seen)) return violation("liveness", name + " never ended: " + what_is_known_of(id));
  if (client.waits) violation("waiter", "who waits was not told that " + name + " has ended");
  const auto runs = log_.tasks.find(id);
  const std::uint32_t starts = runs == log_.tasks.end() ? 0 : runs->second.starts;
  const Plan plan = plan_of(id, habits());
  if (client.at_most_once && starts > 1)
    violation("at_most_once", "at-most-once " + name + " was started " + std::to_string(starts) + " times");
  const bool once = plan.behaviour == Behaviour::Return || plan.behaviour == Behaviour::Raise;
  // Who runs in an executor that another one damaged is a suspect, and runs once more.
  if (scenario_.calm() && !scenario_.kill_often && once && starts > 1)
    violation("calm", name + " was started " + std::to_string(starts) + " times, and nothing had happened");
  if (client.seen == core::TaskState::Completed) {
    if (plan.behaviour != Behaviour::Return) violation("ends", name + " completed though its function never returns");
    if (client.result != result_of(id)) violation("ends", name + " has another result than its own");
    if (starts == 0) violation("ends", name + " completed and never ran");
    return;
  }
  if (!fits(client, starts)) violation("ends", name + " failed, and its function gives no reason for it");
}

bool Cluster::fits(const Client& client, std::uint32_t starts) const {
  using enum core::ErrorKind;
  const Behaviour behaviour = plan_of(client.task.id, habits()).behaviour;
  const bool store_forgot = scenario_.process_crashes + scenario_.store_restarts > 0;
  // A worker that stood still past the limit may find it passed, or the dispatcher's backstop may.
  const bool late = scenario_.may_hang && !scenario_.calm();
  switch (client.kind) {
    case Cancelled: return client.cancel_asked;
    case FunctionFailed: return behaviour == Behaviour::Raise;
    case Timeout: return behaviour == Behaviour::Hang || late;
    case PoisonTask: return behaviour == Behaviour::KillExecutor || behaviour == Behaviour::Hang;
    case Crashed: return behaviour == Behaviour::KillExecutor || client.at_most_once;
    case WorkerLost:
      // A plain client dies with the function that kills its process.
      // What was on its way when a worker connected anew is lost with the connection, and may not be sent again.
      if (scenario_.calm() && client.at_most_once && scenario_.moves > 0) return true;
      if (scenario_.calm()) return behaviour == Behaviour::KillExecutor && scenario_.plain > 0;
      return behaviour != Behaviour::Return || client.at_most_once || starts > 1 || store_forgot;
    // The body was asked for while there was none, and the answer came late.
    case DeserializeFailed: return scenario_.flushes > 0;
    default: return false;
  }
}

}  // namespace treadle::sim

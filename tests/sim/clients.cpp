// Who asks from outside, and the checkers of what they see.
#include <algorithm>

#include "cluster.h"

namespace treadle::sim {
namespace {

constexpr int kSubmitTries = 6;
constexpr Duration kLongestDelay = 2s;
constexpr std::uint64_t kWakeSlack = 1;  // ms: stored times are whole milliseconds

}  // namespace

void Cluster::submit(int number) {
  store::Submission submission;
  submission.id = TaskId(Uuid{world_.rng.next(), world_.rng.next()});
  const bool at_most_once = scenario_.at_most_once && number % 5 == 0;
  submission.function = function_[at_most_once];
  submission.options.delivery = at_most_once ? core::Delivery::AtMostOnce : core::Delivery::AtLeastOnce;
  submission.args.bytes = Buffer::of("args");
  if (scenario_.delays && number % 10 == 1) {
    submission.delay_ms = world_.between(10ms, kLongestDelay) / 1ms;
    ++verdict_.tally["delayed"];
  }
  Client& client = clients_[submission.id];
  client.at_most_once = at_most_once;
  client.not_before = world_.now() + std::chrono::milliseconds(submission.delay_ms);
  send(std::move(submission), kSubmitTries);
}

// A client whose answer was lost sends the same task again, through whichever gateway: one task, and one end.
void Cluster::send(store::Submission submission, int tries) {
  const bool lost = tries > 1 && faults_on_ && world_.rng.chance(scenario_.store.lose_answer);
  std::vector<store::Submission> batch{submission};
  store_->submit(std::move(batch), [this, lost, tries, submission = std::move(submission)](
                                       Result<std::vector<Result<store::SubmitAnswer>>> answer) {
    if (answer && (*answer)[0] && !lost) {
      clients_[submission.id].accepted = true;
      return;
    }
    if (tries <= 1) return;
    ++verdict_.tally["submits_repeated"];
    world_.after(world_.between(20ms, 200ms), [this, submission, tries] { send(submission, tries - 1); });
  });
}

void Cluster::look() {
  std::vector<TaskId> ids;
  for (const auto& [id, client] : clients_) {
    if (client.accepted && !client.flushed) ids.push_back(id);
  }
  auto order = ids;
  store_->get(std::move(ids), true, [this, order = std::move(order)](std::vector<Result<store::TaskView>> views) {
    for (std::size_t i = 0; i < order.size(); ++i) see(order[i], clients_[order[i]], views[i]);
  });
}

// What any reader may see: states move only forward to a terminal one, and a terminal answer never changes.
void Cluster::see(TaskId id, Client& client, const Result<store::TaskView>& found) {
  if (!found) return violation("reader", "accepted task " + to_string(id) + " is lost: " + found.error().message);
  const store::TaskView& view = *found;
  if (core::is_terminal(client.seen)) {
    const bool same =
        view.state == client.seen && view.result.bytes.view() == client.result && view.error_kind == client.kind;
    if (!same) violation("reader", "terminal task " + to_string(id) + " changed its answer");
  } else if (core::is_terminal(view.state)) {
    client.result = view.result.bytes.view();
    client.kind = view.error_kind;
  }
  client.seen = view.state;
}

void Cluster::cancel_some() {
  int left = scenario_.cancels;
  for (auto& [id, client] : clients_) {
    if (!client.accepted || client.flushed || core::is_terminal(client.seen) || left == 0) continue;
    --left;
    client.cancel_asked = true;
    store_->cancel(id, "the client wants it", [this, id = id](Result<store::CancelAnswer> answer) {
      if (!answer || *answer == store::CancelAnswer::Missing) return;
      ++verdict_.tally["cancelled"];
      if (*answer == store::CancelAnswer::Requested) law_.cancel_was_promised(id);
    });
  }
}

std::size_t Cluster::unfinished() const {
  return static_cast<std::size_t>(std::ranges::count_if(clients_, [](const auto& c) {
    return c.second.accepted && !c.second.flushed && !core::is_terminal(c.second.seen);
  }));
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

void Cluster::check_start(TaskId id) {
  const auto it = clients_.find(id);
  if (it == clients_.end() || it->second.flushed) return;
  const Client& client = it->second;
  const bool store_forgot = scenario_.process_crashes + scenario_.store_restarts > 0;
  // A second program of the same name takes the attempts of the first one at once, which cannot know it at once.
  const bool known = !store_forgot && scenario_.doubles == 0;
  if (client.at_most_once && core::is_terminal(client.seen) && known)
    violation("at_most_once", "at-most-once task " + to_string(id) + " was started after its end");
  if (world_.now() + std::chrono::milliseconds(kWakeSlack) < client.not_before)
    violation("delay", "task " + to_string(id) + " was started before its time");
}

void Cluster::check_end() {
  for (const auto& [id, client] : clients_) {
    if (client.accepted && !client.flushed) judge(id, client);
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
void Cluster::judge(TaskId id, const Client& client) {
  const std::string name = "task " + to_string(id) + " (" + std::string(core::name_of(client.kind)) + ")";
  if (!core::is_terminal(client.seen)) return violation("liveness", name + " never ended: " + what_is_known_of(id));
  const auto runs = log_.tasks.find(id);
  const std::uint32_t starts = runs == log_.tasks.end() ? 0 : runs->second.starts;
  const Plan plan = plan_of(id, scenario_.may_hang);
  if (client.at_most_once && starts > 1)
    violation("at_most_once", "at-most-once " + name + " was started " + std::to_string(starts) + " times");
  const bool once = plan.behaviour == Behaviour::Return || plan.behaviour == Behaviour::Raise;
  if (scenario_.calm() && once && starts > 1)
    violation("calm", name + " was started " + std::to_string(starts) + " times, and nothing had happened");
  if (client.seen == core::TaskState::Completed) {
    if (plan.behaviour != Behaviour::Return) violation("ends", name + " completed though its function never returns");
    if (client.result != result_of(id)) violation("ends", name + " has another result than its own");
    if (starts == 0) violation("ends", name + " completed and never ran");
    return;
  }
  if (!fits(id, client, starts)) violation("ends", name + " failed, and its function gives no reason for it");
}

bool Cluster::fits(TaskId id, const Client& client, std::uint32_t starts) const {
  using enum core::ErrorKind;
  const Behaviour behaviour = plan_of(id, scenario_.may_hang).behaviour;
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
      if (scenario_.calm()) return behaviour == Behaviour::KillExecutor && scenario_.plain > 0;
      return behaviour != Behaviour::Return || client.at_most_once || starts > 1 || store_forgot;
    default: return false;
  }
}

}  // namespace treadle::sim

#include "gateway/watch.h"

#include <algorithm>
#include <utility>

#include "core/limits.h"

namespace treadle::gateway {
namespace limits = core::limits;

Result<void> Watch::hold(const std::shared_ptr<ManyWait>& request) {
  State& state = *state_;
  if (state.watched + request->ids.size() > limits::kMaxWatched)
    return fail(Code::Full, "Requests wait for " + std::to_string(state.watched) + " tasks already, and " +
                                std::to_string(limits::kMaxWatched) +
                                " is the limit. Ask again later, for fewer tasks, or with \"wait\": 0.");
  state.held.insert(request);
  state.watched += request->ids.size();
  for (const TaskId task : request->ids) {
    const auto [at, fresh] = state.asked.try_emplace(task);
    at->second.push_back(request);
    if (fresh) state.ask(task);
  }
  return {};
}

void Watch::supersede(const ResponseSink* connection) {
  for (const auto& request : state_->held)
    if (request->out.sink() == connection) state_->due.push_back(request);
}

void Watch::expire(Instant now) {
  for (const auto& request : state_->held)
    if (request->deadline <= now || request->out.sink()->gone()) state_->due.push_back(request);
}

void Watch::release_all() {
  state_->due.assign(state_->held.begin(), state_->held.end());
  answer();
}

void Watch::abandon() {
  state_->asked.clear();
  state_->due.clear();
  state_->held.clear();
  state_->watched = 0;
}

bool Watch::answer() {
  const auto due = std::exchange(state_->due, {});
  for (const auto& request : due) {
    if (state_->held.erase(request) == 0) continue;
    state_->detach(request);
    request->finish(request);
  }
  return !due.empty();
}

void Watch::State::detach(const std::shared_ptr<ManyWait>& request) {
  watched -= request->ids.size();
  for (const TaskId task : request->ids) {
    const auto at = asked.find(task);
    if (at != asked.end()) std::erase(at->second, request);
  }
}

// Asks for the longest time there is: requests with shorter patience come and go meanwhile.
void Watch::State::ask(TaskId task) {
  store.wait(task, clock.now() + limits::kMaxWait,
             [self = shared_from_this(), task](Result<store::TaskView> view) { self->hear(task, std::move(view)); });
}

void Watch::State::hear(TaskId task, Result<store::TaskView> view) {
  const auto at = asked.find(task);
  if (at == asked.end()) return;
  if (view && !core::is_terminal(view->state)) {
    if (at->second.empty())
      asked.erase(at);
    else
      ask(task);
    return;
  }
  const auto requests = std::move(at->second);
  asked.erase(at);
  for (const auto& request : requests) {
    if (view)
      request->ended.push_back(*view);
    else if (view.error().code == Code::NotFound)
      request->missing.push_back(task);
    else
      request->error = view.error();
    due.push_back(request);
  }
}

}  // namespace treadle::gateway

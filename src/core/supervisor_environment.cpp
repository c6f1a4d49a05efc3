// Environments of requirements: a task waits for its own without a slot, and nobody else waits for it. One is built at
// a time; one that could not be built fails what waits for it, with the log.
#include <utility>

#include "core/supervisor.h"

namespace treadle::core {
namespace {

constexpr Duration kFailureHolds = 10s;  // then it is tried again, for the next task that needs it

std::string where(const ExecutorKey& key) {
  return "interpreter=" + std::to_string(key.interpreter) + " requirements=" + key.environment;
}

}  // namespace

// What is forgotten is only whether one is there, which its next task finds out.
Supervisor::Environment& Supervisor::environment(const ExecutorKey& key) {
  const auto name = std::make_pair(key.interpreter, key.environment);
  if (const auto known = environments_.find(name); known != environments_.end()) return known->second;
  if (environments_.size() >= limits::kEnvironmentsKnown)
    std::erase_if(environments_, [](const auto& one) { return one.second.state != Environment::State::Wanted; });
  return environments_[name];
}

// True: the attempt waits for its environment, or has ended for the lack of one.
bool Supervisor::awaits_environment(Work& work) {
  if (work.attempt.surroundings.empty()) return false;
  const ExecutorKey key = key_for(work);
  if (key.environment.empty()) return false;
  Environment& one = environment(key);
  if (one.state == Environment::State::Ready) return false;
  if (one.state == Environment::State::Failed && now_ < one.try_at) {
    end_without_environment(work, one);
    return true;
  }
  work.place = Place::NeedsEnvironment;
  ++needing_environment_;
  one.waiting.push_back(work.attempt.token);
  if (one.state == Environment::State::Wanted) return true;
  one.state = Environment::State::Wanted;
  to_build_.push_back(key);
  build_next();
  return true;
}

void Supervisor::build_next() {
  if (building_ || to_build_.empty() || draining_) return;
  building_ = true;
  trail("environment.building", where(to_build_.front()));
  command(command::BuildEnvironment{to_build_.front().interpreter, to_build_.front().environment});
}

void Supervisor::on(event::EnvironmentBuilt& e) {
  if (!building_ || to_build_.empty()) return;
  building_ = false;
  const ExecutorKey key = std::move(to_build_.front());
  to_build_.pop_front();
  Environment& one = environment(key);
  if (e.try_again) {
    to_build_.push_back(key);
  } else if (e.why.empty()) {
    trail("environment.built", where(key) + " log=\"" + e.log + "\"");
    one.state = Environment::State::Ready;
    release_waiting(one);
  } else {
    environment_failed(key, std::move(e.why), std::move(e.log));
  }
  build_next();
}

// Also when it is there and no process comes up in it.
void Supervisor::environment_failed(const ExecutorKey& key, std::string why, std::string log) {
  Environment& one = environment(key);
  trail("environment.failed", where(key) + " why=\"" + why + "\"");
  one.state = Environment::State::Failed;
  one.why = std::move(why);
  one.log = std::move(log);
  one.try_at = now_ + kFailureHolds;
  release_waiting(one);
}

// It was evicted while nobody used it: it is built again when it is needed.
void Supervisor::environment_gone(const ExecutorKey& key) { environment(key).state = Environment::State::Unknown; }

void Supervisor::release_waiting(Environment& one) {
  for (const Token token : std::exchange(one.waiting, {})) {
    Work* work = works_.find(token);
    if (!work || work->place != Place::NeedsEnvironment) continue;
    take_out_of_queue(*work);
    work->waiting_since = now_;
    make_ready(*work, false);
  }
}

void Supervisor::end_without_environment(Work& work, const Environment& one) {
  Outcome outcome = failure(work, ErrorKind::EnvironmentFailed, one.why);
  outcome.output = one.log;
  end(work, std::move(outcome));
}

}  // namespace treadle::core

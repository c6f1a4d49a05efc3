#include "liar.h"

namespace treadle::sim {

using namespace core;

namespace {

constexpr double kOften = 0.2;

}  // namespace

void Liar::hear(const DispatcherMessage& message) {
  for (const Attempt& attempt : message.attempts) tasks_.push_back(attempt.task);
  if (tasks_.size() > kRemembered) tasks_.erase(tasks_.begin(), tasks_.end() - kRemembered);
}

Held Liar::forged() { return {tasks_[world_.rng.below(tasks_.size())], Token{world_.rng.next() | 1}}; }

std::optional<WorkerMessage> Liar::lie(WorkerMessage& message) {
  const auto before = old_;
  if (!old_ || world_.rng.chance(kOften)) old_ = message;
  if (tasks_.empty() || message.registers || !world_.rng.chance(kOften)) return std::nullopt;
  ++lies;
  switch (world_.rng.below(5)) {
    case 0: {
      OutcomeReport report{forged(), {}};
      report.outcome.result.bytes = Buffer::of(kLie);
      message.outcomes.push_back(std::move(report));
      break;
    }
    case 1:
      message.started.push_back(forged());
      if (message.names_held) message.held.push_back(forged());
      break;
    case 2: {
      GivenBack given;
      given.attempt = forged();
      given.why = GiveBack::Killed;
      message.given_back.push_back(std::move(given));
      break;
    }
    case 3: message.free_slots += 3; break;
    default: return before;
  }
  return std::nullopt;
}

}  // namespace treadle::sim

// What is taken back, and what is ended: recalls, time limits, cancel, drain. Before every SIGTERM whatever has not
// begun is recalled, so that the signal can hit nobody but its target.
#include <algorithm>
#include <utility>

#include "core/supervisor.h"

namespace treadle::core {
namespace {

constexpr int kSigterm = 15;
constexpr Duration kKillAgain = 5s;
constexpr Duration kTooManyGrace = 50ms;  // who starts processes without end gets no time to start more

}  // namespace

void Supervisor::recall(Executor& executor, std::size_t count) {
  ++executor.recalls_asked;
  ++counters_.recalls;
  command(command::Recall{executor.no, static_cast<std::uint32_t>(count)});
  settle_place(executor);
}

// At most once for each task in front: what cannot be taken back has begun, and its predecessor's result is on its way.
bool Supervisor::recall_standby(Executor& executor) {
  const bool first = std::exchange(executor.recall_at, Instant::never()) != Instant::never();
  if (!first || executor.pipe.size() < 2) return false;
  recall(executor, executor.pipe.size() - 1);
  return true;
}

void Supervisor::look_at(Executor& executor) {
  if (executor.kill_at <= now_) {
    kill_tree(executor);
    return;
  }
  if (executor.kill != Executor::KillStage::None) return;
  const std::string name = "executor=" + std::to_string(static_cast<std::uint32_t>(executor.no));
  if (executor.state == Executor::State::Starting && executor.start_by <= now_) {
    trail("executor.start_slow", name);
    kill_tree(executor);
    return;
  }
  if (executor.pipe.empty()) {
    if (!executor.awaits_idle || executor.awaits_idle_since + Executor::kIdleAnswer > now_) return;
    trail("executor.stuck", name);
    kill_tree(executor);
    return;
  }
  if (executor.begun == Instant::never()) return;
  if (executor.side_by_side()) return look_beside(executor);
  Work& front = *executor.pipe.front().work;
  const Duration ran = now_ - executor.begun;
  if (!executor.reported && ran >= limits::kStartReportDelay) {
    executor.reported = true;
    started_.push_back(front.attempt.token);
  }
  if (executor.recall_at <= now_) recall_standby(executor);
  if (ran >= limits::kLongTask) executor.reported_long = true;
  if (front.attempt.time_limit > Duration{0} && ran >= front.attempt.time_limit) {
    want_kill(executor, front, KillWhy::TimeLimit);
  } else if (executor.measure_at <= now_) {
    executor.measure_at = Instant::never();  // until it is answered
    command(command::Measure{executor.no, executor.key.allowance.processes > 0});
  }
}

void Supervisor::want_kill(Executor& executor, Work& target, KillWhy why, std::string words) {
  if (executor.kill != Executor::KillStage::None) return;
  if (executor.side_by_side()) return end_beside(executor, target, why, std::move(words));
  executor.kill = Executor::KillStage::Wanted;
  executor.kill_target = &target;
  executor.kill_why = why;
  executor.kill_words = std::move(words);
  executor.kill_at = now_ + config_.kill_grace;
  census_stale_ = true;
  recall(executor, executor.pipe.size());
}

// After each answer to a recall and each result: the target may be done or recalled, which ends the matter; or it is
// the only one left, and surely the one that runs. Else results are on their way, and come first.
void Supervisor::go_on_with_kill(Executor& executor) {
  if (executor.kill != Executor::KillStage::Wanted || executor.recalls_asked > 0) return;
  const bool there = std::any_of(executor.pipe.begin(), executor.pipe.end(),
                                 [&](const auto& piped) { return piped.work == executor.kill_target; });
  if (!there) {
    executor.kill = Executor::KillStage::None;
    executor.kill_target = nullptr;
    executor.kill_at = Instant::never();
    census_stale_ = true;
    watch(executor);
  } else if (executor.pipe.size() == 1) {
    terminate(executor);
  }
}

Duration Supervisor::grace(KillWhy why) const { return why == KillWhy::Processes ? kTooManyGrace : config_.kill_grace; }

void Supervisor::terminate(Executor& executor) {
  if (executor.kill_why != KillWhy::Drain) command(command::DumpStack{executor.no});
  command(command::Signal{executor.no, kSigterm});
  executor.kill = Executor::KillStage::Terminated;
  executor.kill_at = now_ + grace(executor.kill_why);
  watch(executor);
}

void Supervisor::kill_tree(Executor& executor) {
  command(command::Kill{executor.no});
  executor.kill = Executor::KillStage::Killed;
  executor.kill_at = now_ + kKillAgain;
  census_stale_ = true;
  settle_place(executor);
  watch(executor);
}

void Supervisor::drain_waiting() {
  for (Work* work : std::exchange(ready_, {})) give_back(*work, GiveBack::Unstarted);
  std::vector<Work*> lacking;
  works_.each([&](Work& work) {
    if (work.place == Place::NeedsBody || work.place == Place::NeedsEnvironment) lacking.push_back(&work);
  });
  for (Work* work : lacking) {
    take_out_of_queue(*work);
    give_back(*work, GiveBack::Unstarted);
  }
  for (Executor* executor : busy_) {
    if (!executor->side_by_side()) recall(*executor, executor->pipe.size());
  }
}

void Supervisor::kill_for_drain() {
  drain_until_ = Instant::never();
  for (Executor* executor : std::vector<Executor*>(busy_)) {
    const std::size_t running = executor->side_by_side() ? executor->pipe.size() : 1;
    for (std::size_t i = 0; i < running; ++i) want_kill(*executor, *executor->pipe[i].work, KillWhy::Drain);
  }
}

}  // namespace treadle::core

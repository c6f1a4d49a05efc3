// What a task takes while it runs and at its end, against its limits; and what tasks leave behind in an executor.
#include <algorithm>
#include <utility>

#include "core/supervisor.h"

namespace treadle::core {
namespace {

std::string seconds(std::uint64_t us) {
  std::string tenths = std::to_string(us / 100'000);
  if (tenths.size() < 2) tenths.insert(0, "0");
  return tenths.insert(tenths.size() - 1, ".") + " s";
}

std::string cpu_words(const Allowance& allowed, std::uint64_t cpu_us) {
  if (allowed.cpu_ms == 0 || cpu_us <= allowed.cpu_ms * 1000) return {};
  return "it took " + seconds(cpu_us) + " of CPU time, and its cpu_limit is " + seconds(allowed.cpu_ms * 1000);
}

std::string output_words(const Allowance& allowed, std::uint64_t bytes) {
  if (allowed.output_bytes == 0 || bytes <= allowed.output_bytes) return {};
  return "it wrote " + std::to_string(bytes) + " bytes to stdout and stderr, and its output_limit is " +
         std::to_string(allowed.output_bytes);
}

std::string process_words(const Allowance& allowed, std::uint32_t processes) {
  if (allowed.processes == 0 || processes <= allowed.processes) return {};
  return "it had " + std::to_string(processes) + " processes at once, and its process_limit is " +
         std::to_string(allowed.processes);
}

}  // namespace

void Supervisor::on(event::Measured& e) {
  Executor* executor = find(e.no);
  if (!executor) return;
  executor->wear_measured = now_;
  if (std::exchange(executor->wear_asked, false)) check_wear(*executor, e);
  if (executor->watched() && !executor->pipe.empty() && executor->begun != Instant::never())
    check_running(*executor, e);
}

void Supervisor::check_running(Executor& executor, const event::Measured& measured) {
  if (!executor.cpu_base_known) {
    executor.cpu_base_known = true;
    executor.cpu_base_us = measured.cpu_us;
  }
  executor.measure_at = now_ + limits::kMeasureEach;
  watch(executor);
  Work& target = *executor.pipe.front().work;
  if (executor.key.memory_limit > 0 && measured.own_bytes > executor.key.memory_limit)
    return want_kill(executor, target, KillWhy::MemoryLimit);
  const Allowance& allowed = executor.key.allowance;
  std::string words = process_words(allowed, measured.processes);
  if (!words.empty()) return want_kill(executor, target, KillWhy::Processes, std::move(words));
  words = cpu_words(allowed, measured.cpu_us - std::min(measured.cpu_us, executor.cpu_base_us));
  if (words.empty()) words = output_words(allowed, measured.output_bytes);
  if (!words.empty()) want_kill(executor, target, KillWhy::Allowance, std::move(words));
}

// Between two measures a short task may have gone over its limits: it has run, but it does not count as done.
void Supervisor::check_allowance(const Work& work, event::TaskDone& done) {
  if (work.attempt.allowance.empty() || !done.outcome.completed()) return;
  std::string words = cpu_words(work.attempt.allowance, done.outcome.measures.cpu_us);
  if (words.empty()) words = output_words(work.attempt.allowance, done.output_bytes);
  if (words.empty()) return;
  ++counters_.over_limits;
  Outcome outcome = failure(work, ErrorKind::LimitExceeded, std::move(words));
  outcome.output = std::move(done.outcome.output);
  outcome.measures = done.outcome.measures;
  done.outcome = std::move(outcome);
}

bool Supervisor::worn(const Executor& executor) const {
  if (executor.key.isolation == Isolation::Fresh || executor.too_big) return true;
  if (config_.executor_tasks > 0 && executor.tasks_done >= config_.executor_tasks) return true;
  return config_.executor_age > Duration{0} && now_ - executor.born >= config_.executor_age;
}

// Now and then after a task. What the next one holds may be counted with it: then an executor is replaced too early,
// which costs a fork.
void Supervisor::measure_wear(Executor& executor) {
  if (config_.executor_memory == 0 || executor.state != Executor::State::Live) return;
  if (now_ - executor.wear_measured < limits::kMeasureEach) return;
  executor.wear_measured = now_;
  executor.wear_asked = true;
  command(command::Measure{executor.no});
}

void Supervisor::check_wear(Executor& executor, const event::Measured& measured) {
  if (measured.own_bytes <= config_.executor_memory || executor.too_big) return;
  executor.too_big = true;
  trail("executor.too_big", "executor=" + std::to_string(static_cast<std::uint32_t>(executor.no)) +
                                " own_mib=" + std::to_string(measured.own_bytes >> 20));
  const bool at_rest = executor.pipe.empty() && executor.kill == Executor::KillStage::None;
  if (at_rest && executor.state == Executor::State::Live) retire(executor);
}

}  // namespace treadle::core

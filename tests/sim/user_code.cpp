#include "user_code.h"

namespace treadle::sim {

Plan plan_of(TaskId task, Habits habits) {
  const std::uint64_t hash = std::hash<Uuid>{}(task) >> 8;
  const std::uint64_t kind = hash % 100;
  constexpr Duration kTakes[] = {0ms, 0ms, 1ms, 5ms, 50ms, 500ms};
  Plan plan{Behaviour::Return, kTakes[(hash / 100) % 6]};
  if (kind < 4) plan.behaviour = Behaviour::Raise;
  if (kind == 4 || (habits.kill_often && kind >= 90)) plan.behaviour = Behaviour::KillExecutor;
  if (kind == 5 && habits.may_hang) plan = {Behaviour::Hang, Duration{0}};
  // Long enough that a dispatcher gives it up for lost while it runs; a time limit would end it.
  if (kind == 6 && !habits.may_hang) plan.takes = 3s;
  if (habits.kill_often && kind >= 80 && kind < 90) plan.leaves_damage = true;
  return plan;
}

std::string result_of(TaskId task) { return "result of " + to_string(task); }

}  // namespace treadle::sim

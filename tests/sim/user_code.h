// What the simulated functions do, decided by the task's id alone, and a record of every time that one of them ran.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>

#include "base/ids.h"
#include "base/time.h"
#include "core/model.h"

namespace treadle::sim {

enum class Behaviour : std::uint8_t { Return, Raise, KillExecutor, Hang };

struct Plan {
  Behaviour behaviour = Behaviour::Return;
  Duration takes{0};
  bool leaves_damage = false;  // it returns, and its executor dies under the next task
};

struct Habits {
  bool may_hang = false;    // there is a time limit
  bool kill_often = false;  // a tenth of the tasks kill their executors, and a tenth leaves them damaged
};

// Of 100 tasks: 4 raise, 1 kills its executor always, 1 hangs if hanging is allowed (a time limit is set); the others
// return after 0, 1, 5, 50 or 500 ms, and 1 after 3 s if there is no time limit.
Plan plan_of(TaskId task, Habits habits);
std::string result_of(TaskId task);

// Runs are counted here, outside of everything under test.
struct RunLog {
  struct Task {
    std::uint32_t starts = 0;
    std::uint32_t ends = 0;
  };
  enum class By { Supervisor, PlainClient };
  // Every start of user code passes here.
  void start(TaskId task, By by) {
    ++starts;
    ++tasks[task].starts;
    if (on_start) on_start(task, by);
  }
  std::unordered_map<TaskId, Task> tasks;
  std::function<void(TaskId, By)> on_start;
  std::unordered_map<Token, std::uint32_t> starts_of_token;
  std::uint64_t starts = 0;
};

}  // namespace treadle::sim

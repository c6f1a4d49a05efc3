#include "store/store.h"

namespace treadle::store {

std::string_view name_of(Level level) {
  switch (level) {
    case Level::None: return "none";
    case Level::Process: return "process";
    case Level::Power: return "power";
  }
  return "";
}

Error not_failed(TaskId id, core::TaskState state) {
  const bool ended = core::is_terminal(state);
  return fail(Code::Conflict, "Task " + to_string(id) + (ended ? " has COMPLETED" : " has not ended") +
                                  "; only one that FAILED can be retried." +
                                  (ended ? " Submit the call again to run it once more." : ""));
}

}  // namespace treadle::store

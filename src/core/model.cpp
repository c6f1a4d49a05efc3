#include "core/model.h"

#include <array>

namespace treadle::core {
namespace {

constexpr std::array<std::string_view, 15> kErrorNames = {"",
                                                          "FunctionFailed",
                                                          "Timeout",
                                                          "Crashed",
                                                          "WorkerLost",
                                                          "PoisonTask",
                                                          "Cancelled",
                                                          "Expired",
                                                          "DeserializeFailed",
                                                          "PythonMismatch",
                                                          "EnvironmentFailed",
                                                          "OutOfMemory",
                                                          "LimitExceeded",
                                                          "Unserializable",
                                                          "ResultTooLarge"};

}  // namespace

std::string_view public_name(TaskState state) {
  switch (state) {
    case TaskState::Queued:
    case TaskState::Claimed: return "QUEUED";
    case TaskState::Running: return "RUNNING";
    case TaskState::Completed: return "COMPLETED";
    case TaskState::Failed: return "FAILED";
  }
  return "";
}

bool is_legal_move(TaskState from, TaskState to) {
  switch (from) {
    case TaskState::Queued: return to == TaskState::Claimed || to == TaskState::Failed;  // failed: cancelled or expired
    case TaskState::Claimed: return to != TaskState::Claimed;  // an outcome may come before the start was reported
    case TaskState::Running: return to == TaskState::Queued || is_terminal(to);
    case TaskState::Completed:
    case TaskState::Failed: return false;
  }
  return false;
}

std::string_view name_of(ErrorKind kind) { return kErrorNames[static_cast<std::size_t>(kind)]; }

std::optional<ErrorKind> parse_error_kind(std::string_view name) {
  for (std::size_t i = 0; i < kErrorNames.size(); ++i) {
    if (kErrorNames[i] == name) return static_cast<ErrorKind>(i);
  }
  return std::nullopt;
}

}  // namespace treadle::core

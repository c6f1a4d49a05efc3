// A worker that does not keep to the truth: forged tokens, invented attempts, slots that it does not have, messages of
// the past. It may spoil its own attempts; those of others must not suffer.
#pragma once

#include <optional>
#include <vector>

#include "core/message.h"
#include "world.h"

namespace treadle::sim {

class Liar {
 public:
  explicit Liar(World& world) : world_(world) {}

  // Of these tasks it has heard.
  void hear(const core::DispatcherMessage& message);
  // Perhaps changes what is about to be said. Returns a message that is to be said before it, if there is one.
  std::optional<core::WorkerMessage> lie(core::WorkerMessage& message);
  std::uint64_t lies = 0;

 private:
  static constexpr std::size_t kRemembered = 32;
  core::Held forged();

  World& world_;
  std::vector<TaskId> tasks_;
  std::optional<core::WorkerMessage> old_;
};

inline constexpr const char* kLie = "a lie";

}  // namespace treadle::sim

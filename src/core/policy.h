// What differs between LOCAL, PUSH and PULL: who may be sent something, when a silent peer counts as lost, and in which
// order workers are served. Everything else of the dispatcher is the same.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/message.h"

namespace treadle::core {

enum class Mode : std::uint8_t { Local, Push, Pull };

std::string_view name_of(Mode mode);  // "local", "push", "pull"
std::optional<Mode> parse_mode(std::string_view name);

// PULL: a worker is sent something only as the answer to a request of its own.
inline bool speaks_only_when_asked(Mode mode) { return mode == Mode::Pull; }
// PUSH: a worker that was silent for a while is asked for a sign of life, so that a lost message is noticed without
// traffic.
inline bool pings(Mode mode) { return mode == Mode::Push; }

// Smaller is served first: the share of its slots that is taken, then fewer attempts.
std::uint64_t load_rank(std::uint32_t held, std::uint32_t slots);

}  // namespace treadle::core

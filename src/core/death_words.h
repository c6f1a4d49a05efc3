// How an executor ended, in words that a user understands.
#pragma once

#include <string>
#include <string_view>

#include "core/executor_port.h"

namespace treadle::core {

// "SIGSEGV", or "signal 40" for one without a usual name.
std::string signal_name(int signal);
// One sentence without a full stop: "the executor was ended by SIGSEGV while the function ran".
std::string death_words(const event::ExecutorDied& died);
// Whose doing the end of a task was: "user_code", "time_limit", "cancel", "memory", "limit", "host" (killed from
// outside, or vanished) or "service" (not run, or its result refused).
std::string_view ended_by(ErrorKind kind, const Measures& measures);
// Sets exit_code and signal from a wait status (0 if it is not known), and the resources used.
void fill_measures(const event::ExecutorDied& died, Measures& measures);

}  // namespace treadle::core

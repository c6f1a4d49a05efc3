// Log lines of the daemon: an event name, then fields, on stderr. Never one per task.
#pragma once

#include <string_view>

namespace treadle::runtime {

enum class LogLevel { Debug, Info, Warning, Error };
void set_log_level(LogLevel least);
void log(LogLevel level, std::string_view text);

}  // namespace treadle::runtime

// Our own bugs stop the process, in release too: the store recovers as from kill -9, a wrong state would not.
#pragma once

namespace treadle {
[[noreturn]] void assert_failed(const char* expression, const char* file, int line, const char* why);
}

#define TREADLE_ASSERT(cond) \
  (static_cast<bool>(cond) ? void(0) : ::treadle::assert_failed(#cond, __FILE__, __LINE__, ""))
#define TREADLE_ASSERT_MSG(cond, why) \
  (static_cast<bool>(cond) ? void(0) : ::treadle::assert_failed(#cond, __FILE__, __LINE__, why))

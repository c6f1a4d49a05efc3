#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace treadle {

void assert_failed(const char* expression, const char* file, int line, const char* why) {
  std::fprintf(stderr, "treadle: bug: %s does not hold at %s:%d %s\n", expression, file, line, why);
  std::fflush(stderr);
  std::abort();
}

}  // namespace treadle

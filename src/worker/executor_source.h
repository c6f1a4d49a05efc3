// The Python side that the binary carries: the parts in python/treadle/executor, one behind the other.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace treadle::worker {

// As it was when this binary was built.
std::string_view embedded_executor_source();

// The one to use: the file, or the folder of parts, that TREADLE_EXECUTOR names (for work on it), else the embedded
// one.
Result<std::string> executor_source();

}  // namespace treadle::worker

// Instants of the wall clock as text.
#pragma once

#include <string>

#include "base/time.h"

namespace treadle::gateway {

std::string rfc3339(WallMs time);  // "2026-11-25T18:07:46.123Z"

}  // namespace treadle::gateway

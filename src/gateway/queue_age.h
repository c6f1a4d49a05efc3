// How long the oldest task of a queue has waited, as answers tell it.
#pragma once

#include <string_view>

#include "base/time.h"
#include "gateway/json_writer.h"

namespace treadle::gateway {

// Seconds since then; null if there is nothing that waits.
void write_age(JsonWriter& to, std::string_view name, WallMs since, WallMs now);

}  // namespace treadle::gateway

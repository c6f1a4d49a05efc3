// What "the same body" compares under one Idempotency-Key: function, decoded arguments (not their text), and what else
// was asked for.
#pragma once

#include <string_view>

#include "base/ids.h"

namespace treadle::gateway {

Digest digest_of_call(FunctionId function, const Digest& args, std::string_view settings = {});

}  // namespace treadle::gateway

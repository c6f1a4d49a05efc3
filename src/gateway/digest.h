// What "the same body" compares under one Idempotency-Key: function and decoded arguments, not their text.
#pragma once

#include "base/ids.h"

namespace treadle::gateway {

Digest digest_of_call(FunctionId function, const Digest& args);

}  // namespace treadle::gateway

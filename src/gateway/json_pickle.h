// JSON arguments as the pickle that an executor reads, so that a function can be called with curl.
#pragma once

#include "base/result.h"
#include "core/payload.h"
#include "gateway/json_fwd.h"

namespace treadle::gateway {

// The pickle (protocol 4) of ((args...), {kwargs}); null pointers are empty ones. Lists, dicts, str, int, float, bool
// and None come out; Python repeats a round trip through json.loads.
Result<core::Payload> pickle_arguments(const boost::json::array* args, const boost::json::object* kwargs);

}  // namespace treadle::gateway

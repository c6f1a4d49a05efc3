// A result that a dispatcher does not take ends its task; to drop the message would only have it said again for ever.
#pragma once

#include <cstdint>

#include "transport/codec.h"

namespace treadle::transport {

// Outcomes whose result is over `max_blob` bytes become FAILED ResultTooLarge, and their reference goes.
void fail_oversized(DecodedWorker& decoded, std::uint64_t max_blob);

}  // namespace treadle::transport

// For tests and the fuzzer: messages by chance, and all that is in a message as text.
#pragma once

#include <string>

#include "base/rng.h"
#include "core/message.h"

namespace treadle::transport::testing {

// Every field can have any value that the wire carries: durations are whole milliseconds, payloads up to `largest`.
core::WorkerMessage random_worker_message(Rng& rng, std::uint64_t largest);
core::DispatcherMessage random_dispatcher_message(Rng& rng, std::uint64_t largest);

// Equal exactly when all fields are equal.
std::string dump(const core::WorkerMessage& message);
std::string dump(const core::DispatcherMessage& message);

}  // namespace treadle::transport::testing

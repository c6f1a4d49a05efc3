// What a plain client says: somebody's own worker of a few lines, which numbers nothing (docs/protocol.md, "Plain
// clients").
#pragma once

#include "transport/codec.h"
#include "transport/header_reader.h"

namespace treadle::transport {

DecodedWorker read_plain(HeaderReader& in);
// Who speaks; every message of a worker says it.
WorkerId read_worker(HeaderReader& in);
// The members of a registration.
core::WorkerInfo read_info(HeaderReader& in);

}  // namespace treadle::transport

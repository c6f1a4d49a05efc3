// How many partitions a store has: fixed in Redis at its first use, since another number would look for every key in
// another place.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "store/redis/topology.h"

namespace treadle::store::redis {

// `asked`: 0 = as Redis has it, or `otherwise` if it has nothing. Runs the loop, for at most `limit`. The number, or
// the one sentence that says how asked and found differ.
Result<unsigned> fix_partitions(boost::asio::io_context& io, Topology& topology, unsigned asked, unsigned otherwise,
                                Duration limit);

}  // namespace treadle::store::redis

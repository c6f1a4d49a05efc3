// Parts of partitioned.cpp that its other files need too.
#pragma once

#include <vector>

#include "store/redis/partitioned.h"

namespace treadle::store::redis {

// One claim of the dispatcher, on its way from partition to partition until it has enough.
struct Partitioned::Round {
  ClaimRequest request;
  std::vector<Token> tokens;  // of the request, not yet used
  ClaimAnswer answer;
  std::vector<unsigned> to_ask;
  std::size_t next = 0;  // of to_ask
  unsigned waiting_for = 0;
  bool waiting = false;  // else it is between two
  bool session_gone = false;
  Instant deadline = Instant::never();  // a partition that answers later is not waited for
  Done<Result<ClaimAnswer>> done;
};

// Tasks of all partitions' pages, newest first; the cursor is the time of the last.
TaskPage merge(std::vector<Result<ScoredPage>>& pages, std::uint32_t limit);

}  // namespace treadle::store::redis

// Why a task is still queued, as far as its options and the workers tell.
#pragma once

#include <string>
#include <vector>

#include "base/time.h"
#include "store/store.h"

namespace treadle::gateway {

// A sentence; "" if a ready worker may take it, or it is not waiting.
std::string waiting_words(const store::TaskStory& story, const std::vector<store::WorkerReport>& workers, WallMs now);

}  // namespace treadle::gateway

// Which functions exist and with which options, so that most submissions need not ask the store first.
#pragma once

#include <cstddef>
#include <unordered_map>
#include <utility>

#include "base/ids.h"
#include "core/model.h"

namespace treadle::gateway {

// Bounded: two generations of at most kGeneration entries; what was not used for a generation is forgotten.
// A hint only: the store has the last word (it answers NotFound for a function that is gone).
class FunctionCache {
 public:
  static constexpr std::size_t kGeneration = 4096;

  // Null: not known here. Valid until the next call.
  const core::Options* find(FunctionId id) {
    if (const auto at = young_.find(id); at != young_.end()) return &at->second;
    const auto old = old_.find(id);
    if (old == old_.end()) return nullptr;
    core::Options options = std::move(old->second);
    old_.erase(old);
    return put(id, std::move(options));
  }
  const core::Options* put(FunctionId id, core::Options options) {
    if (young_.size() >= kGeneration) {
      old_ = std::move(young_);
      young_.clear();
    }
    return &young_.insert_or_assign(id, std::move(options)).first->second;
  }
  void drop(FunctionId id) {
    young_.erase(id);
    old_.erase(id);
  }

 private:
  std::unordered_map<FunctionId, core::Options> young_, old_;
};

}  // namespace treadle::gateway

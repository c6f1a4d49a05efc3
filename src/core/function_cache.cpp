#include "core/function_cache.h"

#include "base/assert.h"

namespace treadle::core {

CachedFunction& FunctionCache::pin(const Digest& digest) {
  CachedFunction*& found = by_digest_[digest];
  if (!found) {
    found = &pinned_.emplace_back();
    found->self = std::prev(pinned_.end());
    found->digest = digest;
    found->number = next_number_++;
    found->wanted_at = Instant::never();
    wants_at_ = Instant{};
  } else if (found->pins == 0) {
    pinned_.splice(pinned_.end(), unpinned_, found->self);
  }
  ++found->pins;
  return *found;
}

void FunctionCache::unpin(CachedFunction& function) {
  TREADLE_ASSERT(function.pins > 0);
  if (--function.pins > 0) return;
  if (function.present) {
    unpinned_.splice(unpinned_.end(), pinned_, function.self);
    shrink();
  } else {
    by_digest_.erase(function.digest);
    pinned_.erase(function.self);
  }
}

void FunctionCache::shrink() {
  while (!unpinned_.empty() && (bytes_ > max_bytes_ || by_digest_.size() > kMaxFunctions)) {
    bytes_ -= unpinned_.front().body.bytes.size();
    by_digest_.erase(unpinned_.front().digest);
    unpinned_.pop_front();
  }
}

CachedFunction* FunctionCache::arrived(FunctionBody body) {
  const auto it = by_digest_.find(body.digest);
  if (it == by_digest_.end() || it->second->present) return nullptr;
  CachedFunction& function = *it->second;
  if (!body.found) return &function;
  function.present = true;
  function.body = std::move(body.body);
  bytes_ += function.body.bytes.size();
  shrink();
  return &function;
}

std::vector<Digest> FunctionCache::wants(Instant now) {
  std::vector<Digest> wanted;
  if (now < wants_at_) return wanted;
  wants_at_ = Instant::never();
  for (CachedFunction& function : pinned_) {
    if (function.present) continue;
    if (function.wanted_at == Instant::never() || function.wanted_at + kAskAgain <= now) {
      function.wanted_at = now;
      wanted.push_back(function.digest);
    }
    wants_at_ = std::min(wants_at_, function.wanted_at + kAskAgain);
  }
  return wanted;
}

void FunctionCache::ask_again() {
  for (CachedFunction& function : pinned_) {
    if (function.present) continue;
    function.wanted_at = Instant::never();
    wants_at_ = Instant{};
  }
}

}  // namespace treadle::core

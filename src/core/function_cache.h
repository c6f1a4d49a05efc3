// Function bodies by digest, so that a body travels to a worker once and not with each task.
#pragma once

#include <cstdint>
#include <list>
#include <unordered_map>
#include <vector>

#include "core/message.h"
#include "core/run_stats.h"
#include "core/supervisor_work.h"

namespace treadle::core {

struct CachedFunction {
  Digest digest;
  std::uint32_t number = 0;  // what executors know it by; never used twice in the life of a worker
  bool present = false;      // the body is here; else `waiting` are those who need it
  Payload body;
  RunMean mean;
  bool mark_output = false;  // it writes past sys.stdout: its tasks are marked, and go to an executor one at a time
  bool is_async = false;     // a coroutine function: many of its tasks run beside each other in one executor
  Instant wanted_at;         // when it was asked for last; never() = not yet
  std::vector<Work*> waiting;

  std::uint32_t pins = 0;
  std::list<CachedFunction>::iterator self;
};

class FunctionCache {
 public:
  explicit FunctionCache(std::uint64_t max_bytes) : max_bytes_(max_bytes) {}

  // Stays where it is until unpinned as often as it was pinned.
  CachedFunction& pin(const Digest& digest);
  // The least recently used unpinned ones go when the bodies are too many bytes.
  void unpin(CachedFunction& function);
  // nullptr: nobody needs it, and it is not kept.
  CachedFunction* arrived(FunctionBody body);
  // Those whose body was never asked for, or too long ago; they count as asked for now.
  std::vector<Digest> wants(Instant now);
  // Asks for all missing ones anew: the other side may not know that we did.
  void ask_again();
  // When wants() has something to give.
  Instant wants_at() const { return wants_at_; }
  std::uint64_t bytes() const { return bytes_; }
  std::size_t size() const { return by_digest_.size(); }

 private:
  static constexpr Duration kAskAgain = 1s;
  static constexpr std::size_t kMaxFunctions = 4096;
  void shrink();

  std::uint64_t max_bytes_;
  std::uint64_t bytes_ = 0;
  std::uint32_t next_number_ = 1;
  Instant wants_at_ = Instant::never();
  std::list<CachedFunction> pinned_;
  std::list<CachedFunction> unpinned_;  // least recently used first; all present
  std::unordered_map<Digest, CachedFunction*> by_digest_;
};

}  // namespace treadle::core

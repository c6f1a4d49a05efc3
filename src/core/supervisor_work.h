// One attempt that a worker holds, from its arrival until the dispatcher has settled its end.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/message.h"

namespace treadle::core {

struct CachedFunction;
struct Executor;

enum class Place : std::uint8_t {
  NeedsBody,         // its function has been asked for; holds no slot
  NeedsEnvironment,  // is being built; holds no slot
  Ready,             // waits for a slot
  Piped,             // sent to an executor; the first one there is the one that runs
  Ended,             // outcome or give-back is there, and not settled yet
};

enum class Revoked : std::uint8_t { No, IfNotBegun, Kill };

// Of an attempt that shows something of itself while it runs.
struct Live {
  Progress progress;
  bool progress_unsent = false;
  bool followed = false;  // stands in the supervisor's list of those
  Instant follow_until;
  std::uint64_t read = 0;  // bytes of its output that were read
  std::uint64_t from = 0;  // bytes before `text`
  std::string text;        // output that is not sent yet
  bool unsent = false;     // stands in the supervisor's list of those
};

struct Work {
  Attempt attempt;                     // args are let go at the end
  CachedFunction* function = nullptr;  // pinned until the end
  Executor* executor = nullptr;        // only while Piped
  Instant waiting_since;
  Instant start_by = Instant::never();  // from then on it may not begin
  Place place = Place::NeedsBody;
  Revoked revoked = Revoked::No;

  // Ended:
  bool given_back = false;
  GiveBack why = GiveBack::Unstarted;
  std::string last_error;
  Outcome outcome;  // of a given-back one: what it ends in if it may not run again
  std::uint64_t bytes = 0;
  bool unsent = false;         // stands in the buffer's list of what is to be said
  std::unique_ptr<Live> live;  // null for most

  Held held() const { return {attempt.task, attempt.token}; }
  bool at_most_once() const { return attempt.delivery == Delivery::AtMostOnce; }
  bool has_deadline() const { return start_by != Instant::never(); }
};

// All attempts held, by token. Objects are used again, so a task costs no allocation but that of its key.
class WorkTable {
 public:
  Work* find(Token token) {
    const auto it = by_token_.find(token);
    return it == by_token_.end() ? nullptr : it->second.get();
  }
  // The token must not be there yet.
  Work& add(Attempt attempt) {
    std::unique_ptr<Work> work;
    if (spare_.empty()) {
      work = std::make_unique<Work>();
    } else {
      work = std::move(spare_.back());
      spare_.pop_back();
    }
    work->attempt = std::move(attempt);
    return *by_token_.emplace(work->attempt.token, std::move(work)).first->second;
  }
  void remove(Work& work) {
    auto node = by_token_.extract(work.attempt.token);
    if (spare_.size() >= kSpare) return;
    *node.mapped() = Work{};
    spare_.push_back(std::move(node.mapped()));
  }
  std::size_t size() const { return by_token_.size(); }
  bool empty() const { return by_token_.empty(); }
  template <class F>
  void each(F f) {
    for (auto& [token, work] : by_token_) f(*work);
  }
  std::vector<Held> held() const {
    std::vector<Held> all;
    all.reserve(by_token_.size());
    for (const auto& [token, work] : by_token_) all.push_back(work->held());
    return all;
  }

 private:
  static constexpr std::size_t kSpare = 1024;
  std::unordered_map<Token, std::unique_ptr<Work>> by_token_;
  std::vector<std::unique_ptr<Work>> spare_;
};

}  // namespace treadle::core

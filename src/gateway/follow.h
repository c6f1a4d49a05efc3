// GET /v1/tasks/{id}/logs?follow=1: what a task writes, while it runs, until it has ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "gateway/response.h"
#include "store/store.h"

namespace treadle::gateway {

// One client that follows one task. Looks at the store now and then, and not while the client has not taken what there
// is: what a slow client misses is named in its stream.
class Follow final : public BodyStream, public std::enable_shared_from_this<Follow> {
 public:
  Follow(store::Store& store, const Clock& clock, TaskId task, std::weak_ptr<ResponseSink> client)
      : store_(store), clock_(clock), task_(task), client_(std::move(client)) {}

  bool read(std::string& out, std::size_t most) override;
  // Asks the store if it is time. False: nobody is there any more, or all was said.
  bool look(Instant now);
  // The service stops.
  void stop();

 private:
  void take_state(Result<store::TaskView> view);
  void take_live(const store::LiveView& view);
  void take_end(const store::TaskStory& story);
  void add(std::string_view text);
  void end();
  void wake();

  store::Store& store_;
  const Clock& clock_;
  const TaskId task_;
  std::weak_ptr<ResponseSink> client_;
  bool asking_ = false;
  bool ended_ = false;
  bool stopped_ = false;  // the store is not to be asked again
  Instant ask_at_;
  Instant follow_at_;          // the dispatchers are asked again
  std::uint32_t attempt_ = 0;  // that `at_` is of
  std::uint64_t at_ = 0;       // bytes of its output that were shown or named
  std::string tail_;           // the last bytes that were shown
  std::string pending_;        // not taken yet
};

class Follows {
 public:
  // Full: limits::kMaxFollows.
  Result<void> add(const std::shared_ptr<Follow>& follow);
  void look(Instant now);
  void stop_all();
  bool empty() const { return all_.empty(); }

 private:
  std::vector<std::weak_ptr<Follow>> all_;
};

}  // namespace treadle::gateway

// Requests that are held until the first of many tasks ends (POST /v1/tasks:wait). The store is asked once for each
// task, however often clients come back for it: a request that was answered leaves its questions to the next one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "gateway/response.h"
#include "store/store.h"

namespace treadle::gateway {

struct Service;

struct ManyWait {
  std::vector<TaskId> ids;  // each once
  bool with_results = false;
  Instant deadline;
  Responder out;

  std::vector<store::TaskView> ended;  // their results are read later if they are empty
  std::vector<TaskId> missing;
  std::optional<Error> error;
  void (*finish)(std::shared_ptr<ManyWait>) = nullptr;  // answers with the above
  std::shared_ptr<Service> service;
};

// Loop thread only.
class Watch {
 public:
  Watch(store::Store& store, const Clock& clock) : state_(std::make_shared<State>(store, clock)) {}

  // Holds a request none of whose tasks is known to have ended. Full: limits::kMaxWatched.
  Result<void> hold(const std::shared_ptr<ManyWait>& request);
  // A further request of a connection came: what it holds is answered with the next answer().
  void supersede(const ResponseSink* connection);
  void expire(Instant now);
  void release_all();
  // At the end: what is held lets go of the service, which holds us. Nobody is there to be answered.
  void abandon();
  // Answers what is due: all that ended in one turn is in one answer. Whether there was any.
  bool answer();
  std::size_t held() const { return state_->held.size(); }

 private:
  struct State : std::enable_shared_from_this<State> {
    State(store::Store& store_, const Clock& clock_) : store(store_), clock(clock_) {}
    void ask(TaskId task);
    void hear(TaskId task, Result<store::TaskView> view);
    void detach(const std::shared_ptr<ManyWait>& request);

    store::Store& store;
    const Clock& clock;
    std::unordered_set<std::shared_ptr<ManyWait>> held;
    std::vector<std::shared_ptr<ManyWait>> due;                                // some may be there twice
    std::unordered_map<TaskId, std::vector<std::shared_ptr<ManyWait>>> asked;  // every key has a wait at the store
    std::size_t watched = 0;                                                   // ids of all that is held
  };
  std::shared_ptr<State> state_;  // callbacks of the store may come after us
};

}  // namespace treadle::gateway

// What handlers work with. One per loop thread; shared, because an answer of the store may come after the server is
// gone.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <unordered_set>

#include "base/time.h"
#include "gateway/config.h"
#include "gateway/follow.h"
#include "gateway/function_cache.h"
#include "gateway/group_streams.h"
#include "gateway/id_source.h"
#include "gateway/metrics.h"
#include "gateway/response.h"
#include "gateway/status_source.h"
#include "gateway/watch.h"
#include "store/store.h"

namespace treadle::gateway {

struct Service;

// A request that is held until its task ends (?wait=).
struct Waiting {
  Responder out;
  TaskId task;
  std::string shown_id;                        // as the client wrote it
  void (*read)(Service&, Waiting&) = nullptr;  // answers with the present state
  bool with_result = false;                    // /v1: it was asked for
  std::string headers{};                       // further ones of the answer
};

struct Service : std::enable_shared_from_this<Service> {
  Service(store::Store& store, GatewayConfig config, StatusSource& status, IdSource& ids, const Clock& clock);

  store::Store& store;
  const GatewayConfig config;
  StatusSource& status;
  IdSource& ids;
  const Clock& clock;

  Metrics metrics;
  FunctionCache functions;
  std::unordered_set<std::shared_ptr<Waiting>> waiting;
  Watch watch;             // what tasks:wait holds
  GroupStreams streams;    // answers that tell a group's ends
  Follows follows;         // clients that follow a task's output
  std::string openapi;     // the document, made once
  std::string plain_docs;  // the docs page when Swagger UI is not inside the binary
  Instant started;
  std::size_t connections = 0;
  bool draining = false;  // no new functions and tasks; reads still work
};

// Holds the answer until the task ends, the time is over, or the service stops; then `waiting.read` gives it.
void hold(Service& service, Duration wait, Waiting waiting);
// An error of the store about a task, as clients are told of it.
Error about_task(Error error, TaskId task);

}  // namespace treadle::gateway

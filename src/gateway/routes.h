// The one table of routes: it drives routing, methods, bodies, metrics, /openapi.json and the docs page.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "gateway/form.h"
#include "gateway/request.h"
#include "gateway/response.h"

namespace treadle::gateway {

struct Service;

// Runs on the loop thread when the request is complete; answers now or later.
using Handler = void (*)(Service&, const Request&, Responder);

// The name of a schema; None: not JSON of ours. Up to Version they are built in schemas.cpp, the rest in
// schemas_v1.cpp.
enum class Schema : std::uint8_t {
  None,
  RegisterRequest,
  RegisterAnswer,
  ExecuteRequest,
  ExecuteAnswer,
  StatusAnswer,
  ResultAnswer,
  Welcome,
  Health,
  Ready,
  Version,
  FunctionRequest,
  Function,
  FunctionPage,
  InvokeRequest,
  Invocation,
  TaskRequest,
  TaskAccepted,
  TaskBatch,
  BatchAnswer,
  Task,
  TaskLogs,
  TaskPage,
  TaskIds,
  LookupAnswer,
  WaitRequest,
  WaitAnswer,
  Workers,
  Stats,
  CancelRequest,
  CancelAnswer,
  RetryRequest,
  RetryAnswer,
  Retried,
  GroupEvent,
  Queues,
  QueueState
};

struct Route {
  Method method = Method::Get;
  std::string_view pattern;
  Handler handle = nullptr;
  const FormSpec* form = nullptr;  // how its body is read; null: a body is thrown away
  bool raw = false;                // its payload may also be the whole body (application/octet-stream)
  bool creates = false;            // answers GatewayConfig::created_status, and takes an Idempotency-Key if `keyed`
  bool keyed = false;
  // For people:
  std::string_view operation{};  // a unique name
  std::string_view tag;
  std::string_view summary;
  std::string_view description{};
  Schema request = Schema::None;
  Schema answer = Schema::None;
  std::array<std::string_view, 8> query{};  // parameters, by their names in openapi.cpp; "" = end
  int success = 200;                        // if it does not create
  Schema pending = Schema::None;            // of a 202, if it is not like `answer`
  std::array<int, 12> statuses{};           // besides that and what any route may answer; 0 = end
  bool pickle = false;                      // a success may be raw bytes (application/octet-stream)
  bool streams = false;                     // a success is NDJSON or events, each line of them an `answer`
  bool hidden = false;                      // works, but is not advertised
};

std::span<const Route> route_table();

}  // namespace treadle::gateway

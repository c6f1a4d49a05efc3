#include "gateway/schemas.h"

#include <initializer_list>
#include <string>
#include <utility>

#include <boost/json/array.hpp>

#include "base/assert.h"

namespace treadle::gateway {
namespace {

namespace json = boost::json;

struct Property {
  std::string_view name;
  std::string_view type;
  std::string_view description;
  std::string_view example;
  bool required = true;
};

constexpr std::string_view kFunctionId = "71ed469b-bc52-45d5-89ae-b21aa40760c9";
constexpr std::string_view kTaskId = "0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13";
// pickle.dumps(((3, 4), {}), protocol=4) and pickle.dumps(7, protocol=4).
constexpr std::string_view kArguments = "gASVCwAAAAAAAABLA0sEhpR9lIaULg==\n";
constexpr std::string_view kResult = "gARLBy4=\n";
constexpr std::string_view kFunction = "gASVFQAAAAAAAACMCV9vcGVyYXRvcpSMA2FkZJSTlC4=\n";

json::string_view sv(std::string_view text) { return {text.data(), text.size()}; }

json::object schema(std::initializer_list<Property> properties) {
  json::object described;
  json::array required;
  json::object example;
  for (const Property& p : properties) {
    const bool uuid = p.type == "uuid";
    const bool number = p.type == "integer";
    json::object one{{"type", sv(uuid ? "string" : p.type)}, {"description", sv(p.description)}};
    if (uuid) one["format"] = "uuid";
    if (p.name == "status" && p.example == "COMPLETED")
      one["enum"] = json::array{"QUEUED", "RUNNING", "COMPLETED", "FAILED"};
    described[sv(p.name)] = std::move(one);
    if (p.required) required.push_back(sv(p.name));
    if (number)
      example[sv(p.name)] = std::stoi(std::string(p.example));
    else if (p.required)
      example[sv(p.name)] = sv(p.example);
  }
  return {{"type", "object"},
          {"properties", std::move(described)},
          {"required", std::move(required)},
          {"examples", json::array{std::move(example)}}};
}

json::object build(Schema which) {
  switch (which) {
    case Schema::RegisterRequest:
      return schema({{"name", "string", "What people call it; need not be unique.", "add"},
                     {"payload", "string",
                      "The serialized function: base64 of a pickle by dill, cloudpickle or pickle.", kFunction}});
    case Schema::RegisterAnswer:
      return schema({{"function_id", "uuid", "Names this registration from now on.", kFunctionId}});
    case Schema::ExecuteRequest:
      return schema({{"function_id", "uuid", "As POST /register_function answered it.", kFunctionId},
                     {"payload", "string", "The serialized arguments: base64 of a pickle of ((args...), {kwargs}).",
                      kArguments}});
    case Schema::ExecuteAnswer: return schema({{"task_id", "uuid", "Names this call from now on.", kTaskId}});
    case Schema::StatusAnswer:
      return schema({{"task_id", "uuid", "As it was asked for.", kTaskId},
                     {"status", "string", "The state of the task.", "COMPLETED"}});
    case Schema::ResultAnswer:
      return schema(
          {{"task_id", "uuid", "As it was asked for.", kTaskId},
           {"status", "string", "The state of the task.", "COMPLETED"},
           {"result", "string", "Empty until the task has ended; then the serialized value or exception.", kResult}});
    case Schema::Welcome: return schema({{"message", "string", "Names the service.", "MPCSFaaS: this is Treadle"}});
    case Schema::Health: return schema({{"status", "string", "Always \"alive\".", "alive"}});
    case Schema::Ready:
      return schema(
          {{"status", "string", "ready, not ready or draining.", "ready"},
           {"detail", "string", "Why it is not ready.", "", false},
           {"mode", "string", "local, push or pull.", "local"},
           {"store", "string", "Where functions and tasks are kept.", "SQLite treadle-data/treadle.db, strict"},
           {"durability", "string", "What an accepted task survives: none, process or power.", "power"},
           {"slots", "integer", "Tasks that can run at once.", "4"},
           {"slots_free", "integer", "Slots without a task.", "4"},
           {"workers", "integer", "Workers that are known.", "1"}});
    case Schema::Version:
      return schema(
          {{"name", "string", "Always \"treadle\".", "treadle"},
           {"version", "string", "Of the program.", "0.1.0"},
           {"commit", "string", "It was built from; may be empty.", ""},
           {"mode", "string", "local, push or pull.", "local"},
           {"store", "string", "Where functions and tasks are kept.", "SQLite treadle-data/treadle.db, strict"},
           {"durability", "string", "What an accepted task survives: none, process or power.", "power"},
           {"docs", "string", "swagger-ui, or plain if the build had none.", "swagger-ui"}});
    default: break;  // None, and those of schemas_v1.cpp
  }
  assert_failed("build", __FILE__, __LINE__, "a schema without a description");
}

}  // namespace

std::string_view schema_name(Schema schema) {
  switch (schema) {
    case Schema::RegisterRequest: return "RegisterRequest";
    case Schema::RegisterAnswer: return "RegisterAnswer";
    case Schema::ExecuteRequest: return "ExecuteRequest";
    case Schema::ExecuteAnswer: return "ExecuteAnswer";
    case Schema::StatusAnswer: return "StatusAnswer";
    case Schema::ResultAnswer: return "ResultAnswer";
    case Schema::Welcome: return "Welcome";
    case Schema::Health: return "Health";
    case Schema::Ready: return "Ready";
    case Schema::Version: return "Version";
    case Schema::FunctionRequest: return "FunctionRequest";
    case Schema::Function: return "Function";
    case Schema::FunctionPage: return "FunctionPage";
    case Schema::InvokeRequest: return "InvokeRequest";
    case Schema::Invocation: return "Invocation";
    case Schema::TaskRequest: return "TaskRequest";
    case Schema::TaskAccepted: return "TaskAccepted";
    case Schema::TaskBatch: return "TaskBatch";
    case Schema::BatchAnswer: return "BatchAnswer";
    case Schema::Task: return "Task";
    case Schema::TaskLogs: return "TaskLogs";
    case Schema::TaskPage: return "TaskPage";
    case Schema::TaskIds: return "TaskIds";
    case Schema::LookupAnswer: return "LookupAnswer";
    case Schema::WaitRequest: return "WaitRequest";
    case Schema::WaitAnswer: return "WaitAnswer";
    case Schema::Workers: return "Workers";
    case Schema::Stats: return "Stats";
    case Schema::CancelRequest: return "CancelRequest";
    case Schema::CancelAnswer: return "CancelAnswer";
    case Schema::RetryRequest: return "RetryRequest";
    case Schema::RetryAnswer: return "RetryAnswer";
    case Schema::Retried: return "Retried";
    case Schema::GroupEvent: return "GroupEvent";
    case Schema::Queues: return "Queues";
    case Schema::QueueState: return "QueueState";
    case Schema::None: break;
  }
  return "";
}

json::object schemas() {
  json::object out = v1_schemas();
  for (int i = 1; i <= static_cast<int>(Schema::Version); ++i) {
    const auto which = static_cast<Schema>(i);
    out[sv(schema_name(which))] = build(which);
  }
  out["Error"] = schema({{"detail", "string", "What was wrong, and what to do.", "There is no such task."}});
  return out;
}

}  // namespace treadle::gateway

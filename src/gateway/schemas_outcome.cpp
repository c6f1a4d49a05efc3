// The schemas of /v1 for clients that speak JSON only: calls by name, results as JSON and the problems they may meet.
#include <string_view>

#include <boost/json/parse.hpp>

#include "gateway/schemas.h"

namespace treadle::gateway {
namespace {

constexpr std::string_view kOutcomes = R"json({
"InvokeRequest": {
  "type": "object", "additionalProperties": false, "required": [], "not": {"anyOf": [{"required": ["payload", "args"]}, {"required": ["payload", "kwargs"]}, {"required": ["expires_in", "deadline"]}]},
  "description": "Arguments are `args` and `kwargs`, or `payload`, or none.",
  "properties": {
    "args": {"type": "array", "description": "Positional arguments as JSON."},
    "kwargs": {"type": "object", "description": "Keyword arguments as JSON."},
    "payload": {"type": "string", "description": "The serialized arguments: base64 of a pickle of ((args...), {kwargs})."},
    "options": {"$ref": "#/components/schemas/Options"},
    "delay": {"type": "number", "minimum": 0, "maximum": 31536000, "default": 0, "description": "Seconds before it may run."},
    "queue_ttl": {"type": "number", "exclusiveMinimum": 0, "maximum": 31536000, "description": "Seconds that it may wait; then it is FAILED Expired. Default: 30 days."},
    "expires_in": {"type": "number", "exclusiveMinimum": 0, "maximum": 31536000, "description": "Seconds from its acceptance within which it must begin, delay or not; else it is FAILED Expired. What has begun goes on."},
    "deadline": {"type": "string", "format": "date-time", "description": "The same as an instant (RFC 3339); not both."},
    "group": {"type": "string", "minLength": 1, "maxLength": 128, "description": "A name for tasks that belong together, to list them by."}
  },
  "examples": [{"args": [3, 4]}, {"kwargs": {"a": 3}, "options": {"time_limit": 10}}]
},
"Invocation": {
  "type": "object", "required": ["task_id", "function_id", "status", "result"],
  "properties": {
    "task_id": {"type": "string", "format": "uuid"},
    "function_id": {"type": "string", "format": "uuid", "description": "Of the registration that was called."},
    "status": {"enum": ["COMPLETED"]},
    "result": {"description": "What the function returned: null, bool, number, text, list (also of a tuple or a numpy array) or object (of a dict whose keys are text)."}
  },
  "examples": [{"task_id": "0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13", "function_id": "71ed469b-bc52-45d5-89ae-b21aa40760c9", "status": "COMPLETED", "result": 7}]
},
"Stats": {
  "type": "object", "required": ["tasks", "ever", "queue", "slots", "workers", "requests_waiting"],
  "properties": {
    "tasks": {"type": "object", "description": "That have not ended.", "required": ["queued", "claimed", "running", "delayed"], "properties": {
      "queued": {"type": "integer", "minimum": 0, "description": "Waiting for a worker, or for their time."},
      "claimed": {"type": "integer", "minimum": 0, "description": "Given to a worker, where they have not begun."},
      "running": {"type": "integer", "minimum": 0},
      "delayed": {"type": "integer", "minimum": 0, "description": "Of the queued ones, those whose time has not come."}}},
    "ever": {"type": "object", "description": "What has happened. On SQLite: since the start of the server.", "required": ["submitted", "completed", "failed", "requeued"], "properties": {
      "submitted": {"type": "integer", "minimum": 0}, "completed": {"type": "integer", "minimum": 0}, "failed": {"type": "integer", "minimum": 0},
      "requeued": {"type": "integer", "minimum": 0, "description": "Attempts that went back to the queue."}}},
    "queue": {"type": "object", "required": ["length", "bytes", "oldest_seconds"], "properties": {
      "oldest_seconds": {"type": ["number", "null"], "minimum": 0, "description": "For how long the oldest task that could run now has been there."},
      "length": {"type": "integer", "minimum": 0, "description": "Tasks that could run now, had they a slot."},
      "bytes": {"type": "integer", "minimum": 0, "description": "Of the arguments of all queued tasks."}}},
    "slots": {"type": "object", "description": "Of the workers that are there.", "required": ["total", "free"], "properties": {
      "total": {"type": "integer", "minimum": 0}, "free": {"type": "integer", "minimum": 0}}},
    "workers": {"type": "object", "required": ["ready", "draining", "lost"], "properties": {
      "ready": {"type": "integer", "minimum": 0}, "draining": {"type": "integer", "minimum": 0}, "lost": {"type": "integer", "minimum": 0, "description": "That are remembered."}}},
    "requests_waiting": {"type": "integer", "minimum": 0, "description": "Requests that this gateway holds until a task ends."}
  },
  "examples": [{"tasks": {"queued": 12, "claimed": 1, "running": 4, "delayed": 2}, "ever": {"submitted": 120, "completed": 100, "failed": 3, "requeued": 0},
    "queue": {"length": 10, "bytes": 4711, "oldest_seconds": 0.8}, "slots": {"total": 4, "free": 0}, "workers": {"ready": 1, "draining": 0, "lost": 0}, "requests_waiting": 3}]
},
"TaskProblem": {
  "type": "object", "required": ["type", "title", "status", "code", "detail", "task_id", "function_id", "error"],
  "description": "The task FAILED. `code` is its kind: function-failed, timeout, crashed, worker-lost ...",
  "properties": {
    "type": {"type": "string", "format": "uri"}, "title": {"type": "string"}, "status": {"type": "integer"},
    "code": {"enum": ["function-failed", "timeout", "crashed", "worker-lost", "poison-task", "cancelled", "expired", "deserialize-failed",
      "python-mismatch", "environment-failed", "out-of-memory", "limit-exceeded", "unserializable", "result-too-large"]},
    "detail": {"type": "string", "description": "Type and message in one line."},
    "task_id": {"type": "string", "format": "uuid"}, "function_id": {"type": "string", "format": "uuid"},
    "error": {"type": "object", "required": ["kind", "type", "message", "traceback"], "properties": {
      "kind": {"type": "string"}, "type": {"type": "string", "description": "Of the exception."}, "message": {"type": "string"},
      "traceback": {"type": ["string", "null"]}}}
  },
  "examples": [{"type": "urn:treadle:problem:function-failed", "title": "Unprocessable Content", "status": 422, "code": "function-failed",
    "detail": "ValueError: no luck", "task_id": "0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13", "function_id": "71ed469b-bc52-45d5-89ae-b21aa40760c9",
    "error": {"kind": "FunctionFailed", "type": "ValueError", "message": "no luck", "traceback": "Traceback (most recent call last): ..."}}]
},
"ResultProblem": {
  "type": "object", "required": ["type", "title", "status", "code", "detail", "task_id", "function_id", "result_url"],
  "description": "The function returned what JSON cannot carry.",
  "properties": {
    "type": {"type": "string", "format": "uri"}, "title": {"type": "string"}, "status": {"type": "integer"},
    "code": {"enum": ["result-not-json"]},
    "detail": {"type": "string", "description": "What it is and where."},
    "task_id": {"type": "string", "format": "uuid"}, "function_id": {"type": "string", "format": "uuid"},
    "result_url": {"type": "string", "description": "Gives the pickled result."}
  },
  "examples": [{"type": "urn:treadle:problem:result-not-json", "title": "Not Acceptable", "status": 406, "code": "result-not-json",
    "detail": "The function returned what JSON cannot carry: result[0] is bytes. GET /v1/tasks/0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13/result gives the pickled result.",
    "task_id": "0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13", "function_id": "71ed469b-bc52-45d5-89ae-b21aa40760c9",
    "result_url": "/v1/tasks/0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13/result"}]
}})json";

}  // namespace

boost::json::object v1_outcome_schemas() {
  return boost::json::parse({kOutcomes.data(), kOutcomes.size()}).as_object();
}

}  // namespace treadle::gateway

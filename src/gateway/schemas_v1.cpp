// The schemas of /v1, as JSON: they nest, and tests hold every answer against them.
#include <string_view>

#include <boost/json/parse.hpp>

#include "gateway/schemas.h"

namespace treadle::gateway {
namespace {

constexpr std::string_view kFunctions = R"json({
"Options": {
  "type": "object", "additionalProperties": false, "required": [],
  "description": "How a function's calls are run. Options of a call override those of its function; limits can only be made lower.",
  "properties": {
    "delivery": {"enum": ["at_least_once", "at_most_once"], "default": "at_least_once", "description": "Whether a call whose worker vanished may be run again."},
    "max_attempts": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 3, "description": "Attempts that may be lost with a worker before the call is FAILED WorkerLost."},
    "time_limit": {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 2592000, "description": "Seconds that the function may run; then it is ended, and the call is FAILED Timeout. null: none of its own."},
    "retries": {"type": "integer", "minimum": 0, "maximum": 1000, "default": 0, "description": "Further tries after the function raised."},
    "retry_delay": {"type": "number", "minimum": 0, "maximum": 86400, "default": 0, "description": "Seconds before each of them."},
    "priority": {"type": "integer", "minimum": -1000, "maximum": 1000, "default": 0, "description": "Higher is run first."},
    "queue": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$", "default": "default", "description": "Only workers that serve this queue take the call."},
    "isolation": {"enum": ["reuse", "fresh"], "default": "reuse", "description": "fresh: a Python process of its own for each call."},
    "memory_limit": {"type": "integer", "minimum": 1048576, "maximum": 1125899906842624, "description": "Bytes that the function may add to its Python process; over it the call is FAILED OutOfMemory. Absent, as the limits below: none."},
    "cpu_limit": {"type": "number", "exclusiveMinimum": 0, "maximum": 2592000, "description": "Seconds of CPU time; over it, and over those below, the call is FAILED LimitExceeded."},
    "file_limit": {"type": "integer", "minimum": 16, "maximum": 1048576, "description": "Descriptors that its Python process may have open, its standard streams included."},
    "process_limit": {"type": "integer", "minimum": 1, "maximum": 1048576, "description": "Processes that it may have running at once, beside its own."},
    "output_limit": {"type": "integer", "minimum": 1, "maximum": 1099511627776, "description": "Bytes that it may write to stdout and stderr, together."},
    "env": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Environment variables; those of a call take the place of its function's."},
    "secrets": {"type": "array", "items": {"type": "string"}, "description": "Names of files in the worker's --secrets-dir, whose contents its calls find in environment variables of these names. The values are never sent, stored or shown."},
    "requirements": {"type": "array", "maxItems": 64, "items": {"type": "string", "maxLength": 256, "pattern": "^[!-,.-~][ -~]*$"}, "description": "What pip or uv is to install, such as numpy==1.26.4: its calls run in an environment that each worker builds once."},
    "result_limit": {"type": "integer", "minimum": 1, "maximum": 134217728, "description": "Bytes of its pickled result; over it the call is FAILED ResultTooLarge."},
    "retry_on": {"type": "array", "maxItems": 32, "items": {"type": "string", "maxLength": 128, "pattern": "^[A-Za-z0-9._<>]+$"}, "description": "Names of exception classes, with or without their module, whose instances (also of derived classes) are tried again; others are final. Absent or empty: all."},
    "retry_backoff": {"type": "number", "minimum": 1, "maximum": 10, "description": "Each wait before a retry is so many times the one before. Absent: 1."},
    "retry_max_delay": {"type": "number", "exclusiveMinimum": 0, "maximum": 86400, "description": "Seconds of the longest such wait."},
    "retention": {"type": "number", "exclusiveMinimum": 0, "maximum": 315360000, "description": "Seconds from the end of a call until its record and its result are gone. Absent: as the server keeps others."},
    "labels": {"type": "array", "maxItems": 16, "items": {"type": "string", "maxLength": 64, "pattern": "^[A-Za-z0-9._=:/@+-]+$"}, "description": "Only workers with all of these labels take the call; those of a call are added to its function's."},
    "concurrency_key": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[A-Za-z0-9._=:/@+-]+$", "description": "Calls with the same key share max_concurrent."},
    "max_concurrent": {"type": "integer", "minimum": 1, "maximum": 1000, "description": "At most so many calls of the key are at a worker at once, over all workers. Without a key: of the function. A key without it: 1."}
  },
  "examples": [{"delivery": "at_most_once", "time_limit": 60}]
},
"FunctionRequest": {
  "type": "object", "additionalProperties": false, "required": ["name"], "oneOf": [{"required": ["payload"]}, {"required": ["source"]}],
  "properties": {
    "name": {"type": "string", "minLength": 1, "maxLength": 1024, "description": "What people call it; need not be unique."},
    "payload": {"type": "string", "description": "The serialized function: base64 of a pickle by dill, cloudpickle or pickle."},
    "source": {"type": "string", "description": "Instead of a payload: Python source, which the worker's Python compiles, whatever its version. It is run as a module; the function is the one that a first line `# treadle: NAME` names, else the last one that it defines."},
    "options": {"$ref": "#/components/schemas/Options"}
  },
  "examples": [{"name": "add", "payload": "gASVFQAAAAAAAACMCV9vcGVyYXRvcpSMA2FkZJSTlC4=", "options": {"time_limit": 60}},
    {"name": "triple", "source": "def triple(x):\\n    return 3 * x\\n"}]
},
"Function": {
  "type": "object", "required": ["function_id", "name", "digest", "payload_bytes", "options"],
  "properties": {
    "function_id": {"type": "string", "format": "uuid", "description": "Names this registration."},
    "name": {"type": "string"},
    "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "SHA-256 of the pickle."},
    "payload_bytes": {"type": "integer", "minimum": 0, "description": "Its size before base64."},
    "options": {"$ref": "#/components/schemas/Options"}
  },
  "examples": [{"function_id": "71ed469b-bc52-45d5-89ae-b21aa40760c9", "name": "add",
    "digest": "43cc45d93aa72c95e5d3b4d9f4e0bb0b8e32b3b4ff9e6df0e5c51d0a1c3a8a11", "payload_bytes": 32,
    "options": {"delivery": "at_least_once", "max_attempts": 3, "time_limit": 60, "retries": 0, "retry_delay": 0, "priority": 0, "queue": "default", "isolation": "reuse"}}]
},
"FunctionPage": {
  "type": "object", "required": ["functions", "next_cursor"],
  "properties": {
    "functions": {"type": "array", "description": "Oldest first.", "items": {
      "type": "object", "required": ["function_id", "name", "digest", "payload_bytes", "created"],
      "properties": {
        "function_id": {"type": "string", "format": "uuid"}, "name": {"type": "string"},
        "digest": {"type": "string"}, "payload_bytes": {"type": "integer"},
        "created": {"type": "string", "format": "date-time"}}}},
    "next_cursor": {"type": ["string", "null"], "description": "For ?cursor=; null: this is the last page."}
  },
  "examples": [{"functions": [{"function_id": "71ed469b-bc52-45d5-89ae-b21aa40760c9", "name": "add",
    "digest": "43cc45d93aa72c95e5d3b4d9f4e0bb0b8e32b3b4ff9e6df0e5c51d0a1c3a8a11", "payload_bytes": 32, "created": "2026-11-25T18:07:46.123Z"}], "next_cursor": null}]
}})json";

constexpr std::string_view kSubmits = R"json({
"TaskRequest": {
  "type": "object", "additionalProperties": false, "required": ["function_id"], "not": {"anyOf": [{"required": ["payload", "args"]}, {"required": ["payload", "kwargs"]}, {"required": ["expires_in", "deadline"]}]},
  "description": "Arguments are `payload`, or `args` and `kwargs`, or none.",
  "properties": {
    "function_id": {"type": "string", "format": "uuid"},
    "payload": {"type": "string", "description": "The serialized arguments: base64 of a pickle of ((args...), {kwargs})."},
    "args": {"type": "array", "description": "Positional arguments as JSON."},
    "kwargs": {"type": "object", "description": "Keyword arguments as JSON."},
    "options": {"$ref": "#/components/schemas/Options"},
    "delay": {"type": "number", "minimum": 0, "maximum": 31536000, "default": 0, "description": "Seconds before it may run."},
    "queue_ttl": {"type": "number", "exclusiveMinimum": 0, "maximum": 31536000, "description": "Seconds that it may wait; then it is FAILED Expired. Default: 30 days."},
    "expires_in": {"type": "number", "exclusiveMinimum": 0, "maximum": 31536000, "description": "Seconds from its acceptance within which it must begin, delay or not; else it is FAILED Expired. What has begun goes on."},
    "deadline": {"type": "string", "format": "date-time", "description": "The same as an instant (RFC 3339); not both."},
    "group": {"type": "string", "minLength": 1, "maxLength": 128, "description": "A name for tasks that belong together, to list them by."}
  },
  "examples": [{"function_id": "71ed469b-bc52-45d5-89ae-b21aa40760c9", "args": [3, 4]},
    {"function_id": "71ed469b-bc52-45d5-89ae-b21aa40760c9", "payload": "gASVCwAAAAAAAABLA0sEhpR9lIaULg==", "options": {"priority": 10}, "delay": 1.5}]
},
"TaskAccepted": {
  "type": "object", "required": ["task_id", "function_id", "status"],
  "properties": {
    "task_id": {"type": "string", "format": "uuid", "description": "Names this call from now on."},
    "function_id": {"type": "string", "format": "uuid"},
    "status": {"enum": ["QUEUED", "RUNNING", "COMPLETED", "FAILED"]}
  },
  "examples": [{"task_id": "0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13", "function_id": "71ed469b-bc52-45d5-89ae-b21aa40760c9", "status": "QUEUED"}]
},
"TaskBatch": {
  "type": "object", "additionalProperties": false, "required": ["tasks"],
  "properties": {
    "tasks": {"type": "array", "minItems": 1, "maxItems": 10000, "items": {"$ref": "#/components/schemas/BatchTask"}}
  },
  "examples": [{"tasks": [{"function_id": "71ed469b-bc52-45d5-89ae-b21aa40760c9", "args": [1, 2]},
    {"function_id": "71ed469b-bc52-45d5-89ae-b21aa40760c9", "args": [3, 4], "idempotency_key": "order-17"}]}]
},
"BatchAnswer": {
  "type": "object", "required": ["tasks", "accepted"],
  "properties": {
    "accepted": {"type": "integer", "minimum": 1, "description": "How many have a task now."},
    "tasks": {"type": "array", "description": "In the order of the request.", "items": {"type": "object", "properties": {
      "task_id": {"type": "string", "format": "uuid"},
      "replayed": {"type": "boolean", "description": "The key was known; the task is the first one's."},
      "error": {"type": "object", "description": "Instead of a task: its key was used for another call.", "required": ["code", "status", "detail"],
        "properties": {"code": {"type": "string"}, "status": {"type": "integer"}, "detail": {"type": "string"}}}}}}
  },
  "examples": [{"tasks": [{"task_id": "0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13", "replayed": false}], "accepted": 1}]
}})json";

constexpr std::string_view kTasks = R"json({
"Task": {
  "type": "object",
  "required": ["task_id", "function_id", "status", "attempts", "losses", "kills", "worker", "cancel_requested", "last_error", "error",
    "output", "progress", "now", "timeline", "durations", "measures", "options", "group", "result_bytes"],
  "properties": {
    "task_id": {"type": "string", "format": "uuid"},
    "function_id": {"type": "string", "format": "uuid"},
    "status": {"enum": ["QUEUED", "RUNNING", "COMPLETED", "FAILED"]},
    "attempts": {"type": "integer", "minimum": 0, "description": "Tries that were begun."},
    "losses": {"type": "integer", "minimum": 0, "description": "Attempts that were lost with their worker."},
    "kills": {"type": "integer", "minimum": 0, "description": "Executors that died under it."},
    "worker": {"type": ["string", "null"], "description": "That holds or held the last attempt."},
    "cancel_requested": {"type": "boolean"},
    "last_error": {"type": ["string", "null"], "description": "Of the last attempt that did not end the task."},
    "error": {"type": ["object", "null"], "description": "Why it FAILED.", "required": ["kind", "type", "message", "traceback", "ended_by"], "properties": {
      "kind": {"enum": ["FunctionFailed", "Timeout", "Crashed", "WorkerLost", "PoisonTask", "Cancelled", "Expired", "DeserializeFailed",
        "PythonMismatch", "EnvironmentFailed", "OutOfMemory", "LimitExceeded", "Unserializable", "ResultTooLarge"]},
      "type": {"type": "string", "description": "Of the exception."}, "message": {"type": "string"}, "traceback": {"type": ["string", "null"], "description": "Of the exception; or the Python stacks of a process that was ended or died."},
      "ended_by": {"enum": ["user_code", "time_limit", "cancel", "memory", "limit", "host", "service"], "description": "Whose doing it was. host: its process or worker was killed from outside, or vanished. service: it was not run, or its result was refused."}}},
    "output": {"type": "string", "description": "The last 64 KiB of its stdout and stderr."},
    "progress": {"type": ["object", "null"], "description": "How far it says that it is (treadle.progress), while it runs. It is not durable.", "required": ["fraction", "note", "at"], "properties": {
      "fraction": {"type": ["number", "null"], "minimum": 0, "maximum": 1}, "note": {"type": "string"}, "at": {"type": "string", "format": "date-time"}}},
    "now": {"type": "string", "format": "date-time", "description": "When this was answered."},
    "waiting_for": {"type": "string", "description": "Of a queued task that no worker may take now: why, in words."},
    "timeline": {"type": "object", "description": "Of the last attempt; null: not yet, or never.", "required": ["accepted", "not_before", "expires", "claimed", "started", "finished"], "properties": {
      "accepted": {"type": ["string", "null"], "format": "date-time"}, "not_before": {"type": ["string", "null"], "format": "date-time"},
      "expires": {"type": ["string", "null"], "format": "date-time", "description": "From then on it may not begin."}, "claimed": {"type": ["string", "null"], "format": "date-time"},
      "started": {"type": ["string", "null"], "format": "date-time"}, "finished": {"type": ["string", "null"], "format": "date-time"}}},
    "durations": {"type": "object", "description": "Seconds: waiting until it was claimed, starting until its code ran, running; together they are the total.",
      "required": ["waiting", "starting", "running", "total"], "properties": {
      "waiting": {"type": "number", "minimum": 0}, "starting": {"type": "number", "minimum": 0}, "running": {"type": "number", "minimum": 0}, "total": {"type": "number", "minimum": 0}}},
    "measures": {"type": "object", "description": "What its worker measured; what is unknown is absent.", "properties": {
      "run_seconds": {"type": "number"}, "cpu_seconds": {"type": "number"}, "peak_rss_bytes": {"type": "integer"},
      "exit_code": {"type": "integer"}, "signal": {"type": "integer"}, "signal_name": {"type": "string"}}},
    "options": {"$ref": "#/components/schemas/Options"},
    "group": {"type": ["string", "null"]},
    "result_bytes": {"type": "integer", "minimum": 0, "description": "Size of the result before base64."},
    "result": {"type": "string", "description": "With ?result=1, once it has ended: base64 of the pickled value or exception."}
  },
  "examples": [{"task_id": "0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13", "function_id": "71ed469b-bc52-45d5-89ae-b21aa40760c9", "status": "COMPLETED",
    "attempts": 1, "losses": 0, "kills": 0, "worker": "5d4a7e7e-0f0d-4c55-8f3c-0d9a1f3f7a10", "cancel_requested": false, "last_error": null, "error": null, "output": "",
    "progress": null, "now": "2026-11-25T18:07:46.901Z",
    "timeline": {"accepted": "2026-11-25T18:07:46.100Z", "not_before": null, "expires": "2026-12-25T18:07:46.100Z", "claimed": "2026-11-25T18:07:46.101Z", "started": "2026-11-25T18:07:46.102Z", "finished": "2026-11-25T18:07:46.502Z"},
    "durations": {"waiting": 0.001, "starting": 0.001, "running": 0.4, "total": 0.402}, "measures": {"run_seconds": 0.4003},
    "options": {"delivery": "at_least_once", "max_attempts": 3, "time_limit": null, "retries": 0, "retry_delay": 0, "priority": 0, "queue": "default", "isolation": "reuse"},
    "group": null, "result_bytes": 5}]
},
"TaskLogs": {
  "type": "object", "required": ["task_id", "status", "attempts", "output", "final"],
  "properties": {
    "task_id": {"type": "string", "format": "uuid"},
    "status": {"enum": ["QUEUED", "RUNNING", "COMPLETED", "FAILED"]},
    "attempts": {"type": "integer", "minimum": 0},
    "output": {"type": "string", "description": "The last 64 KiB of what its last attempt wrote to stdout and stderr; kept when the task ends."},
    "final": {"type": "boolean", "description": "It has ended: no more will come."}
  },
  "examples": [{"task_id": "0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13", "status": "COMPLETED", "attempts": 1, "output": "hello\n", "final": true}]
},
"TaskPage": {
  "type": "object", "required": ["tasks", "next_cursor"],
  "properties": {
    "tasks": {"type": "array", "description": "Newest first.", "items": {
      "type": "object", "required": ["task_id", "function_id", "status", "attempts", "error_kind"],
      "properties": {"task_id": {"type": "string", "format": "uuid"}, "function_id": {"type": "string", "format": "uuid"},
        "status": {"enum": ["QUEUED", "RUNNING", "COMPLETED", "FAILED"]}, "attempts": {"type": "integer"}, "error_kind": {"type": ["string", "null"]}}}},
    "next_cursor": {"type": ["string", "null"], "description": "For ?cursor=; null: this is the last page. A page may hold fewer tasks than asked for and still have one."}
  },
  "examples": [{"tasks": [{"task_id": "0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13", "function_id": "71ed469b-bc52-45d5-89ae-b21aa40760c9",
    "status": "FAILED", "attempts": 1, "error_kind": "Timeout"}], "next_cursor": "4711"}]
}})json";

constexpr std::string_view kMany = R"json({
"TaskIds": {
  "type": "object", "additionalProperties": false, "required": ["task_ids"],
  "properties": {"task_ids": {"type": "array", "minItems": 1, "maxItems": 10000, "items": {"type": "string", "format": "uuid"}}},
  "examples": [{"task_ids": ["0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13"]}]
},
"LookupAnswer": {
  "type": "object", "required": ["tasks", "missing"],
  "properties": {
    "tasks": {"type": "array", "description": "In the order of the request.", "items": {
      "type": "object", "required": ["task_id", "function_id", "status", "attempts", "error_kind"],
      "properties": {"task_id": {"type": "string", "format": "uuid"}, "function_id": {"type": "string", "format": "uuid"},
        "status": {"enum": ["QUEUED", "RUNNING", "COMPLETED", "FAILED"]}, "attempts": {"type": "integer"}, "error_kind": {"type": ["string", "null"]}}}},
    "missing": {"type": "array", "description": "What there is no task of.", "items": {"type": "string", "format": "uuid"}}
  },
  "examples": [{"tasks": [{"task_id": "0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13", "function_id": "71ed469b-bc52-45d5-89ae-b21aa40760c9",
    "status": "RUNNING", "attempts": 1, "error_kind": null}], "missing": []}]
},
"WaitRequest": {
  "type": "object", "additionalProperties": false, "required": ["task_ids"],
  "properties": {
    "task_ids": {"type": "array", "minItems": 1, "maxItems": 10000, "items": {"type": "string", "format": "uuid"}},
    "wait": {"type": "number", "minimum": 0, "maximum": 60, "default": 30, "description": "Seconds to hold the answer until a task has ended."},
    "results": {"type": "boolean", "default": false, "description": "With the results of those that have ended."}
  },
  "examples": [{"task_ids": ["0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13"], "wait": 30, "results": true}]
},
"WaitAnswer": {
  "type": "object", "required": ["tasks", "missing", "waiting"],
  "properties": {
    "tasks": {"type": "array", "description": "Those that have ended. With results no more than 8 MiB of them; the next request gets the others.", "items": {
      "type": "object", "required": ["task_id", "function_id", "status", "attempts", "error_kind"],
      "properties": {"task_id": {"type": "string", "format": "uuid"}, "function_id": {"type": "string", "format": "uuid"},
        "status": {"enum": ["COMPLETED", "FAILED"]}, "attempts": {"type": "integer"}, "error_kind": {"type": ["string", "null"]},
        "result_bytes": {"type": "integer", "minimum": 0, "description": "If results were asked for: its size before base64."},
        "result": {"type": ["string", "null"], "description": "Base64 of the pickled value or exception. null: it is over 256 KiB; GET /result/{task_id} has it."}}}},
    "missing": {"type": "array", "description": "What there is no task of.", "items": {"type": "string", "format": "uuid"}},
    "waiting": {"type": "integer", "minimum": 0, "description": "How many of the others there are."}
  },
  "examples": [{"tasks": [{"task_id": "0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13", "function_id": "71ed469b-bc52-45d5-89ae-b21aa40760c9",
    "status": "COMPLETED", "attempts": 1, "error_kind": null, "result_bytes": 5, "result": "gARLKi4="}], "missing": [], "waiting": 0}]
}})json";

constexpr std::string_view kOthers = R"json({
"Workers": {
  "type": "object", "required": ["workers"],
  "properties": {"workers": {"type": "array", "items": {
    "type": "object",
    "required": ["worker_id", "state", "lost_why", "dispatcher", "mode", "host", "pid", "python", "queues", "labels", "slots", "slots_free", "load", "running", "last_heartbeat", "current_task", "current_tasks"],
    "properties": {
      "worker_id": {"type": "string", "format": "uuid"},
      "state": {"enum": ["ready", "draining", "lost"]},
      "lost_why": {"type": ["string", "null"]},
      "dispatcher": {"type": "string"},
      "mode": {"enum": ["local", "push", "pull"]},
      "host": {"type": "string"}, "pid": {"type": "integer"},
      "python": {"type": "array", "items": {"type": "string"}},
      "queues": {"type": "array", "items": {"type": "string"}},
      "labels": {"type": "array", "items": {"type": "string"}, "description": "Words that tasks may ask for."},
      "slots": {"type": "integer", "description": "Tasks that it can run at once."}, "slots_free": {"type": "integer"},
      "load": {"type": "integer", "description": "Attempts that it holds."}, "running": {"type": "integer"},
      "last_heartbeat": {"type": ["string", "null"], "format": "date-time"},
      "current_task": {"type": ["string", "null"]},
      "current_tasks": {"type": "array", "items": {"type": "string"}, "description": "At most 64."}}}}},
  "examples": [{"workers": [{"worker_id": "5d4a7e7e-0f0d-4c55-8f3c-0d9a1f3f7a10", "state": "ready", "lost_why": null, "dispatcher": "serve", "mode": "local",
    "host": "box", "pid": 4711, "python": ["3.11.2"], "queues": ["default"], "labels": ["python=3.11"], "slots": 4, "slots_free": 3, "load": 1, "running": 1,
    "last_heartbeat": "2026-11-25T18:07:46.123Z", "current_task": "0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13", "current_tasks": ["0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13"]}]}]
},
"Problem": {
  "type": "object", "required": ["type", "title", "status", "code", "detail"],
  "description": "RFC 9457. Programs look at `code`.",
  "properties": {
    "type": {"type": "string", "format": "uri"}, "title": {"type": "string"}, "status": {"type": "integer"},
    "code": {"type": "string"}, "detail": {"type": "string", "description": "What was wrong, and what to do."}
  },
  "examples": [{"type": "urn:treadle:problem:not-found", "title": "Not Found", "status": 404, "code": "not-found", "detail": "There is no task 0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13."}]
}})json";

// A call in a batch is like one by itself, and may have a key of its own.
boost::json::value batch_task(const boost::json::value& request) {
  boost::json::value task = request;
  task.at("properties").as_object()["idempotency_key"] = boost::json::parse(R"json(
    {"type": "string", "minLength": 1, "maxLength": 255, "description": "As the header Idempotency-Key of POST /v1/tasks."})json");
  return task;
}

}  // namespace

boost::json::object v1_schemas() {
  boost::json::object all;
  for (const std::string_view part : {kFunctions, kSubmits, kTasks, kMany, kOthers}) {
    boost::json::value parsed = boost::json::parse({part.data(), part.size()});
    for (auto& member : parsed.as_object()) all[member.key()] = std::move(member.value());
  }
  all["BatchTask"] = batch_task(all["TaskRequest"]);
  for (auto& member : v1_outcome_schemas()) all[member.key()] = std::move(member.value());
  for (auto& member : v1_group_schemas()) all[member.key()] = std::move(member.value());
  return all;
}

}  // namespace treadle::gateway

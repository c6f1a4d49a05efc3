// The schemas of /v1 for what is done to many tasks at once: groups, selections, queues.
#include <string_view>

#include <boost/json/parse.hpp>

#include "gateway/schemas.h"

namespace treadle::gateway {
namespace {

constexpr std::string_view kGroups = R"json({
"GroupEvent": {
  "type": "object",
  "description": "A task that has ended; or the last line, which has `end`.",
  "required": ["cursor"],
  "properties": {
    "task_id": {"type": "string", "format": "uuid"},
    "status": {"enum": ["COMPLETED", "FAILED"]},
    "error": {"type": ["object", "null"], "description": "Why it FAILED.", "required": ["kind", "type", "message"], "properties": {
      "kind": {"type": "string"}, "type": {"type": "string", "description": "Of the exception."}, "message": {"type": "string"}}},
    "result_bytes": {"type": "integer", "minimum": 0, "description": "Size of the result before base64."},
    "result": {"type": ["string", "null"], "description": "Base64 of the pickled value or exception. null: it is over 256 KiB; `result_url` has it."},
    "result_url": {"type": "string"},
    "cursor": {"type": "string", "description": "For ?cursor= or Last-Event-ID, to go on after this line."},
    "end": {"enum": ["finished", "stopping", "failed"], "description": "finished: all tasks of the group that were there have ended. stopping: the service stops; ask again with the cursor. failed: the store could not be read, see `detail`."},
    "detail": {"type": "string"}
  },
  "examples": [{"task_id": "0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13", "status": "COMPLETED", "error": null, "result_bytes": 5, "result": "gARLKi4=", "cursor": "4711"},
    {"end": "finished", "cursor": "4711"}]
},
"CancelRequest": {
  "type": "object", "additionalProperties": false, "required": [],
  "anyOf": [{"required": ["status"]}, {"required": ["group"]}, {"required": ["function_id"]}, {"required": ["queue"]}, {"required": ["created_after"]}, {"required": ["created_before"]}, {"required": ["all"], "properties": {"all": {"const": true}}}],
  "description": "Which tasks: those that match all that is named. At least one filter, or `all`.",
  "properties": {
    "status": {"enum": ["QUEUED", "RUNNING"], "description": "Only these; else both."},
    "group": {"type": "string", "minLength": 1, "maxLength": 128},
    "function_id": {"type": "string", "format": "uuid"},
    "queue": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    "created_after": {"type": "string", "format": "date-time", "description": "Accepted then or later."},
    "created_before": {"type": "string", "format": "date-time", "description": "Accepted earlier."},
    "all": {"type": "boolean", "default": false, "description": "Every task is meant."},
    "dry_run": {"type": "boolean", "default": false, "description": "Only count them: `limit` does not hold."},
    "limit": {"type": "integer", "minimum": 1, "maximum": 10000, "default": 10000, "description": "Tasks that this request acts on at most."},
    "cursor": {"type": "string", "description": "The next_cursor of the same request before."}
  },
  "examples": [{"group": "nightly", "dry_run": true}, {"status": "QUEUED", "queue": "gpu", "created_before": "2026-11-25T00:00:00.000Z"}]
},
"CancelAnswer": {
  "type": "object", "required": ["matched", "cancelled", "requested", "ended", "dry_run", "next_cursor"],
  "properties": {
    "matched": {"type": "integer", "minimum": 0},
    "cancelled": {"type": "integer", "minimum": 0, "description": "Were waiting, and are FAILED Cancelled now."},
    "requested": {"type": "integer", "minimum": 0, "description": "Are with a worker, which ends them."},
    "ended": {"type": "integer", "minimum": 0, "description": "Ended by themselves meanwhile."},
    "dry_run": {"type": "boolean"},
    "next_cursor": {"type": ["string", "null"], "description": "null: all were seen."}
  },
  "examples": [{"matched": 3, "cancelled": 2, "requested": 1, "ended": 0, "dry_run": false, "next_cursor": null}]
},
"RetryRequest": {
  "type": "object", "additionalProperties": false, "required": [],
  "anyOf": [{"required": ["status"]}, {"required": ["group"]}, {"required": ["function_id"]}, {"required": ["queue"]}, {"required": ["created_after"]}, {"required": ["created_before"]}, {"required": ["all"], "properties": {"all": {"const": true}}}],
  "description": "Which of the tasks that FAILED: those that match all that is named. At least one filter (`status` counts), or `all`.",
  "properties": {
    "status": {"enum": ["FAILED"]},
    "group": {"type": "string", "minLength": 1, "maxLength": 128},
    "function_id": {"type": "string", "format": "uuid"},
    "queue": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    "created_after": {"type": "string", "format": "date-time"},
    "created_before": {"type": "string", "format": "date-time"},
    "all": {"type": "boolean", "default": false},
    "dry_run": {"type": "boolean", "default": false},
    "limit": {"type": "integer", "minimum": 1, "maximum": 10000, "default": 10000},
    "cursor": {"type": "string"}
  },
  "examples": [{"group": "nightly"}]
},
"RetryAnswer": {
  "type": "object", "required": ["matched", "retried", "repeated", "refused", "error", "tasks", "dry_run", "next_cursor"],
  "properties": {
    "matched": {"type": "integer", "minimum": 0},
    "retried": {"type": "integer", "minimum": 0, "description": "Have a new task now."},
    "repeated": {"type": "integer", "minimum": 0, "description": "Were retried before."},
    "refused": {"type": "integer", "minimum": 0, "description": "Could not be submitted again."},
    "error": {"type": ["string", "null"], "description": "Why the first of those could not."},
    "tasks": {"type": "array", "items": {"$ref": "#/components/schemas/Retried"}},
    "dry_run": {"type": "boolean"},
    "next_cursor": {"type": ["string", "null"]}
  },
  "examples": [{"matched": 1, "retried": 1, "repeated": 0, "refused": 0, "error": null, "tasks": [{"task_id": "0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13",
    "new_task_id": "01936110-0a2b-7c1d-8e3f-5a6b7c8d9e00", "repeated": false}], "dry_run": false, "next_cursor": null}]
},
"Retried": {
  "type": "object", "required": ["task_id", "new_task_id", "repeated"],
  "properties": {
    "task_id": {"type": "string", "format": "uuid", "description": "That FAILED, and stays so."},
    "new_task_id": {"type": "string", "format": "uuid", "description": "The same call again."},
    "repeated": {"type": "boolean", "description": "It was retried before; the new task is from then."}
  },
  "examples": [{"task_id": "0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13", "new_task_id": "01936110-0a2b-7c1d-8e3f-5a6b7c8d9e00", "repeated": false}]
},
"Queues": {
  "type": "object", "required": ["queues"],
  "properties": {"queues": {"type": "array", "description": "Those that somebody waits in, works for or has paused; at most 1,000.", "items": {
    "type": "object", "required": ["name", "queued", "running", "oldest_seconds", "paused"],
    "properties": {
      "name": {"type": "string"},
      "queued": {"type": "integer", "minimum": 0, "description": "Tasks that could run now, had they a slot; those whose time has not come are not among them."},
      "running": {"type": "integer", "minimum": 0, "description": "Tasks that were given to workers."},
      "oldest_seconds": {"type": ["number", "null"], "minimum": 0, "description": "For how long the oldest of the queued ones has been there."},
      "paused": {"type": "boolean"}}}}},
  "examples": [{"queues": [{"name": "default", "queued": 12, "running": 4, "oldest_seconds": 3.25, "paused": false}]}]
},
"QueueState": {
  "type": "object", "required": ["name", "paused"],
  "properties": {"name": {"type": "string"}, "paused": {"type": "boolean"}},
  "examples": [{"name": "gpu", "paused": true}]
}})json";

}  // namespace

boost::json::object v1_group_schemas() { return boost::json::parse({kGroups.data(), kGroups.size()}).as_object(); }

}  // namespace treadle::gateway

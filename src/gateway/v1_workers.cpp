// GET /v1/workers: what the dispatchers last reported.
#include <string>
#include <utility>
#include <vector>

#include "core/policy.h"
#include "gateway/handlers.h"
#include "gateway/json_writer.h"
#include "gateway/service.h"
#include "gateway/time_text.h"

namespace treadle::gateway {
namespace {

std::string text_of(const core::PythonVersion& python) {
  return std::to_string(python.major) + '.' + std::to_string(python.minor) + '.' + std::to_string(python.micro);
}

void write_tasks(JsonWriter& to, const std::vector<TaskId>& tasks) {
  to.key("current_task");
  if (tasks.empty())
    to.null();
  else
    to.value(to_string(tasks.front()));
  to.key("current_tasks").begin_array();
  for (const TaskId task : tasks) to.value(to_string(task));
  to.end_array();
}

void write_worker(JsonWriter& to, const store::WorkerReport& worker) {
  to.begin_object().member("worker_id", to_string(worker.id)).member("state", worker.state);
  to.key("lost_why");
  if (worker.lost_why.empty())
    to.null();
  else
    to.value(worker.lost_why);
  to.member("dispatcher", worker.dispatcher).member("mode", core::name_of(worker.mode));
  to.member("host", worker.info.host).member("pid", worker.info.pid);
  to.key("python").begin_array();
  for (const core::PythonVersion& python : worker.info.pythons) to.value(text_of(python));
  to.end_array().key("queues").begin_array();
  for (const std::string& queue : worker.info.queues) to.value(queue.empty() ? "default" : std::string_view(queue));
  if (worker.info.queues.empty()) to.value("default");
  to.end_array().key("labels").begin_array();
  for (const std::string& label : worker.info.labels) to.value(label);
  to.end_array();
  to.member("slots", worker.info.slots).member("slots_free", worker.free_slots);
  to.member("load", worker.load).member("running", worker.running);
  to.key("last_heartbeat");
  if (worker.last_heartbeat.ms == 0)
    to.null();
  else
    to.value(rfc3339(worker.last_heartbeat));
  write_tasks(to, worker.current_tasks);
  to.end_object();
}

}  // namespace

void v1_workers(Service& service, const Request&, Responder out) {
  service.store.workers([out = std::move(out)](Result<std::vector<store::WorkerReport>> workers) mutable {
    if (!workers) return out.fail(workers.error());
    JsonWriter json;
    json.begin_object().key("workers").begin_array();
    for (const store::WorkerReport& worker : *workers) write_worker(json, worker);
    out.send(200, json.end_array().end_object().take());
  });
}

}  // namespace treadle::gateway

// What a dispatcher reports of its workers, as JSON that people can read in Redis.
#include <algorithm>

#include <boost/json.hpp>

#include "store/redis/fields.h"

namespace treadle::store::redis {
namespace {

namespace json = boost::json;

json::object object_of(const WorkerReport& w) {
  json::array pythons, queues, labels, features, tasks;
  for (const core::PythonVersion& p : w.info.pythons) pythons.push_back({p.major, p.minor, p.micro});
  for (const std::string& queue : w.info.queues) queues.emplace_back(queue);
  for (const std::string& label : w.info.labels) labels.emplace_back(label);
  for (const std::string& feature : w.info.features) features.emplace_back(feature);
  for (const TaskId id : w.current_tasks) tasks.emplace_back(to_string(id));
  return {{"id", to_string(w.id)},
          {"dispatcher", w.dispatcher},
          {"mode", core::name_of(w.mode)},
          {"state", w.state},
          {"lost_why", w.lost_why},
          {"host", w.info.host},
          {"pid", w.info.pid},
          {"slots", w.info.slots},
          {"pythons", std::move(pythons)},
          {"queues", std::move(queues)},
          {"labels", std::move(labels)},
          {"features", std::move(features)},
          {"in_process", w.info.in_process},
          {"load", w.load},
          {"running", w.running},
          {"free_slots", w.free_slots},
          {"last_heartbeat", w.last_heartbeat.ms},
          {"current_tasks", std::move(tasks)}};
}

std::string text_at(const json::object& from, const char* name) {
  const json::value* value = from.if_contains(name);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::int64_t number_at(const json::object& from, const char* name) {
  const json::value* value = from.if_contains(name);
  return value && value->is_int64() ? value->get_int64() : 0;
}

template <class Use>
void each_at(const json::object& from, const char* name, Use use) {
  const json::value* value = from.if_contains(name);
  if (!value || !value->is_array()) return;
  for (const json::value& one : value->get_array()) use(one);
}

void add_texts(const json::object& from, const char* name, std::vector<std::string>& out) {
  each_at(from, name, [&](const json::value& one) {
    if (one.is_string()) out.emplace_back(one.get_string());
  });
}

std::uint32_t small_at(const json::object& from, const char* name) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(number_at(from, name), 0, UINT32_MAX));
}

std::optional<WorkerReport> report_of(const json::value& value) {
  if (!value.is_object()) return std::nullopt;
  const json::object& from = value.get_object();
  const auto id = WorkerId::parse(text_at(from, "id"));
  if (!id) return std::nullopt;
  WorkerReport w;
  w.id = *id;
  w.dispatcher = text_at(from, "dispatcher");
  w.mode = core::parse_mode(text_at(from, "mode")).value_or(core::Mode::Local);
  w.state = text_at(from, "state");
  w.lost_why = text_at(from, "lost_why");
  w.info.host = text_at(from, "host");
  w.info.pid = small_at(from, "pid");
  w.info.slots = small_at(from, "slots");
  each_at(from, "pythons", [&](const json::value& one) {
    if (!one.is_array() || one.get_array().size() != 3) return;
    std::uint8_t parts[3] = {};
    for (std::size_t i = 0; i < 3; ++i) {
      const json::value& part = one.get_array()[i];
      if (part.is_int64()) parts[i] = static_cast<std::uint8_t>(part.get_int64());
    }
    w.info.pythons.push_back({parts[0], parts[1], parts[2]});
  });
  add_texts(from, "queues", w.info.queues);
  add_texts(from, "labels", w.info.labels);
  add_texts(from, "features", w.info.features);
  const json::value* in_process = from.if_contains("in_process");
  w.info.in_process = in_process && in_process->is_bool() && in_process->get_bool();
  w.load = small_at(from, "load");
  w.running = small_at(from, "running");
  w.free_slots = small_at(from, "free_slots");
  w.last_heartbeat = WallMs{number_at(from, "last_heartbeat")};
  std::vector<std::string> tasks;
  add_texts(from, "current_tasks", tasks);
  for (const std::string& text : tasks) {
    if (const auto task = TaskId::parse(text)) w.current_tasks.push_back(*task);
  }
  return w;
}

}  // namespace

std::string text_of(const std::vector<WorkerReport>& workers) {
  json::array all;
  for (const WorkerReport& w : workers) all.push_back(object_of(w));
  return json::serialize(all);
}

std::vector<WorkerReport> workers_of(std::string_view text) {
  std::vector<WorkerReport> workers;
  boost::system::error_code error;
  const json::value value = json::parse(json::string_view(text.data(), text.size()), error);
  if (error || !value.is_array()) return workers;
  for (const json::value& one : value.get_array()) {
    if (auto report = report_of(one)) workers.push_back(std::move(*report));
  }
  return workers;
}

}  // namespace treadle::store::redis

#include "gateway/openapi.h"

#include <string>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "base/assert.h"
#include "gateway/errors.h"
#include "gateway/request.h"
#include "gateway/schemas.h"

namespace treadle::gateway {
namespace {

namespace json = boost::json;

json::string_view sv(std::string_view text) { return {text.data(), text.size()}; }

json::object reference(std::string_view schema) { return {{"$ref", "#/components/schemas/" + std::string(schema)}}; }

json::object content(std::string_view type, json::object schema) {
  return {{sv(type), json::object{{"schema", std::move(schema)}}}};
}

void add_bytes(json::object& contents) {
  contents[sv(kOctetStream)] = json::object{{"schema", json::object{{"description", "A pickle."}}}};
}

struct Query {
  std::string_view name;
  std::string_view description;
  std::string_view schema;
};

constexpr Query kQueries[] = {
    {"wait", "Seconds to hold the answer until the task has ended.",
     R"({"type": "number", "minimum": 0, "maximum": 60, "default": 0})"},
    {"result", "1: with the result, if there is one.", R"({"enum": [0, 1], "default": 0})"},
    {"state", "Only tasks with this status.", R"({"enum": ["QUEUED", "RUNNING", "COMPLETED", "FAILED"]})"},
    {"function_id", "Only calls of this function; with a raw body, the function that is called.",
     R"({"type": "string", "format": "uuid"})"},
    {"group", "Only tasks of this group; with a raw body, the group that it is put into.", R"({"type": "string"})"},
    {"limit", "Rows of the page.", R"({"type": "integer", "minimum": 1, "maximum": 1000, "default": 100})"},
    {"name", "Only registrations of this name, newest first.", R"({"type": "string", "minLength": 1})"},
    {"options", "With a raw body: options as JSON, like {\"priority\": 5}.", R"({"type": "string"})"},
    {"delay", "With a raw body: seconds before it may run.",
     R"({"type": "number", "minimum": 0, "maximum": 31536000})"},
    {"queue_ttl", "With a raw body: seconds that it may wait.",
     R"({"type": "number", "exclusiveMinimum": 0, "maximum": 31536000})"},
    {"expires_in", "With a raw body: seconds within which it must begin.",
     R"({"type": "number", "exclusiveMinimum": 0, "maximum": 31536000})"},
    {"deadline", "With a raw body: the instant by which it must begin.",
     R"({"type": "string", "format": "date-time"})"},
    {"cursor", "The next_cursor of the page before; of a stream, the cursor of the last line that was read.",
     R"({"type": "string"})"},
    {"queue", "Only tasks of this queue.", R"({"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"})"},
    {"created_after", "Only tasks that were accepted then or later.", R"({"type": "string", "format": "date-time"})"},
    {"created_before", "Only tasks that were accepted earlier.", R"({"type": "string", "format": "date-time"})"},
    {"follow",
     "1, of a task's output: plain text, in chunks, while the task runs; `wait` is then not looked at. Of a group: the "
     "stream goes on when all tasks have ended, for those to come.",
     R"({"enum": [0, 1], "default": 0})"},
};

json::object query_parameter(std::string_view name) {
  for (const Query& one : kQueries)
    if (one.name == name)
      return {{"name", sv(name)},
              {"in", "query"},
              {"description", sv(one.description)},
              {"schema", json::parse(sv(one.schema))}};
  assert_failed("query_parameter", __FILE__, __LINE__, "a route names a parameter that is not described");
}

// Every {name} of the pattern is a path parameter.
json::array parameters(const Route& route) {
  json::array out;
  for (auto at = route.pattern.find('{'); at != std::string_view::npos; at = route.pattern.find('{', at + 1)) {
    const std::string_view name = route.pattern.substr(at + 1, route.pattern.find('}', at) - at - 1);
    json::object schema{{"type", "string"}};
    if (name.ends_with("_id")) schema["format"] = "uuid";
    out.push_back(json::object{{"name", sv(name)}, {"in", "path"}, {"required", true}, {"schema", std::move(schema)}});
  }
  for (const std::string_view name : route.query)
    if (!name.empty()) out.push_back(query_parameter(name));
  if (route.keyed)
    out.push_back(json::object{{"name", "Idempotency-Key"},
                               {"in", "header"},
                               {"description", "The same key with the same call gives the first task's id again."},
                               {"schema", json::object{{"type", "string"}, {"maxLength", 255}}}});
  return out;
}

std::string_view meaning_of(int status, bool v1) {
  if (status == 406) return "The function returned what JSON cannot carry; `result_url` gives it as a pickle.";
  if (status == 422) return "The task FAILED; `error` tells how.";
  for (int i = 0; i <= static_cast<int>(Code::Internal); ++i) {
    const ErrorRow& row = error_row(static_cast<Code>(i));
    if ((v1 ? row.status_v1 : row.status) == status) return row.when;
  }
  return reason_phrase(status);
}

json::object success(Schema answer, std::string_view text) {
  json::object out{{"description", sv(text)}};
  if (answer != Schema::None) out["content"] = content(kJson, reference(schema_name(answer)));
  return out;
}

// How a task ended is a problem of its own kind, with the task in it.
std::string_view problem_of(int status) {
  if (status == 406) return "ResultProblem";
  return status == 422 ? "TaskProblem" : "Problem";
}

json::object failure(const Route& route, std::string_view text, int status = 0) {
  const bool v1 = is_v1(route.pattern);
  return {{"description", sv(text)},
          {"content", content(v1 ? kProblemJson : kJson, reference(v1 ? problem_of(status) : "Error"))}};
}

// One schema for each line, or for the data of each event.
json::object streamed(Schema answer) {
  json::object out = content("application/x-ndjson", reference(schema_name(answer)));
  out["text/event-stream"] = json::object{{"schema", reference(schema_name(answer))}};
  return out;
}

json::object responses(const Route& route, const GatewayConfig& config) {
  json::object out;
  json::object& done = out[std::to_string(route.creates ? config.created_status : route.success)].emplace_object();
  done = success(route.answer, "Done.");
  if (route.pickle) add_bytes(done["content"].as_object());
  if (route.streams) done["content"] = streamed(route.answer);
  for (const int status : route.statuses) {
    if (status == 0) break;
    json::object& response = out[std::to_string(status)].emplace_object();
    if (status == 204)
      response = success(Schema::None, "The client has had all of it; there is no need to ask again.");
    else if (status == 304)
      response = success(Schema::None, "The client has it already (If-None-Match).");
    else if (status == 202 && route.pending != Schema::None)
      response = success(route.pending, "The task has not ended yet; it goes on.");
    else if (status == 202)
      response = success(route.answer, "Asked for; the task has not ended yet.");
    else if (route.answer == Schema::Ready)
      response = success(route.answer, "Not ready; `detail` says why.");
    else
      response = failure(route, meaning_of(status, is_v1(route.pattern)), status);
  }
  // Any route may answer these before its handler is asked.
  out["421"] = failure(route, "The Host header names somebody else (see --allow-host).");
  out["403"] = failure(route, "The Origin is not allowed (see --allow-origin).");
  return out;
}

json::object operation(const Route& route, const GatewayConfig& config) {
  json::object out{
      {"operationId", sv(route.operation)}, {"tags", json::array{sv(route.tag)}}, {"summary", sv(route.summary)}};
  if (!route.description.empty()) out["description"] = sv(route.description);
  if (json::array all = parameters(route); !all.empty()) out["parameters"] = std::move(all);
  if (route.request != Schema::None) {
    json::object bodies = content(kJson, reference(schema_name(route.request)));
    if (route.raw) add_bytes(bodies);
    out["requestBody"] = json::object{{"required", true}, {"content", std::move(bodies)}};
  }
  out["responses"] = responses(route, config);
  return out;
}

}  // namespace

std::string openapi_document(std::span<const Route> routes, const GatewayConfig& config, const BuildInfo& build) {
  json::object paths;
  for (const Route& route : routes) {
    if (route.hidden) continue;
    std::string method(name_of(route.method));
    for (char& c : method) c = static_cast<char>(c | 0x20);
    json::value& path = paths[sv(route.pattern)];
    if (path.is_null()) path.emplace_object();
    path.as_object()[method] = operation(route, config);
  }
  const json::object document{
      {"openapi", "3.1.0"},
      {"info", json::object{{"title", "Treadle"},
                            {"version", sv(build.version)},
                            {"summary", "Python functions as a service"},
                            {"description",
                             "Register a serialized Python function, execute it by id, read its status and its "
                             "result.\n\nPayloads are base64 text of a pickle, as "
                             "`codecs.encode(dill.dumps(obj), \"base64\").decode()` makes it; arguments are the "
                             "pickle of `((args...), {kwargs})`."},
                            {"license", json::object{{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}}}},
      {"tags", json::array{json::object{{"name", "functions"}, {"description", "What can be run"}},
                           json::object{{"name", "tasks"}, {"description", "One call each"}},
                           json::object{{"name", "service"}, {"description", "The service itself"}}}},
      {"paths", std::move(paths)},
      {"components", json::object{{"schemas", schemas()}}}};
  return json::serialize(document);
}

}  // namespace treadle::gateway

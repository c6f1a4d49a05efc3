#include "gateway/openapi.h"

#include <string>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "gateway/errors.h"
#include "gateway/schemas.h"

namespace treadle::gateway {
namespace {

namespace json = boost::json;

json::string_view sv(std::string_view text) { return {text.data(), text.size()}; }

json::object reference(std::string_view schema) { return {{"$ref", "#/components/schemas/" + std::string(schema)}}; }

json::object content(std::string_view type, json::object schema) {
  return {{sv(type), json::object{{"schema", std::move(schema)}}}};
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
  if (route.answer == Schema::ResultAnswer)
    out.push_back(
        json::object{{"name", "wait"},
                     {"in", "query"},
                     {"description", "Seconds to hold the answer until the task has ended."},
                     {"schema", json::object{{"type", "number"}, {"minimum", 0}, {"maximum", 60}, {"default", 0}}}});
  if (route.keyed)
    out.push_back(json::object{{"name", "Idempotency-Key"},
                               {"in", "header"},
                               {"description", "The same key with the same call gives the first task's id again."},
                               {"schema", json::object{{"type", "string"}, {"maxLength", 255}}}});
  return out;
}

std::string_view meaning_of(int status) {
  for (int i = 0; i <= static_cast<int>(Code::Internal); ++i)
    if (const ErrorRow& row = error_row(static_cast<Code>(i)); row.status == status) return row.when;
  return reason_phrase(status);
}

json::object success(const Route& route) {
  json::object out{{"description", "Done."}};
  if (route.answer != Schema::None) out["content"] = content(kJson, reference(schema_name(route.answer)));
  return out;
}

json::object responses(const Route& route, const GatewayConfig& config) {
  json::object out;
  out[std::to_string(route.creates ? config.created_status : 200)] = success(route);
  for (const int status : route.statuses) {
    if (status == 0) break;
    const bool ready = route.answer == Schema::Ready;
    out[std::to_string(status)] =
        json::object{{"description", sv(ready ? "Not ready; `detail` says why." : meaning_of(status))},
                     {"content", content(kJson, reference(ready ? "Ready" : "Error"))}};
  }
  // Any route may answer these before its handler is asked.
  out["421"] = json::object{{"description", "The Host header names somebody else (see --allow-host)."},
                            {"content", content(kJson, reference("Error"))}};
  out["403"] = json::object{{"description", "The Origin is not allowed (see --allow-origin)."},
                            {"content", content(kJson, reference("Error"))}};
  return out;
}

json::object operation(const Route& route, const GatewayConfig& config) {
  json::object out{
      {"operationId", sv(route.operation)}, {"tags", json::array{sv(route.tag)}}, {"summary", sv(route.summary)}};
  if (!route.description.empty()) out["description"] = sv(route.description);
  if (json::array all = parameters(route); !all.empty()) out["parameters"] = std::move(all);
  if (route.request != Schema::None)
    out["requestBody"] =
        json::object{{"required", true}, {"content", content(kJson, reference(schema_name(route.request)))}};
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

#include "gateway/v1_raw.h"

#include <string>
#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include "core/limits.h"
#include "gateway/query.h"

namespace treadle::gateway {
namespace {

namespace json = boost::json;

// A parameter that is JSON by itself; null where it is not there.
json::value parsed(QueryReader& query, std::string_view name, const char* should_be) {
  const auto text = query.text(name);
  if (!text) return nullptr;
  boost::system::error_code error;
  json::parse_options options;
  options.max_depth = core::limits::kMaxJsonDepth;
  json::value value = json::parse(*text, error, {}, options);
  if (!error) return value;
  query.fail_with(fail(Code::Invalid, std::string(name) + " must be " + should_be + "."));
  return nullptr;
}

}  // namespace

Result<std::shared_ptr<json::object>> raw_fields(std::string_view text) {
  QueryReader query(text);
  auto fields = std::make_shared<json::object>();
  for (const char* name : {"function_id", "group", "deadline"})
    if (const auto value = query.text(name)) (*fields)[name].emplace_string().assign(value->data(), value->size());
  for (const char* name : {"delay", "queue_ttl", "expires_in"})
    (*fields)[name] = parsed(query, name, "a number of seconds");
  (*fields)["options"] = parsed(query, "options", "a JSON object like {\"priority\": 5}");
  if (auto sound = query.finish(); !sound) return std::move(sound.error());
  return fields;
}

}  // namespace treadle::gateway

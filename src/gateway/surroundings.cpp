#include "gateway/surroundings.h"

#include <algorithm>
#include <string>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "core/limits.h"

namespace treadle::gateway {
namespace {

namespace json = boost::json;
namespace limits = core::limits;

constexpr std::string_view kOurs = "TREADLE_";

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

bool is_variable(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto fits = [&](char c) { return letter(c) || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= limits::kMaxVariableName && letter(name[0]) &&
         std::all_of(name.begin(), name.end(), fits) && !name.starts_with(kOurs);
}

bool is_environment(const json::object& env) {
  return std::all_of(env.begin(), env.end(), [](const auto& member) {
    const json::string* value = member.value().if_string();
    return value && view(*value).find('\0') == std::string_view::npos &&
           is_variable({member.key().data(), member.key().size()});
  });
}

bool is_list_of_names(const json::array& names) {
  return std::all_of(names.begin(), names.end(), [](const json::value& name) {
    const json::string* text = name.if_string();
    return text && is_variable(view(*text));
  });
}

// A line for pip or uv that cannot be taken for one of their flags; as the pattern in schemas_v1.cpp has it.
bool is_requirement(std::string_view text) {
  const auto printable = [](char c) {
    return static_cast<unsigned char>(c) >= ' ' && static_cast<unsigned char>(c) < 0x7F;
  };
  return !text.empty() && text.size() <= limits::kMaxRequirement && text[0] != '-' && text[0] != ' ' &&
         std::all_of(text.begin(), text.end(), printable);
}

// In one order and each once: equal ones are one environment.
json::array requirements_of(const json::array& given, FieldReader& fields) {
  std::vector<std::string> all;
  bool sound = given.size() <= limits::kMaxRequirements;
  for (const json::value& one : given) {
    const json::string* text = one.if_string();
    sound = sound && text && is_requirement(view(*text));
    if (sound) all.emplace_back(view(*text));
  }
  if (!sound)
    fields.wrong("requirements", "a list of at most " + std::to_string(limits::kMaxRequirements) +
                                     " texts such as \"numpy==1.26.4\", in printable ASCII, none of which begins with "
                                     "'-' or a space or is longer than " +
                                     std::to_string(limits::kMaxRequirement) + " bytes");
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return json::array(all.begin(), all.end());
}

json::object parsed(std::string_view surroundings) {
  return surroundings.empty() ? json::object() : json::parse(surroundings).as_object();
}

}  // namespace

std::string read_surroundings(FieldReader& fields) {
  json::object all;
  if (const json::object* env = fields.object("env"); env && !env->empty()) {
    if (!is_environment(*env))
      fields.wrong(
          "env",
          "an object of texts without NUL, with names of letters, digits and '_' that do not begin with a digit "
          "or with TREADLE_");
    all["env"] = *env;
  }
  if (const json::array* secrets = fields.array("secrets"); secrets && !secrets->empty()) {
    if (!is_list_of_names(*secrets))
      fields.wrong("secrets",
                   "a list of names of letters, digits and '_' that do not begin with a digit or with TREADLE_");
    all["secrets"] = *secrets;
  }
  if (const json::array* requirements = fields.array("requirements"); requirements && !requirements->empty())
    all["requirements"] = requirements_of(*requirements, fields);
  if (all.empty()) return {};
  std::string text = json::serialize(all);
  if (text.size() > limits::kMaxSurroundings)
    fields.wrong("env", "shorter: with \"secrets\" and \"requirements\" at most " +
                            std::to_string(limits::kMaxSurroundings) +
                            " bytes; send large data as an argument, or by reference");
  return text;
}

std::string join_surroundings(std::string_view of_function, std::string_view of_call) {
  if (of_call.empty()) return std::string(of_function);
  if (of_function.empty()) return std::string(of_call);
  json::object all = parsed(of_function);
  const json::object more = parsed(of_call);
  if (const json::value* env = more.if_contains("env")) {
    json::object& to = all["env"].is_object() ? all["env"].get_object() : all["env"].emplace_object();
    for (const auto& member : env->get_object()) to[member.key()] = member.value();
  }
  if (const json::value* secrets = more.if_contains("secrets")) {
    json::array& to = all["secrets"].is_array() ? all["secrets"].get_array() : all["secrets"].emplace_array();
    for (const json::value& name : secrets->get_array())
      if (std::find(to.begin(), to.end(), name) == to.end()) to.push_back(name);
  }
  if (const json::value* requirements = more.if_contains("requirements")) all["requirements"] = *requirements;
  return json::serialize(all);
}

void write_surroundings(JsonWriter& to, std::string_view surroundings) {
  for (const auto& member : parsed(surroundings))
    to.key({member.key().data(), member.key().size()}).raw(json::serialize(member.value()));
}

}  // namespace treadle::gateway

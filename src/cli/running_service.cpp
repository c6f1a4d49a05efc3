#include "cli/running_service.h"

#include <boost/json.hpp>

#include "cli/http_get.h"

namespace treadle::cli {
namespace {

namespace json = boost::json;

std::string text_of(const json::object& body, const char* name) {
  const json::value* value = body.if_contains(name);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

}  // namespace

std::string running_service_hint(std::uint16_t port, const std::string& readyz) {
  boost::system::error_code error;
  const json::value body = json::parse(readyz, error);
  if (error || !body.is_object()) return {};
  const std::string mode = text_of(body.get_object(), "mode");
  const std::string workers_at = text_of(body.get_object(), "workers_at");
  if (mode.empty()) return {};
  const std::string begin = " A treadle serve answers on http://127.0.0.1:" + std::to_string(port) +
                            " and dispatches already, in " + mode + " mode: ";
  if (workers_at.empty())
    return begin + "it runs the tasks itself (-w sets how many at once); treadle serve -m push -p 7001 takes workers.";
  return begin + "add workers to it with treadle worker " + mode + " 4 " + workers_at;
}

std::string running_service_hint(std::uint16_t port) {
  const auto service = parse_service_url("http://127.0.0.1:" + std::to_string(port));
  if (!service) return {};
  const auto answer = http_get(*service, "/readyz");
  return answer ? running_service_hint(port, answer->body) : std::string();
}

}  // namespace treadle::cli

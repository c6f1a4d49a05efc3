#include "gateway/router.h"

#include <algorithm>

namespace treadle::gateway {

bool match_pattern(std::string_view pattern, std::string_view path, std::array<std::string_view, 2>& params) {
  std::size_t found = 0;
  while (true) {
    const auto brace = pattern.find('{');
    const std::string_view literal = pattern.substr(0, brace);
    if (brace == std::string_view::npos) return path == literal;
    if (!path.starts_with(literal)) return false;
    path.remove_prefix(literal.size());
    pattern.remove_prefix(pattern.find('}') + 1);
    const char stop = pattern.empty() ? '/' : pattern.front();
    const std::string_view value = path.substr(0, std::min(path.find('/'), path.find(stop)));
    if (value.empty() || found == params.size()) return false;
    params[found++] = value;
    path.remove_prefix(value.size());
  }
}

const Route* Router::find(Method method, std::string_view path, std::array<std::string_view, 2>& params) const {
  if (method == Method::Head) method = Method::Get;
  for (const Route& route : table_)
    if (route.method == method && match_pattern(route.pattern, path, params)) return &route;
  return nullptr;
}

std::string Router::allowed(std::string_view path) const {
  std::string out;
  std::array<std::string_view, 2> params;
  for (const Route& route : table_) {
    if (!match_pattern(route.pattern, path, params)) continue;
    out += name_of(route.method);
    out += route.method == Method::Get ? ", HEAD, " : ", ";
  }
  return out.empty() ? out : out + "OPTIONS";
}

}  // namespace treadle::gateway

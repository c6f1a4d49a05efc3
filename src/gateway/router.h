// Finds the row of the route table for a request. Patterns are literal but for {parameters}, which match within a
// segment.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "gateway/request.h"
#include "gateway/routes.h"

namespace treadle::gateway {

class Router {
 public:
  explicit Router(std::span<const Route> table) : table_(table) {}

  // The row that serves `method` on `path`, with the values of its parameters; a GET row also serves HEAD.
  const Route* find(Method method, std::string_view path, std::array<std::string_view, 2>& params) const;
  // "GET, HEAD, OPTIONS" for a known path; "" for an unknown one.
  std::string allowed(std::string_view path) const;
  std::size_t index_of(const Route& route) const { return static_cast<std::size_t>(&route - table_.data()); }

 private:
  std::span<const Route> table_;
};

// "/v1/tasks/{id}:cancel" matches "/v1/tasks/7:cancel" and gives "7". A parameter is never empty and holds no '/'.
bool match_pattern(std::string_view pattern, std::string_view path, std::array<std::string_view, 2>& params);

}  // namespace treadle::gateway

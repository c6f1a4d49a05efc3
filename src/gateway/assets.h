// Files that are carried inside the program (web/ and Swagger UI), compressed.
#pragma once

#include <string>
#include <string_view>

namespace treadle::gateway {

struct Asset {
  std::string_view name;
  std::string_view content_type;
  std::string_view gzip;  // in static memory

  std::string etag(bool zipped) const;  // with its quotes
  std::string unzip() const;
};

// Null: there is no such file.
const Asset* find_asset(std::string_view name);
// False: the build had no npm or could not reach its registry; the docs page is then made from the route table.
bool has_swagger_ui();

}  // namespace treadle::gateway

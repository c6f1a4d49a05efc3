// Reads the members of a JSON object with the types that a route wants; a wrong one gets a sentence that names it.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "gateway/json_fwd.h"

namespace treadle::gateway {

// Ask for every field that may be there, then finish(): it tells the first thing that was wrong, or that a field is
// there which nobody asked for. A field that is null counts as absent.
class FieldReader {
 public:
  // `where` stands before the names in sentences: "options.", "tasks[3].".
  FieldReader(const boost::json::object& object, std::string where) : object_(object), where_(std::move(where)) {}

  std::optional<std::string_view> text(std::string_view name, std::size_t most_bytes);
  std::optional<std::string_view> word(std::string_view name, std::initializer_list<std::string_view> words);
  std::optional<std::int64_t> integer(std::string_view name, std::int64_t least, std::int64_t most);
  // Seconds as whole milliseconds, rounded up. `zero`: 0 is allowed.
  std::optional<std::int64_t> milliseconds(std::string_view name, double most_seconds, bool zero);
  std::optional<WallMs> instant(std::string_view name);  // RFC 3339
  bool flag(std::string_view name);                      // absent: false
  const boost::json::object* object(std::string_view name);
  const boost::json::array* array(std::string_view name);
  const boost::json::value* any(std::string_view name);

  void wrong(std::string_view name, const std::string& should_be);
  void need(std::string_view name, bool there);
  void fail_with(Error error);
  Result<void> finish();

 private:
  std::string full(std::string_view name) const { return '"' + where_ + std::string(name) + '"'; }

  const boost::json::object& object_;
  std::string where_;
  std::vector<std::string_view> known_;
  std::optional<Error> error_;
};

}  // namespace treadle::gateway

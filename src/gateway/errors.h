// The one table from our error codes to HTTP, and the texts of answers that are errors.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace treadle::gateway {

struct ErrorRow {
  Code code;
  int status;             // of the root routes
  int status_v1;          // of /v1
  std::string_view name;  // `code` of a problem on /v1: clients may rely on it
  int retry_after;        // seconds, with 429 and 503; 0 = no such header
  std::string_view when;  // for openapi.json and the docs
};

Error no_new_work();  // while the service stops
// "task_id is not a UUID ...; use the one that POST ... answered."
Error not_an_id(std::string_view field, std::string_view maker);
Error unknown_task(std::string_view id);
// There is no `what` called `shown` (which is `name` in its place); did you mean one of `known`?
Error unknown_name(std::string_view what, std::string_view shown, std::string_view name,
                   const std::vector<std::string_view>& known);
const ErrorRow& error_row(Code code);
// The `code` of an error that is told by its status alone (405, 413 of the gatekeeper): "method-not-allowed".
std::string problem_code(int status);
// "Not Found"; every status that we send is known.
std::string_view reason_phrase(int status);
// {"detail": "..."} with the text escaped.
std::string error_body(std::string_view detail);
// RFC 9457, made of such a body: type, title, status, code and the same `detail`.
std::string problem_body(int status, std::string_view code, std::string_view error_body);

}  // namespace treadle::gateway

// The one table from our error codes to HTTP, and the texts of answers that are errors.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace treadle::gateway {

struct ErrorRow {
  Code code;
  int status;             // of the root routes
  int retry_after;        // seconds; 0 = no such header
  std::string_view when;  // for openapi.json and the docs
};

const ErrorRow& error_row(Code code);
// "Not Found"; every status that we send is known.
std::string_view reason_phrase(int status);
// {"detail": "..."} with the text escaped.
std::string error_body(std::string_view detail);

}  // namespace treadle::gateway

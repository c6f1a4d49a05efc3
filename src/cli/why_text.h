// The story of a task in words, from what /v1/tasks/{id} and /v1/workers answer.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace treadle::cli {

// `workers`: "" if it is not known. Invalid: the answers are not those of a treadle service.
Result<std::string> why_text(std::string_view task, std::string_view workers);
// The `detail` of an error answer; the text itself if it has none.
std::string error_detail(std::string_view body);

}  // namespace treadle::cli

// Which function a path names: by its id, or by its name.
#pragma once

#include <string>

#include "base/callback.h"
#include "base/ids.h"
#include "base/result.h"

namespace treadle::gateway {

struct Service;

// An id is taken as it is; of a name, the newest registration. NotFound: a sentence about the name.
void find_function(Service& service, std::string name_or_id, Callback<void(Result<FunctionId>)> then);
Error no_function_named(std::string_view name);

}  // namespace treadle::gateway

// One call on its way into the store, for the routes that accept one.
#pragma once

#include <memory>
#include <string>

#include "base/callback.h"
#include "gateway/json_writer.h"
#include "gateway/response.h"
#include "gateway/v1_call.h"

namespace treadle::gateway {

// Gives the call its function's options and a task id, and submits it.
void submit_call(const std::shared_ptr<Service>& service, Call call, Callback<void(Result<store::SubmitAnswer>)> then);
// "task_id", "function_id" and "status" of a task that was accepted, as a whole object.
std::string accepted_text(TaskId task, FunctionId function, core::TaskState state);

}  // namespace treadle::gateway

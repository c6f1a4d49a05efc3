// The object that a client decodes when a task failed without an executor to say so: a pickle without bytecode, which
// every Python from 3.6 on reads with pickle.loads or dill.loads alone (docs/decisions/0005-failure-object.md).
#pragma once

#include <string>
#include <string_view>

#include "base/ids.h"
#include "core/payload.h"

namespace treadle::core {

// An instance of a RuntimeError whose str() is "Worker Failure: <message>", with error_code 500, task_id, worker_id and
// error_message. `message` must be UTF-8; a message that begins with "Worker Failure" is not given the words twice.
Payload worker_failure_object(TaskId task, std::string_view worker, std::string_view message);
// The same with "Function Failure": what the function did itself, told by a worker that cannot make an exception.
Payload function_failure_object(TaskId task, std::string_view worker, std::string_view message);

}  // namespace treadle::core

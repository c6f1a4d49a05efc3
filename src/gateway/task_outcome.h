// How a task ended, for a client that speaks JSON: its value, or a problem that tells why there is none.
#pragma once

#include <memory>
#include <string>

#include "base/ids.h"
#include "gateway/response.h"
#include "gateway/service.h"

namespace treadle::gateway {

// 200 with the result as JSON, 202 while it has not ended, 406 if JSON cannot carry the result, 422 if it FAILED.
// `headers` go with each of them, `lasting` with 200.
void send_outcome(Service& service, TaskId task, std::string headers, std::string lasting, Responder out);
// 202: where the task is, and when to ask again.
Response pending(const store::TaskView& view);

}  // namespace treadle::gateway

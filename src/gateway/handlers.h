// The functions behind the route table. Each answers exactly once, now or from a callback of the store.
#pragma once

#include "gateway/request.h"
#include "gateway/response.h"

namespace treadle::gateway {

struct Service;

void register_function(Service&, const Request&, Responder);
void execute_function(Service&, const Request&, Responder);
void task_status(Service&, const Request&, Responder);
void task_result(Service&, const Request&, Responder);
// Answers what is held by ?wait= with the present state, because the service stops.
void release_waiting(Service&);

void home(Service&, const Request&, Responder);
void docs(Service&, const Request&, Responder);
void asset(Service&, const Request&, Responder);
void openapi(Service&, const Request&, Responder);
void livez(Service&, const Request&, Responder);
void readyz(Service&, const Request&, Responder);
void version(Service&, const Request&, Responder);
void metrics(Service&, const Request&, Responder);

}  // namespace treadle::gateway

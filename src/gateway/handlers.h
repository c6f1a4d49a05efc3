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

void v1_register(Service&, const Request&, Responder);
void v1_function(Service&, const Request&, Responder);
void v1_functions(Service&, const Request&, Responder);
void v1_function_versions(Service&, const Request&, Responder);
void v1_delete_function(Service&, const Request&, Responder);
void v1_invoke(Service&, const Request&, Responder);
void v1_submit(Service&, const Request&, Responder);
void v1_submit_batch(Service&, const Request&, Responder);
void v1_task(Service&, const Request&, Responder);
void v1_tasks(Service&, const Request&, Responder);
void v1_task_result(Service&, const Request&, Responder);
void v1_logs(Service&, const Request&, Responder);
void v1_cancel(Service&, const Request&, Responder);
void v1_lookup(Service&, const Request&, Responder);
void v1_wait(Service&, const Request&, Responder);
void v1_cancel_selected(Service&, const Request&, Responder);
void v1_retry_selected(Service&, const Request&, Responder);
void v1_retry(Service&, const Request&, Responder);
void v1_group_results(Service&, const Request&, Responder);
void v1_queues(Service&, const Request&, Responder);
void v1_pause_queue(Service&, const Request&, Responder);
void v1_resume_queue(Service&, const Request&, Responder);
void v1_stats(Service&, const Request&, Responder);
void v1_workers(Service&, const Request&, Responder);

void home(Service&, const Request&, Responder);
void docs(Service&, const Request&, Responder);
void asset(Service&, const Request&, Responder);
void openapi(Service&, const Request&, Responder);
void livez(Service&, const Request&, Responder);
void readyz(Service&, const Request&, Responder);
void version(Service&, const Request&, Responder);
void metrics(Service&, const Request&, Responder);

}  // namespace treadle::gateway

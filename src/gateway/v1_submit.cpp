// POST /v1/tasks.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/errors.h"
#include "gateway/function_options.h"
#include "gateway/handlers.h"
#include "gateway/json_writer.h"
#include "gateway/v1_call.h"

namespace treadle::gateway {
namespace {

Error no_function(FunctionId id) {
  return fail(Code::NotFound, "There is no function " + to_string(id) + ". Register it first: POST /v1/functions.");
}

void send_accepted(Responder& out, TaskId task, FunctionId function, core::TaskState state, bool replayed) {
  const std::string id = to_string(task);
  JsonWriter json;
  json.begin_object().member("task_id", id).member("function_id", to_string(function));
  json.member("status", core::public_name(state)).end_object();
  Response response = json_response(201, json.take());
  response.headers = "Location: /v1/tasks/" + id + "\r\n";
  if (replayed) response.headers += "Idempotency-Replayed: true\r\n";
  out.send(std::move(response));
}

// The key was known: the first task is answered, as it stands now.
void send_replayed(Service& service, TaskId task, FunctionId function, Responder out) {
  service.store.get({task}, false,
                    [task, function, out = std::move(out)](std::vector<Result<store::TaskView>> views) mutable {
                      if (!views.front()) return out.fail(views.front().error());
                      send_accepted(out, task, function, views.front()->state, true);
                    });
}

void submit(const std::shared_ptr<Service>& service, store::Submission submission, Responder out) {
  const FunctionId function = submission.function;
  std::vector<store::Submission> batch;
  batch.push_back(std::move(submission));
  service->store.submit(std::move(batch), [service, function, out = std::move(out)](
                                              Result<std::vector<Result<store::SubmitAnswer>>> answers) mutable {
    if (!answers) return out.fail(answers.error());
    const Result<store::SubmitAnswer>& answer = answers->front();
    if (answer && answer->duplicate) return send_replayed(*service, answer->id, function, std::move(out));
    if (answer) return send_accepted(out, answer->id, function, core::TaskState::Queued, false);
    if (answer.error().code != Code::NotFound) return out.fail(answer.error());
    service->functions.drop(function);
    out.fail(no_function(function));
  });
}

}  // namespace

void v1_submit(Service& service, const Request& request, Responder out) {
  if (service.draining) return out.fail(no_new_work());
  auto form = request.form->finish();
  if (!form) return out.fail(form.error());
  auto call = read_call({*form->fields, "", &*form, service.config.max_payload, request.idempotency_key, false});
  if (!call) return out.fail(call.error());
  call->submission.id = service.ids.task_id();
  call->submission.idempotency_scope = "anonymous /v1/tasks";
  const FunctionId function = call->submission.function;
  with_options(service.shared_from_this(), function,
               [self = service.shared_from_this(), call = std::move(*call),
                out = std::move(out)](Result<core::Options> options) mutable {
                 if (!options && options.error().code == Code::NotFound)
                   return out.fail(no_function(call.submission.function));
                 if (!options) return out.fail(options.error());
                 complete(call, *options);
                 submit(self, std::move(call.submission), std::move(out));
               });
}

}  // namespace treadle::gateway

// POST /v1/tasks.
#include "gateway/v1_submit.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/errors.h"
#include "gateway/function_options.h"
#include "gateway/handlers.h"
#include "gateway/v1_raw.h"

namespace treadle::gateway {
namespace {

Error no_function(FunctionId id) {
  return fail(Code::NotFound, "There is no function " + to_string(id) + ". Register it first: POST /v1/functions.");
}

void send_accepted(Responder& out, TaskId task, FunctionId function, core::TaskState state, bool replayed) {
  Response response = json_response(201, accepted_text(task, function, state));
  response.headers = "Location: /v1/tasks/" + to_string(task) + "\r\n";
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

void submit(const std::shared_ptr<Service>& service, store::Submission submission,
            Callback<void(Result<store::SubmitAnswer>)> then) {
  const FunctionId function = submission.function;
  std::vector<store::Submission> batch;
  batch.push_back(std::move(submission));
  service->store.submit(std::move(batch), [service, function, then = std::move(then)](
                                              Result<std::vector<Result<store::SubmitAnswer>>> answers) mutable {
    if (!answers) return then(std::move(answers.error()));
    Result<store::SubmitAnswer>& answer = answers->front();
    if (answer || answer.error().code != Code::NotFound) return then(std::move(answer));
    service->functions.drop(function);
    then(no_function(function));
  });
}

}  // namespace

std::string accepted_text(TaskId task, FunctionId function, core::TaskState state) {
  JsonWriter json;
  json.begin_object().member("task_id", to_string(task)).member("function_id", to_string(function));
  return json.member("status", core::public_name(state)).end_object().take();
}

void submit_call(const std::shared_ptr<Service>& service, Call call, Callback<void(Result<store::SubmitAnswer>)> then) {
  call.submission.id = service->ids.task_id();
  const FunctionId function = call.submission.function;
  with_options(service, function,
               [service, call = std::move(call), then = std::move(then)](Result<core::Options> options) mutable {
                 if (!options && options.error().code == Code::NotFound)
                   return then(no_function(call.submission.function));
                 if (!options) return then(std::move(options.error()));
                 complete(call, *options, service->clock.wall());
                 submit(service, std::move(call.submission), std::move(then));
               });
}

void v1_submit(Service& service, const Request& request, Responder out) {
  if (service.draining) return out.fail(no_new_work());
  auto form = request.form->finish();
  if (!form) return out.fail(form.error());
  if (form->raw) {
    auto fields = raw_fields(request.query);
    if (!fields) return out.fail(fields.error());
    form->fields = std::move(*fields);
  } else if (!request.query.empty()) {
    return out.fail(fail(Code::Invalid,
                         "The parameters of the query are for a body that is application/octet-stream; with JSON they "
                         "are fields of the body."));
  }
  auto call = read_call({*form->fields, "", &*form, service.config.max_payload, request.idempotency_key, false});
  if (!call) return out.fail(call.error());
  call->submission.idempotency_scope = "anonymous /v1/tasks";
  const FunctionId function = call->submission.function;
  submit_call(
      service.shared_from_this(), std::move(*call),
      [self = service.shared_from_this(), function, out = std::move(out)](Result<store::SubmitAnswer> answer) mutable {
        if (!answer) return out.fail(answer.error());
        if (answer->duplicate) return send_replayed(*self, answer->id, function, std::move(out));
        send_accepted(out, answer->id, function, core::TaskState::Queued, false);
      });
}

}  // namespace treadle::gateway

// POST /register_function and POST /execute_function.
#include <string>
#include <utility>
#include <vector>

#include "base/json_text.h"
#include "gateway/digest.h"
#include "gateway/errors.h"
#include "gateway/form.h"
#include "gateway/function_options.h"
#include "gateway/handlers.h"
#include "gateway/service.h"

namespace treadle::gateway {
namespace {

Error no_function(const std::string& id) {
  return fail(Code::NotFound, "There is no function " + id + ". Register it first: POST /register_function.");
}

std::string id_body(std::string_view key, const Uuid& id) {
  char text[36];
  format_uuid(id, text);
  std::string body = "{\"";
  body.append(key).append("\":\"").append(text, sizeof text).append("\"}");
  return body;
}

void submit(const std::shared_ptr<Service>& service, store::Submission submission, Responder out) {
  const FunctionId function = submission.function;
  std::vector<store::Submission> batch;
  batch.push_back(std::move(submission));
  service->store.submit(std::move(batch), [service, function, out = std::move(out)](
                                              Result<std::vector<Result<store::SubmitAnswer>>> answers) mutable {
    if (!answers) return out.fail(answers.error());
    const Result<store::SubmitAnswer>& answer = answers->front();
    if (answer) return out.send(service->config.created_status, id_body("task_id", answer->id));
    if (answer.error().code != Code::NotFound) return out.fail(answer.error());
    service->functions.drop(function);
    out.fail(no_function(to_string(function)));
  });
}

void submit_with_options(const std::shared_ptr<Service>& service, store::Submission submission, Responder out) {
  const FunctionId function = submission.function;
  with_options(
      service, function,
      [service, submission = std::move(submission), out = std::move(out)](Result<core::Options> options) mutable {
        if (!options && options.error().code == Code::NotFound)
          return out.fail(no_function(to_string(submission.function)));
        if (!options) return out.fail(options.error());
        submission.options = std::move(*options);
        submit(service, std::move(submission), std::move(out));
      });
}

}  // namespace

void register_function(Service& service, const Request& request, Responder out) {
  if (service.draining) return out.fail(no_new_work());
  auto form = request.form->finish();
  if (!form) return out.fail(form.error());
  core::Function function;
  function.id = service.ids.function_id();
  function.name = std::move(form->text);
  function.digest = form->digest;
  function.body = std::move(form->payload);
  core::Options options = function.options;
  service.store.put_function(std::move(function), [self = service.shared_from_this(), options = std::move(options),
                                                   out = std::move(out)](Result<FunctionId> id) mutable {
    if (!id) return out.fail(id.error());
    self->functions.put(*id, std::move(options));
    out.send(self->config.created_status, id_body("function_id", *id));
  });
}

void execute_function(Service& service, const Request& request, Responder out) {
  if (service.draining) return out.fail(no_new_work());
  auto form = request.form->finish();
  if (!form) return out.fail(form.error());
  const auto function = FunctionId::parse(form->text);
  if (!function)
    return out.fail(fail(Code::Invalid,
                         "function_id is not a UUID like 71ed469b-bc52-45d5-89ae-b21aa40760c9; use the one that "
                         "POST /register_function answered."));
  store::Submission submission;
  submission.id = service.ids.task_id();
  submission.function = *function;
  submission.args = std::move(form->payload);
  if (!request.idempotency_key.empty()) {
    submission.idempotency_scope = "anonymous /execute_function";
    submission.idempotency_key = request.idempotency_key;
    submission.body_digest = digest_of_call(*function, form->digest);
  }
  submit_with_options(service.shared_from_this(), std::move(submission), std::move(out));
}

}  // namespace treadle::gateway

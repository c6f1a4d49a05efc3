// POST /v1/tasks:batch: many calls with one commit. Nothing is accepted if one of them is malformed or names a function
// that is not there.
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "core/limits.h"
#include "gateway/errors.h"
#include "gateway/fields.h"
#include "gateway/function_options.h"
#include "gateway/handlers.h"
#include "gateway/json_writer.h"
#include "gateway/v1_call.h"

namespace treadle::gateway {
namespace {

namespace json = boost::json;
namespace limits = core::limits;

struct Batch {
  std::shared_ptr<Service> service;
  std::vector<Call> calls;
  std::unordered_map<FunctionId, core::Options> options;  // of the functions that are there
  std::size_t waiting = 0;                                // functions that were asked for
  std::optional<Error> error;
  Responder out;
};

std::string place(std::size_t index) { return "tasks[" + std::to_string(index) + "]"; }

void write_refusal(JsonWriter& to, const Error& error) {
  const ErrorRow& row = error_row(error.code);
  to.key("error").begin_object().member("code", row.name).member("status", row.status_v1);
  to.member("detail", error.message).end_object();
}

void send_answers(Batch& batch, const std::vector<Result<store::SubmitAnswer>>& answers) {
  std::size_t accepted = 0;
  const Error* first_error = nullptr;
  JsonWriter json;
  json.begin_object().key("tasks").begin_array();
  for (std::size_t i = 0; i < answers.size(); ++i) {
    json.begin_object();
    if (answers[i]) {
      ++accepted;
      json.member("task_id", to_string(answers[i]->id)).member("replayed", answers[i]->duplicate);
    } else {
      if (first_error == nullptr) first_error = &answers[i].error();
      if (answers[i].error().code == Code::NotFound) batch.service->functions.drop(batch.calls[i].submission.function);
      write_refusal(json, answers[i].error());
    }
    json.end_object();
  }
  if (accepted == 0 && first_error != nullptr) return batch.out.fail(*first_error);
  json.end_array().member("accepted", accepted).end_object();
  batch.out.send(201, json.take());
}

void submit(const std::shared_ptr<Batch>& batch) {
  if (batch->error) return batch->out.fail(*batch->error);
  std::vector<store::Submission> tasks;
  tasks.reserve(batch->calls.size());
  for (std::size_t i = 0; i < batch->calls.size(); ++i) {
    Call& call = batch->calls[i];
    const auto found = batch->options.find(call.submission.function);
    if (found == batch->options.end())
      return batch->out.fail(fail(Code::NotFound, place(i) + ": there is no function " +
                                                      to_string(call.submission.function) +
                                                      ". Nothing of the batch was accepted."));
    complete(call, found->second, batch->service->clock.wall());
  }
  for (Call& call : batch->calls) tasks.push_back(std::move(call.submission));
  for (std::size_t i = 0; i < tasks.size(); ++i) batch->calls[i].submission.function = tasks[i].function;
  batch->service->store.submit(std::move(tasks), [batch](Result<std::vector<Result<store::SubmitAnswer>>> answers) {
    if (!answers) return batch->out.fail(answers.error());
    send_answers(*batch, *answers);
  });
}

void look_up_functions(const std::shared_ptr<Batch>& batch) {
  std::unordered_map<FunctionId, bool> wanted;
  for (const Call& call : batch->calls) wanted[call.submission.function] = true;
  if (wanted.size() > limits::kMaxBatchFunctions)
    return batch->out.fail(fail(Code::Invalid, "The batch names " + std::to_string(wanted.size()) +
                                                   " functions; at most " + std::to_string(limits::kMaxBatchFunctions) +
                                                   " are allowed. Send it in several requests."));
  batch->waiting = wanted.size();
  for (const auto& [function, _] : wanted) {
    with_options(batch->service, function, [batch, id = function](Result<core::Options> options) {
      if (options)
        batch->options[id] = std::move(*options);
      else if (options.error().code != Code::NotFound)
        batch->error = std::move(options.error());
      if (--batch->waiting == 0) submit(batch);
    });
  }
}

// One key for the whole request becomes one for each item, which also holds the size of the batch.
std::string key_of(const std::string& key, std::size_t index, std::size_t size) {
  if (key.empty()) return key;
  return key + '#' + std::to_string(index) + '/' + std::to_string(size);
}

Result<std::vector<Call>> read_calls(const json::array& items, Service& service, const std::string& key) {
  std::vector<Call> calls;
  calls.reserve(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    const json::object* item = items[i].if_object();
    if (item == nullptr) return fail(Code::Invalid, place(i) + " must be an object like those of POST /v1/tasks.");
    TRY(Call call,
        read_call({*item, place(i) + ".", nullptr, service.config.max_payload, key_of(key, i, items.size()), true}));
    call.submission.id = service.ids.task_id();
    call.submission.idempotency_scope = "anonymous /v1/tasks:batch";
    calls.push_back(std::move(call));
  }
  return calls;
}

}  // namespace

void v1_submit_batch(Service& service, const Request& request, Responder out) {
  if (service.draining) return out.fail(no_new_work());
  auto form = request.form->finish();
  if (!form) return out.fail(form.error());
  FieldReader fields(*form->fields, "");
  const json::array* items = fields.array("tasks");
  fields.need("tasks", items != nullptr);
  if (items != nullptr && (items->empty() || items->size() > limits::kMaxBatchTasks))
    fields.fail_with(fail(Code::Invalid, "tasks must be a list of 1 to " + std::to_string(limits::kMaxBatchTasks) +
                                             " calls, not of " + std::to_string(items->size()) + "."));
  if (auto sound = fields.finish(); !sound) return out.fail(sound.error());
  auto calls = read_calls(*items, service, request.idempotency_key);
  if (!calls) {
    calls.error().message += " Nothing of the batch was accepted.";
    return out.fail(calls.error());
  }
  auto batch = std::make_shared<Batch>();
  batch->service = service.shared_from_this();
  batch->calls = std::move(*calls);
  batch->out = std::move(out);
  look_up_functions(batch);
}

}  // namespace treadle::gateway

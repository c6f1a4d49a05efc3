// POST /v1/functions/{function}/invoke: a call whose answer is its result.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/limits.h"
#include "gateway/errors.h"
#include "gateway/function_names.h"
#include "gateway/handlers.h"
#include "gateway/query.h"
#include "gateway/task_outcome.h"
#include "gateway/v1_submit.h"

namespace treadle::gateway {
namespace {

constexpr Duration kInvokeWait = std::chrono::seconds(30);  // if the client does not say

struct Patience {
  Duration wait = kInvokeWait;
  std::string headers;  // that say so
};

// ?wait= comes before Prefer, as the more particular of the two.
Result<Patience> read_patience(const Request& request) {
  QueryReader query(request.query);
  const auto asked = query_value(request.query, "wait");
  const Duration wait = query.wait();
  if (auto sound = query.finish(); !sound) return std::move(sound.error());
  if (asked) return Patience{wait, {}};
  const auto preferred = preferred_wait(request.prefer);
  if (!preferred) return Patience{};
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(*preferred).count();
  const std::string applied = seconds == 0 ? "respond-async" : "wait=" + std::to_string(seconds);
  return Patience{*preferred, "Preference-Applied: " + applied + "\r\n"};
}

void read_waited(Service& service, Waiting& held) {
  send_outcome(service, held.task, std::move(held.headers), "", std::move(held.out));
}

// Once the task is accepted the answer tells of it, whatever becomes of the waiting.
void hold(Service& service, TaskId task, Patience patience, Responder out) {
  if (patience.wait == Duration(0) || service.draining)
    return send_outcome(service, task, std::move(patience.headers), "", std::move(out));
  const auto held = std::make_shared<Waiting>();
  held->out = std::move(out);
  held->task = task;
  held->read = read_waited;
  held->headers = std::move(patience.headers);
  service.waiting.insert(held);
  service.store.wait(task, service.clock.now() + patience.wait,
                     [self = service.shared_from_this(), held](const Result<store::TaskView>&) {
                       self->waiting.erase(held);
                       if (held->out) held->read(*self, *held);
                     });
}

}  // namespace

void v1_invoke(Service& service, const Request& request, Responder out) {
  if (service.draining) return out.fail(no_new_work());
  auto patience = read_patience(request);
  if (!patience) return out.fail(patience.error());
  auto form = request.form->finish();
  if (!form) return out.fail(form.error());
  auto call = read_call({.fields = *form->fields,
                         .where = "",
                         .decoded = &*form,
                         .max_payload = service.config.max_payload,
                         .key = request.idempotency_key,
                         .named = true});
  if (!call) return out.fail(call.error());
  call->submission.idempotency_scope = "anonymous /v1/functions/invoke";
  find_function(service, std::string(request.params[0]),
                [self = service.shared_from_this(), patience = std::move(*patience), call = std::move(*call),
                 out = std::move(out)](Result<FunctionId> function) mutable {
                  if (!function) return out.fail(function.error());
                  call.submission.function = *function;
                  submit_call(self, std::move(call),
                              [self, patience = std::move(patience),
                               out = std::move(out)](Result<store::SubmitAnswer> answer) mutable {
                                if (!answer) return out.fail(answer.error());
                                if (answer->duplicate) patience.headers += "Idempotency-Replayed: true\r\n";
                                hold(*self, answer->id, std::move(patience), std::move(out));
                              });
                });
}

}  // namespace treadle::gateway

// GET /status/{task_id} and GET /result/{task_id}.
#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "gateway/errors.h"
#include "gateway/handlers.h"
#include "gateway/query.h"
#include "gateway/service.h"

namespace treadle::gateway {
namespace {

constexpr std::size_t kIdText = 36;

Error bad_task_id() { return not_an_id("task_id", "POST /execute_function"); }

// `{"task_id":"...","status":"..."` with the id as the client wrote it (it is a UUID: nothing to escape).
std::string view_text(std::string_view shown_id, core::TaskState state, std::string_view rest) {
  std::string body;
  body.reserve(96);
  body.append("{\"task_id\":\"")
      .append(shown_id)
      .append("\",\"status\":\"")
      .append(core::public_name(state))
      .append(rest);
  return body;
}

void send_result(Responder& out, std::string_view shown_id, Result<store::TaskView> view) {
  if (!view) return out.fail(view.error().code == Code::NotFound ? unknown_task(shown_id) : view.error());
  Response response;
  response.body = view_text(shown_id, view->state, "\",\"result\":\"");
  response.blob_form = Response::Blob::Base64Json;
  if (core::is_terminal(view->state)) response.blob = std::move(view->result.bytes);
  response.suffix = "\"}";
  out.send(std::move(response));
}

void read_result(Service& service, TaskId task, std::string shown_id, Responder out) {
  service.store.get(
      {task}, true,
      [shown_id = std::move(shown_id), out = std::move(out)](std::vector<Result<store::TaskView>> views) mutable {
        send_result(out, shown_id, std::move(views.front()));
      });
}

void read_waited(Service& service, Waiting& held) {
  read_result(service, held.task, std::move(held.shown_id), std::move(held.out));
}

void wait_for_result(Service& service, TaskId task, std::string shown_id, Duration wait, Responder out) {
  const auto held = std::make_shared<Waiting>(Waiting{std::move(out), task, std::move(shown_id), read_waited});
  service.waiting.insert(held);
  service.store.wait(task, service.clock.now() + wait,
                     [self = service.shared_from_this(), held](Result<store::TaskView> view) {
                       self->waiting.erase(held);
                       if (!held->out) return;  // answered when the service began to stop
                       if (view && core::is_terminal(view->state) && view->result.bytes.empty())
                         return read_waited(*self, *held);
                       send_result(held->out, held->shown_id, std::move(view));
                     });
}

}  // namespace

void task_status(Service& service, const Request& request, Responder out) {
  const std::string_view text = request.params[0];
  const auto task = TaskId::parse(text);
  if (!task) return out.fail(bad_task_id());
  std::array<char, kIdText> shown;
  std::copy(text.begin(), text.end(), shown.begin());
  service.store.get({*task}, false, [shown, out = std::move(out)](std::vector<Result<store::TaskView>> views) mutable {
    const std::string_view id(shown.data(), shown.size());
    const Result<store::TaskView>& view = views.front();
    if (view) return out.send(200, view_text(id, view->state, "\"}"));
    out.fail(view.error().code == Code::NotFound ? unknown_task(id) : view.error());
  });
}

void task_result(Service& service, const Request& request, Responder out) {
  const auto task = TaskId::parse(request.params[0]);
  if (!task) return out.fail(bad_task_id());
  std::string shown(request.params[0]);
  const auto text = query_value(request.query, "wait");
  const auto wait = text ? parse_wait(*text) : Duration(0);
  if (!wait) return out.fail(bad_wait());
  if (*wait == Duration(0) || service.draining) return read_result(service, *task, std::move(shown), std::move(out));
  wait_for_result(service, *task, std::move(shown), *wait, std::move(out));
}

void release_waiting(Service& service) {
  const auto all = std::exchange(service.waiting, {});
  for (const auto& held : all) held->read(service, *held);
  service.watch.release_all();
  service.follows.stop_all();
}

}  // namespace treadle::gateway

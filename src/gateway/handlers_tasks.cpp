// GET /status/{task_id} and GET /result/{task_id}.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "gateway/handlers.h"
#include "gateway/service.h"

namespace treadle::gateway {
namespace {

constexpr std::size_t kIdText = 36;

Error bad_task_id() {
  return fail(Code::Invalid,
              "task_id is not a UUID like 018f3c2e-7d5a-7c31-9b0a-3f6f0c1e2d34; use the one that "
              "POST /execute_function answered.");
}

Error no_task(std::string_view id) {
  return fail(Code::NotFound, "There is no task " + std::string(id) +
                                  ". It was never accepted here, or it ended so long ago that it was removed.");
}

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
  if (!view) return out.fail(view.error().code == Code::NotFound ? no_task(shown_id) : view.error());
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

// Seconds, 0 to 60, with a fraction if wanted. Nothing: not such a number.
std::optional<Duration> parse_wait(std::string_view text) {
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds, std::chars_format::fixed);
  const double most = std::chrono::duration<double>(core::limits::kMaxWait).count();
  if (error != std::errc() || end != text.data() + text.size() || !(seconds >= 0) || seconds > most)
    return std::nullopt;
  return Duration(static_cast<std::int64_t>(seconds * 1e9));
}

void wait_for_result(Service& service, TaskId task, std::string shown_id, Duration wait, Responder out) {
  const auto held = std::make_shared<Waiting>(Waiting{std::move(out), task, std::move(shown_id)});
  service.waiting.insert(held);
  service.store.wait(task, service.clock.now() + wait,
                     [self = service.shared_from_this(), held](Result<store::TaskView> view) {
                       self->waiting.erase(held);
                       if (!held->out) return;  // answered when the service began to stop
                       if (view && core::is_terminal(view->state) && view->result.bytes.empty())
                         return read_result(*self, held->task, std::move(held->shown_id), std::move(held->out));
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
    out.fail(view.error().code == Code::NotFound ? no_task(id) : view.error());
  });
}

void task_result(Service& service, const Request& request, Responder out) {
  const auto task = TaskId::parse(request.params[0]);
  if (!task) return out.fail(bad_task_id());
  std::string shown(request.params[0]);
  const auto text = query_value(request.query, "wait");
  const auto wait = text ? parse_wait(*text) : Duration(0);
  if (!wait)
    return out.fail(
        fail(Code::Invalid, "wait must be a number of seconds from 0 to 60, for example ?wait=20 or ?wait=0.5."));
  if (*wait == Duration(0) || service.draining) return read_result(service, *task, std::move(shown), std::move(out));
  wait_for_result(service, *task, std::move(shown), *wait, std::move(out));
}

void release_waiting(Service& service) {
  const auto all = std::exchange(service.waiting, {});
  for (const auto& held : all) read_result(service, held->task, held->shown_id, std::move(held->out));
}

}  // namespace treadle::gateway

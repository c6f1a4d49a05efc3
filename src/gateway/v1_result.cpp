// GET /v1/tasks/{task_id}/result: raw bytes, or JSON for who asks for it.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/errors.h"
#include "gateway/handlers.h"
#include "gateway/query.h"
#include "gateway/service.h"
#include "gateway/task_outcome.h"

namespace treadle::gateway {
namespace {

// A result never changes, so its task is name enough.
std::string tag_of(TaskId task, bool as_json) { return '"' + to_string(task) + (as_json ? ".json\"" : "\""); }

std::string lasting(TaskId task, bool as_json) {
  return "ETag: " + tag_of(task, as_json) + "\r\nCache-Control: private, max-age=31536000, immutable\r\n";
}

void send_bytes(const store::TaskView& view, Responder& out) {
  Response response;
  if (!core::is_terminal(view.state)) {
    response = pending(view);
  } else {
    response.content_type = kOctetStream;
    response.blob_form = Response::Blob::Raw;
    response.blob = view.result.bytes;
    response.headers =
        lasting(view.id, false) + "Treadle-Status: " + std::string(core::public_name(view.state)) + "\r\n";
  }
  response.headers += "Vary: Accept\r\n";
  out.send(std::move(response));
}

void read_bytes(Service& service, Waiting& held) {
  service.store.get({held.task}, true,
                    [task = held.task, out = std::move(held.out)](std::vector<Result<store::TaskView>> views) mutable {
                      const Result<store::TaskView>& view = views.front();
                      if (view) return send_bytes(*view, out);
                      out.fail(about_task(view.error(), task));
                    });
}

void read_json(Service& service, Waiting& held) {
  send_outcome(service, held.task, "Vary: Accept\r\n", lasting(held.task, true), std::move(held.out));
}

}  // namespace

void v1_task_result(Service& service, const Request& request, Responder out) {
  const auto task = TaskId::parse(request.params[0]);
  if (!task) return out.fail(not_an_id("task_id", "POST /v1/tasks"));
  QueryReader query(request.query);
  const Duration wait = query.wait();
  if (auto sound = query.finish(); !sound) return out.fail(sound.error());
  const bool as_json = accepts(request.accept, kJson) && !accepts(request.accept, kOctetStream);
  if (accepts(request.if_none_match, tag_of(*task, as_json))) {  // who has it need not be sent it again
    Response response;
    response.status = 304;
    response.headers = lasting(*task, as_json) + "Vary: Accept\r\n";
    return out.send(std::move(response));
  }
  Waiting waiting;
  waiting.out = std::move(out);
  waiting.task = *task;
  waiting.read = as_json ? read_json : read_bytes;
  if (wait == Duration(0) || service.draining) return waiting.read(service, waiting);
  hold(service, wait, std::move(waiting));
}

}  // namespace treadle::gateway

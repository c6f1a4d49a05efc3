#include "gateway/task_outcome.h"

#include <utility>
#include <vector>

#include "gateway/errors.h"
#include "gateway/pickle_json.h"
#include "gateway/v1_submit.h"

namespace treadle::gateway {
namespace {

constexpr int kRetryAfterS = 1;

// FunctionFailed -> function-failed.
std::string code_of(core::ErrorKind kind) {
  std::string code;
  for (const char c : core::name_of(kind)) {
    const bool capital = c >= 'A' && c <= 'Z';
    if (capital && !code.empty()) code += '-';
    code += capital ? static_cast<char>(c | 0x20) : c;
  }
  return code;
}

Response problem(int status, std::string_view code, std::string_view members) {
  Response response = json_response(status, problem_body(status, code, members));
  response.content_type = kProblemJson;
  return response;
}

Response failed(const store::TaskStory& story) {
  const std::string task = to_string(story.view.id);
  std::string detail = story.error_type.empty() ? std::string(core::name_of(story.view.error_kind)) : story.error_type;
  if (!story.error_message.empty()) detail += ": " + story.error_message;
  JsonWriter json;
  json.begin_object().member("detail", detail).member("task_id", task);
  json.member("function_id", to_string(story.view.function)).key("error").begin_object();
  json.member("kind", core::name_of(story.view.error_kind)).member("type", story.error_type);
  json.member("message", story.error_message).key("traceback");
  if (story.traceback.empty())
    json.null();
  else
    json.value(story.traceback);
  json.end_object().end_object();
  return problem(422, code_of(story.view.error_kind), json.take());
}

Response not_json(const store::TaskView& view, const std::string& why) {
  const std::string where = "/v1/tasks/" + to_string(view.id) + "/result";
  JsonWriter json;
  json.begin_object().member("detail", "The function returned what JSON cannot carry: " + why + ". GET " + where +
                                           " gives the pickled result.");
  json.member("task_id", to_string(view.id)).member("function_id", to_string(view.function));
  json.member("result_url", where).end_object();
  Response response = problem(406, "result-not-json", json.take());
  response.headers = "Link: <" + where + ">; rel=\"alternate\"; type=\"application/octet-stream\"\r\n";
  return response;
}

Response completed(const store::TaskView& view) {
  auto json = pickle_to_json(view.result.bytes.view());
  if (!json) return not_json(view, json.error().message);
  Response response = json_response(200, accepted_text(view.id, view.function, view.state));
  response.body.back() = ',';
  response.body += "\"result\":";
  response.body += *json;
  response.body += '}';
  return response;
}

void send_failed(Service& service, TaskId task, std::string headers, Responder out) {
  service.store.story(
      task, [task, headers = std::move(headers), out = std::move(out)](Result<store::TaskStory> story) mutable {
        if (!story)
          return out.fail(story.error().code == Code::NotFound ? unknown_task(to_string(task)) : story.error());
        Response response = failed(*story);
        response.headers += headers;
        out.send(std::move(response));
      });
}

}  // namespace

Response pending(const store::TaskView& view) {
  Response response = json_response(202, accepted_text(view.id, view.function, view.state));
  response.headers =
      "Location: /v1/tasks/" + to_string(view.id) + "\r\nRetry-After: " + std::to_string(kRetryAfterS) + "\r\n";
  return response;
}

void send_outcome(Service& service, TaskId task, std::string headers, std::string lasting, Responder out) {
  service.store.get(
      {task}, true,
      [self = service.shared_from_this(), task, headers = std::move(headers), lasting = std::move(lasting),
       out = std::move(out)](std::vector<Result<store::TaskView>> views) mutable {
        const Result<store::TaskView>& view = views.front();
        if (!view && view.error().code == Code::NotFound) return out.fail(unknown_task(to_string(task)));
        if (!view) return out.fail(view.error());
        if (view->state == core::TaskState::Failed) return send_failed(*self, task, std::move(headers), std::move(out));
        Response response = view->state == core::TaskState::Completed ? completed(*view) : pending(*view);
        response.headers += response.status == 200 ? headers + lasting : headers;
        out.send(std::move(response));
      });
}

}  // namespace treadle::gateway

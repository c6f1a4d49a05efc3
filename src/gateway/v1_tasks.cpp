// /v1/tasks: one task with its story, lists, cancel.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/limits.h"
#include "gateway/errors.h"
#include "gateway/handlers.h"
#include "gateway/option_fields.h"
#include "gateway/query.h"
#include "gateway/service.h"
#include "gateway/story_json.h"
#include "gateway/time_text.h"
#include "gateway/waiting_words.h"

namespace treadle::gateway {
namespace {

Error bad_task_id() { return not_an_id("task_id", "POST /v1/tasks"); }

std::string open_story(Service& service, const store::TaskStory& story, const store::LiveView& live,
                       std::string_view last_key, const std::string& waiting_for = {}) {
  JsonWriter json;
  json.begin_object();
  write_story(json, story, live, service.clock.wall());
  if (!waiting_for.empty()) json.member("waiting_for", waiting_for);
  if (last_key.empty())
    json.end_object();
  else
    json.key(last_key);
  return json.take();
}

// The result comes last, so that a large one is never held as text.
void send_with_result(Service& service, store::TaskStory story, Responder out) {
  const TaskId task = story.view.id;
  service.store.get({task}, true,
                    [self = service.shared_from_this(), story = std::move(story),
                     out = std::move(out)](std::vector<Result<store::TaskView>> views) mutable {
                      Result<store::TaskView>& view = views.front();
                      if (!view) return out.fail(about_task(view.error(), story.view.id));
                      Response response;
                      response.body = open_story(*self, story, {}, "result") + '"';
                      response.blob_form = Response::Blob::Base64Json;
                      response.blob = std::move(view->result.bytes);
                      response.suffix = "\"}";
                      out.send(std::move(response));
                    });
}

// How far it says that it is; a store that cannot tell does not keep the rest from being told.
void send_running(Service& service, store::TaskStory story, int status, Responder out) {
  const TaskId task = story.view.id;
  service.store.live(task, false,
                     [self = service.shared_from_this(), story = std::move(story), status,
                      out = std::move(out)](Result<store::LiveView> live) mutable {
                       const bool its = live && live->attempt == story.view.attempt;
                       out.send(status, open_story(*self, story, its ? *live : store::LiveView{}, ""));
                     });
}

// With why no worker takes it, if that is so.
void send_waiting(Service& service, store::TaskStory story, int status, Responder out) {
  service.store.workers([self = service.shared_from_this(), story = std::move(story), status,
                         out = std::move(out)](Result<std::vector<store::WorkerReport>> workers) mutable {
    if (!workers) return out.fail(workers.error());
    out.send(status, open_story(*self, story, {}, "", waiting_words(story, *workers, self->clock.wall())));
  });
}

void send_story(Service& service, TaskId task, bool with_result, int status, Responder out) {
  service.store.story(task, [self = service.shared_from_this(), task, with_result, status,
                             out = std::move(out)](Result<store::TaskStory> story) mutable {
    if (!story) return out.fail(about_task(story.error(), task));
    if (with_result && core::is_terminal(story->view.state))
      return send_with_result(*self, std::move(*story), std::move(out));
    if (story->view.state == core::TaskState::Queued)
      return send_waiting(*self, std::move(*story), status, std::move(out));
    if (story->view.state == core::TaskState::Running)
      return send_running(*self, std::move(*story), status, std::move(out));
    out.send(status, open_story(*self, *story, {}, ""));
  });
}

void read_waited(Service& service, Waiting& held) {
  send_story(service, held.task, held.with_result, 200, std::move(held.out));
}

void send_logs(Service& service, TaskId task, Responder out) {
  service.store.story(task, [task, out = std::move(out)](Result<store::TaskStory> story) mutable {
    if (!story) return out.fail(about_task(story.error(), task));
    JsonWriter json;
    json.begin_object();
    write_logs(json, *story);
    out.send(200, json.end_object().take());
  });
}

// 404 has to be known before the answer begins.
void follow_logs(Service& service, TaskId task, Responder out) {
  service.store.get({task}, false,
                    [self = service.shared_from_this(), task,
                     out = std::move(out)](std::vector<Result<store::TaskView>> views) mutable {
                      if (!views.front()) return out.fail(about_task(views.front().error(), task));
                      auto follow = std::make_shared<Follow>(self->store, self->clock, task, out.weak_sink());
                      if (auto added = self->follows.add(follow); !added) return out.fail(added.error());
                      follow->look(self->clock.now());
                      Response response;
                      response.content_type = kPlainText;
                      response.headers = "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n";
                      response.stream = std::move(follow);
                      out.send(std::move(response));
                    });
}

WallMs read_time(QueryReader& query, std::string_view name) {
  const auto text = query.text(name);
  if (!text) return {};
  const auto time = parse_rfc3339(*text);
  if (!time) query.fail_with(fail(Code::Invalid, std::string(name) + " must be a time like 2026-11-25T18:07:46Z."));
  return time.value_or(WallMs{});
}

void read_waited_logs(Service& service, Waiting& held) { send_logs(service, held.task, std::move(held.out)); }

}  // namespace

void v1_task(Service& service, const Request& request, Responder out) {
  const auto task = TaskId::parse(request.params[0]);
  if (!task) return out.fail(bad_task_id());
  QueryReader query(request.query);
  const Duration wait = query.wait();
  const bool with_result = query.flag("result");
  if (auto sound = query.finish(); !sound) return out.fail(sound.error());
  if (wait == Duration(0) || service.draining) return send_story(service, *task, with_result, 200, std::move(out));
  hold(service, wait, {std::move(out), *task, {}, read_waited, with_result});
}

void v1_logs(Service& service, const Request& request, Responder out) {
  const auto task = TaskId::parse(request.params[0]);
  if (!task) return out.fail(bad_task_id());
  QueryReader query(request.query);
  const Duration wait = query.wait();
  const bool follow = query.flag("follow");
  if (auto sound = query.finish(); !sound) return out.fail(sound.error());
  if (follow && !service.draining) return follow_logs(service, *task, std::move(out));
  if (wait == Duration(0) || service.draining) return send_logs(service, *task, std::move(out));
  hold(service, wait, {std::move(out), *task, {}, read_waited_logs, false});
}

void v1_tasks(Service& service, const Request& request, Responder out) {
  QueryReader query(request.query);
  store::ListFilter filter;
  const auto state = query.word("state", {"QUEUED", "RUNNING", "COMPLETED", "FAILED"});
  for (const auto one :
       {core::TaskState::Queued, core::TaskState::Running, core::TaskState::Completed, core::TaskState::Failed})
    if (state == core::public_name(one)) filter.state = one;
  if (const auto text = query.text("function_id")) {
    filter.function = FunctionId::parse(*text);
    if (!filter.function) query.fail_with(not_an_id("function_id", "POST /v1/functions"));
  }
  filter.group = query.text("group").value_or("");
  filter.queue = query.text("queue");
  if (filter.queue && !is_queue_name(*filter.queue))
    query.fail_with(fail(Code::Invalid, "queue must be made of letters, digits, '.', '_' and '-'."));
  filter.accepted_from = read_time(query, "created_after");
  filter.accepted_before = read_time(query, "created_before");
  filter.limit = static_cast<std::uint32_t>(query.integer("limit", 1, core::limits::kMaxPage).value_or(kPage));
  filter.cursor = query.text("cursor").value_or("");
  if (auto sound = query.finish(); !sound) return out.fail(sound.error());
  service.store.list(std::move(filter), [out = std::move(out)](Result<store::TaskPage> page) mutable {
    if (!page) return out.fail(page.error());
    JsonWriter json;
    json.begin_object().key("tasks").begin_array();
    for (const store::TaskView& view : page->tasks) {
      json.begin_object();
      write_row(json, view);
      json.key("error_kind");
      if (view.error_kind == core::ErrorKind::None)
        json.null();
      else
        json.value(core::name_of(view.error_kind));
      json.end_object();
    }
    json.end_array().key("next_cursor");
    if (page->next_cursor.empty())
      json.null();
    else
      json.value(page->next_cursor);
    out.send(200, json.end_object().take());
  });
}

// DELETE /v1/tasks/{task_id} and POST /v1/tasks/{task_id}/terminate: a queued task ends now, what runs is ended.
void v1_cancel(Service& service, const Request& request, Responder out) {
  const auto task = TaskId::parse(request.params[0]);
  if (!task) return out.fail(bad_task_id());
  service.store.cancel(
      *task, "It was cancelled by a request.",
      [self = service.shared_from_this(), task = *task,
       out = std::move(out)](Result<store::CancelAnswer> answer) mutable {
        if (!answer) return out.fail(answer.error());
        switch (*answer) {
          case store::CancelAnswer::Cancelled: return send_story(*self, task, false, 200, std::move(out));
          case store::CancelAnswer::Requested: return send_story(*self, task, false, 202, std::move(out));
          case store::CancelAnswer::Missing: return out.fail(unknown_task(to_string(task)));
          case store::CancelAnswer::Terminal: break;
        }
        out.fail(fail(Code::Conflict, "Task " + to_string(task) + " has ended already; GET /v1/tasks/" +
                                          to_string(task) + " tells how."));
      });
}

}  // namespace treadle::gateway

// POST /v1/tasks:cancel and POST /v1/tasks:retry: what is done to all tasks that filters match; and the retry of one.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/sha256.h"
#include "core/limits.h"
#include "gateway/digest.h"
#include "gateway/errors.h"
#include "gateway/form.h"
#include "gateway/handlers.h"
#include "gateway/json_writer.h"
#include "gateway/query.h"
#include "gateway/selection.h"
#include "gateway/service.h"

namespace treadle::gateway {
namespace {

namespace limits = core::limits;

void write_cursor(JsonWriter& to, const Walk& walk) {
  to.member("dry_run", walk.dry_run()).key("next_cursor");
  if (walk.next_cursor.empty())
    to.null();
  else
    to.value(walk.next_cursor);
}

// ---- cancel ----

struct Cancelling {
  std::shared_ptr<Walk> walk;
  std::size_t cancelled = 0, requested = 0, ended = 0;
  std::optional<Error> error;

  void note(const Result<store::CancelAnswer>& answer) {
    if (!answer) {
      error = answer.error();
      return;
    }
    switch (*answer) {
      case store::CancelAnswer::Cancelled: ++cancelled; return;
      case store::CancelAnswer::Requested: ++requested; return;
      case store::CancelAnswer::Terminal:
      case store::CancelAnswer::Missing: ++ended; return;
    }
  }
  void answer() {
    if (error) return walk->out.fail(*error);
    JsonWriter json;
    json.begin_object().member("matched", walk->matched).member("cancelled", cancelled);
    json.member("requested", requested).member("ended", ended);
    write_cursor(json, *walk);
    walk->out.send(200, json.end_object().take());
  }
};

// A store's batch at a time: they become durable together, and others have their turn in between.
void cancel_some(const std::shared_ptr<Service>& service, const std::shared_ptr<Cancelling>& call,
                 std::vector<store::TaskView> tasks, Callback<void()> next) {
  if (tasks.empty() || call->error) return next();
  struct Round {
    std::size_t waiting;
    std::vector<store::TaskView> rest;
    Callback<void()> next;
  };
  const std::size_t now = std::min(tasks.size(), limits::kBatch);
  std::vector<TaskId> ids;
  for (std::size_t i = 0; i < now; ++i) ids.push_back(tasks[i].id);
  tasks.erase(tasks.begin(), tasks.begin() + static_cast<std::ptrdiff_t>(now));
  auto round = std::make_shared<Round>(Round{now, std::move(tasks), std::move(next)});
  for (const TaskId task : ids) {
    service->store.cancel(task, "It was cancelled by a request.",
                          [service, call, round](Result<store::CancelAnswer> answer) {
                            call->note(answer);
                            if (--round->waiting > 0) return;
                            cancel_some(service, call, std::move(round->rest), std::move(round->next));
                          });
  }
}

// ---- retry ----

struct Retried {
  TaskId task, again;
  bool repeated = false;  // it had been retried before: `again` is that one
};

// Each task is retried once: asked for it again, the answer names the task that it became then. That one, if it FAILED,
// may be retried in its turn.
store::Submission keyed(store::Submission call, TaskId task, TaskId id) {
  call.id = id;
  call.idempotency_scope = "treadle retry";
  call.idempotency_key = to_string(task);
  call.body_digest = sha256(call.idempotency_key);
  return call;
}

using RetriedAll = Callback<void(std::vector<Result<Retried>>)>;

void submit_again(const std::shared_ptr<Service>& service, std::vector<TaskId> tasks,
                  std::vector<store::Submission> calls, std::vector<Result<Retried>> answers,
                  std::vector<std::size_t> places, RetriedAll done) {
  if (calls.empty()) return done(std::move(answers));
  service->store.submit(std::move(calls),
                        [tasks = std::move(tasks), answers = std::move(answers), places = std::move(places),
                         done = std::move(done)](Result<std::vector<Result<store::SubmitAnswer>>> given) mutable {
                          for (std::size_t i = 0; i < places.size(); ++i) {
                            Result<Retried>& answer = answers[places[i]];
                            if (!given)
                              answer = given.error();
                            else if ((*given)[i])
                              answer = Retried{tasks[places[i]], (*given)[i]->id, (*given)[i]->duplicate};
                            else if ((*given)[i].error().code == Code::NotFound)
                              answer = fail(Code::Conflict, "The function of task " + to_string(tasks[places[i]]) +
                                                                " was deleted, so it cannot run again.");
                            else
                              answer = (*given)[i].error();
                          }
                          done(std::move(answers));
                        });
}

// At most limits::kBatch tasks; one answer for each, in order.
void retry(const std::shared_ptr<Service>& service, std::vector<TaskId> tasks, RetriedAll done) {
  struct Reading {
    std::vector<TaskId> tasks;
    std::vector<Result<store::Submission>> calls;
    std::size_t waiting;
    RetriedAll done;
  };
  auto all = std::make_shared<Reading>();
  all->calls.assign(tasks.size(), store::Submission{});
  all->waiting = tasks.size();
  all->tasks = std::move(tasks);
  all->done = std::move(done);
  for (std::size_t i = 0; i < all->tasks.size(); ++i) {
    service->store.submission(all->tasks[i], [service, all, i](Result<store::Submission> call) {
      all->calls[i] = std::move(call);
      if (--all->waiting > 0) return;
      std::vector<store::Submission> calls;
      std::vector<Result<Retried>> answers;
      std::vector<std::size_t> places;
      for (std::size_t at = 0; at < all->calls.size(); ++at) {
        answers.push_back(Retried{});
        if (!all->calls[at]) {
          answers.back() = all->calls[at].error();
          continue;
        }
        calls.push_back(keyed(std::move(*all->calls[at]), all->tasks[at], service->ids.task_id()));
        places.push_back(at);
      }
      submit_again(service, all->tasks, std::move(calls), std::move(answers), std::move(places), std::move(all->done));
    });
  }
}

void write_retried(JsonWriter& to, const Retried& one) {
  to.member("task_id", to_string(one.task)).member("new_task_id", to_string(one.again));
  to.member("repeated", one.repeated);
}

struct Retrying {
  std::shared_ptr<Walk> walk;
  std::vector<Retried> done;
  std::size_t refused = 0;
  std::optional<Error> first_error;

  void note(const std::vector<Result<Retried>>& answers) {
    for (const Result<Retried>& answer : answers) {
      if (answer) {
        done.push_back(*answer);
        continue;
      }
      ++refused;
      if (!first_error) first_error = answer.error();
    }
  }
  void answer() {
    if (done.empty() && first_error) return walk->out.fail(*first_error);
    const auto repeated = static_cast<std::size_t>(
        std::count_if(done.begin(), done.end(), [](const Retried& one) { return one.repeated; }));
    JsonWriter json;
    json.begin_object().member("matched", walk->matched).member("retried", done.size() - repeated);
    json.member("repeated", repeated).member("refused", refused).key("error");
    first_error ? json.value(first_error->message) : json.null();
    json.key("tasks").begin_array();
    for (const Retried& one : done) {
      json.begin_object();
      write_retried(json, one);
      json.end_object();
    }
    json.end_array();
    write_cursor(json, *walk);
    walk->out.send(200, json.end_object().take());
  }
};

void retry_some(const std::shared_ptr<Service>& service, const std::shared_ptr<Retrying>& call,
                std::vector<store::TaskView> tasks, Callback<void()> next) {
  if (tasks.empty()) return next();
  std::vector<TaskId> ids;
  const std::size_t now = std::min(tasks.size(), limits::kBatch);
  for (std::size_t i = 0; i < now; ++i) ids.push_back(tasks[i].id);
  tasks.erase(tasks.begin(), tasks.begin() + static_cast<std::ptrdiff_t>(now));
  retry(service, std::move(ids),
        [service, call, rest = std::move(tasks), next = std::move(next)](std::vector<Result<Retried>> answers) mutable {
          call->note(answers);
          retry_some(service, call, std::move(rest), std::move(next));
        });
}

}  // namespace

void v1_cancel_selected(Service& service, const Request& request, Responder out) {
  auto form = request.form->finish();
  if (!form) return out.fail(form.error());
  FieldReader fields(*form->fields, "");
  const auto status = fields.word("status", {"QUEUED", "RUNNING"});
  Selection selection = read_selection(fields, status.has_value());
  selection.filter.live = true;
  if (status) selection.filter.state = *status == "QUEUED" ? core::TaskState::Queued : core::TaskState::Running;
  if (auto sound = fields.finish(); !sound) return out.fail(sound.error());
  const auto self = service.shared_from_this();
  auto call = std::make_shared<Cancelling>();
  call->walk = std::make_shared<Walk>(self, std::move(selection), std::move(out));
  call->walk->begin([self, call](std::vector<store::TaskView> tasks,
                                 Callback<void()> next) { cancel_some(self, call, std::move(tasks), std::move(next)); },
                    [call] { call->answer(); });
}

void v1_retry_selected(Service& service, const Request& request, Responder out) {
  if (service.draining) return out.fail(no_new_work());
  auto form = request.form->finish();
  if (!form) return out.fail(form.error());
  FieldReader fields(*form->fields, "");
  const bool named = fields.word("status", {"FAILED"}).has_value();
  Selection selection = read_selection(fields, named);
  selection.filter.state = core::TaskState::Failed;
  if (auto sound = fields.finish(); !sound) return out.fail(sound.error());
  const auto self = service.shared_from_this();
  auto call = std::make_shared<Retrying>();
  call->walk = std::make_shared<Walk>(self, std::move(selection), std::move(out));
  call->walk->begin([self, call](std::vector<store::TaskView> tasks,
                                 Callback<void()> next) { retry_some(self, call, std::move(tasks), std::move(next)); },
                    [call] { call->answer(); });
}

void v1_retry(Service& service, const Request& request, Responder out) {
  if (service.draining) return out.fail(no_new_work());
  const auto task = TaskId::parse(request.params[0]);
  if (!task) return out.fail(not_an_id("task_id", "POST /v1/tasks"));
  retry(service.shared_from_this(), {*task},
        [task = *task, out = std::move(out)](std::vector<Result<Retried>> answers) mutable {
          const Result<Retried>& answer = answers.front();
          if (!answer) return out.fail(about_task(answer.error(), task));
          JsonWriter json;
          json.begin_object();
          write_retried(json, *answer);
          Response response = json_response(201, json.end_object().take());
          response.headers = "Location: /v1/tasks/" + to_string(answer->again) + "\r\n";
          if (answer->repeated) response.headers += "Idempotency-Replayed: true\r\n";
          out.send(std::move(response));
        });
}

}  // namespace treadle::gateway

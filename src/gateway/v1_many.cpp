// POST /v1/tasks:lookup and POST /v1/tasks:wait: many tasks in one request.
#include <algorithm>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/string.hpp>

#include "base/base64.h"
#include "core/limits.h"
#include "gateway/errors.h"
#include "gateway/fields.h"
#include "gateway/form.h"
#include "gateway/handlers.h"
#include "gateway/service.h"
#include "gateway/story_json.h"

namespace treadle::gateway {
namespace {

namespace json = boost::json;
namespace limits = core::limits;

constexpr std::int64_t kDefaultWaitMs = 30'000;

// Each once, in the order of the request.
std::vector<TaskId> read_ids(FieldReader& fields) {
  const json::array* items = fields.array("task_ids");
  fields.need("task_ids", items != nullptr);
  if (items == nullptr) return {};
  if (items->empty() || items->size() > limits::kMaxLookupTasks) {
    fields.fail_with(fail(Code::Invalid, "task_ids must be a list of 1 to " + std::to_string(limits::kMaxLookupTasks) +
                                             " ids, not of " + std::to_string(items->size()) + "."));
    return {};
  }
  std::vector<TaskId> ids;
  std::unordered_set<TaskId> seen;
  ids.reserve(items->size());
  for (std::size_t i = 0; i < items->size(); ++i) {
    const json::string* text = (*items)[i].if_string();
    const auto id = text == nullptr ? std::nullopt : TaskId::parse({text->data(), text->size()});
    if (!id) {
      fields.fail_with(not_an_id("task_ids[" + std::to_string(i) + "]", "POST /v1/tasks"));
      return {};
    }
    if (seen.insert(*id).second) ids.push_back(*id);
  }
  return ids;
}

// The present states, in the order of `ids`; the store takes limits::kBatch at a time.
template <class Then>
void read_states(const std::shared_ptr<Service>& service, const std::vector<TaskId>& ids, Then then) {
  struct Reading {
    std::vector<Result<store::TaskView>> views;
    std::size_t waiting;
    Then then;
  };
  const std::size_t parts = (ids.size() + limits::kBatch - 1) / limits::kBatch;
  const auto all = std::make_shared<Reading>(Reading{{}, parts, std::move(then)});
  all->views.assign(ids.size(), store::TaskView{});
  for (std::size_t from = 0; from < ids.size(); from += limits::kBatch) {
    const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(from);
    const auto end = ids.begin() + static_cast<std::ptrdiff_t>(std::min(from + limits::kBatch, ids.size()));
    service->store.get({begin, end}, false, [all, from](std::vector<Result<store::TaskView>> views) {
      std::move(views.begin(), views.end(), all->views.begin() + static_cast<std::ptrdiff_t>(from));
      if (--all->waiting == 0) all->then(std::move(all->views));
    });
  }
}

void write_state(JsonWriter& to, const store::TaskView& view) {
  write_row(to, view);
  to.key("error_kind");
  if (view.error_kind == core::ErrorKind::None)
    to.null();
  else
    to.value(core::name_of(view.error_kind));
}

void write_missing(JsonWriter& to, const std::vector<TaskId>& missing) {
  to.key("missing").begin_array();
  for (const TaskId task : missing) to.value(to_string(task));
  to.end_array();
}

void write_result(JsonWriter& to, const Buffer& result) {
  const std::string_view bytes = result.view();
  to.member("result_bytes", bytes.size()).key("result");
  if (bytes.size() > limits::kInline) {
    to.null();
    return;
  }
  std::string text = "\"";
  base64_encode(bytes, text);
  to.raw(text += '"');
}

// Bytes that a result adds to an answer.
std::uint64_t told_bytes(const store::TaskView& view) {
  return std::min<std::uint64_t>(view.result.bytes.view().size(), limits::kInline);
}

void send_ended(ManyWait& request, std::size_t told) {
  JsonWriter json;
  json.begin_object().key("tasks").begin_array();
  for (std::size_t i = 0; i < told; ++i) {
    json.begin_object();
    write_state(json, request.ended[i]);
    if (request.with_results) write_result(json, request.ended[i].result.bytes);
    json.end_object();
  }
  json.end_array();
  write_missing(json, request.missing);
  json.member("waiting", request.ids.size() - told - request.missing.size());
  request.out.send(200, json.end_object().take());
}

void add_results(std::shared_ptr<ManyWait> request, std::size_t at, std::uint64_t bytes);

void take_results(const std::shared_ptr<ManyWait>& request, std::size_t at, std::uint64_t bytes,
                  std::vector<Result<store::TaskView>> views) {
  for (Result<store::TaskView>& view : views) {
    if (bytes >= limits::kMaxWaitResults) break;
    if (!view && view.error().code != Code::NotFound) return request->out.fail(view.error());
    if (!view) {  // its time of keeping ended just now
      request->missing.push_back(request->ended[at].id);
      request->ended.erase(request->ended.begin() + static_cast<std::ptrdiff_t>(at));
      continue;
    }
    bytes += told_bytes(request->ended[at++] = std::move(*view));
  }
  add_results(request, at, bytes);
}

// Reads the results of what ended, some at a time, until the answer is full or has all of them.
void add_results(std::shared_ptr<ManyWait> request, std::size_t at, std::uint64_t bytes) {
  constexpr std::size_t kStep = 32;  // results in memory before their sizes are known
  const auto& ended = request->ended;
  while (at < ended.size() && bytes < limits::kMaxWaitResults && !ended[at].result.bytes.empty())
    bytes += told_bytes(ended[at++]);
  if (at == ended.size() || bytes >= limits::kMaxWaitResults) return send_ended(*request, at);
  std::vector<TaskId> ids;
  for (std::size_t i = at; i < ended.size() && ids.size() < kStep && ended[i].result.bytes.empty(); ++i)
    ids.push_back(ended[i].id);
  request->service->store.get(std::move(ids), true, [request, at, bytes](std::vector<Result<store::TaskView>> views) {
    take_results(request, at, bytes, std::move(views));
  });
}

void finish(std::shared_ptr<ManyWait> request) {
  if (request->error) return request->out.fail(*request->error);
  if (!request->with_results) return send_ended(*request, request->ended.size());
  add_results(std::move(request), 0, 0);
}

void sort_out(const std::shared_ptr<ManyWait>& request, std::vector<Result<store::TaskView>> views) {
  for (std::size_t i = 0; i < views.size(); ++i) {
    if (!views[i] && views[i].error().code != Code::NotFound) return request->out.fail(views[i].error());
    if (!views[i])
      request->missing.push_back(request->ids[i]);
    else if (core::is_terminal(views[i]->state))
      request->ended.push_back(std::move(*views[i]));
  }
  Service& service = *request->service;
  const bool over = service.draining || request->deadline <= service.clock.now();
  if (over || !request->ended.empty() || !request->missing.empty()) return finish(request);
  if (auto held = service.watch.hold(request); !held) request->out.fail(held.error());
}

}  // namespace

void v1_lookup(Service& service, const Request& request, Responder out) {
  auto form = request.form->finish();
  if (!form) return out.fail(form.error());
  FieldReader fields(*form->fields, "");
  const std::vector<TaskId> ids = read_ids(fields);
  if (auto sound = fields.finish(); !sound) return out.fail(sound.error());
  read_states(service.shared_from_this(), ids,
              [ids, out = std::make_shared<Responder>(std::move(out))](std::vector<Result<store::TaskView>> views) {
                std::vector<TaskId> missing;
                JsonWriter json;
                json.begin_object().key("tasks").begin_array();
                for (std::size_t i = 0; i < views.size(); ++i) {
                  if (!views[i] && views[i].error().code != Code::NotFound) return out->fail(views[i].error());
                  if (!views[i]) {
                    missing.push_back(ids[i]);
                    continue;
                  }
                  json.begin_object();
                  write_state(json, *views[i]);
                  json.end_object();
                }
                json.end_array();
                write_missing(json, missing);
                out->send(200, json.end_object().take());
              });
}

void v1_wait(Service& service, const Request& request, Responder out) {
  service.watch.supersede(out.sink());
  auto form = request.form->finish();
  if (!form) return out.fail(form.error());
  FieldReader fields(*form->fields, "");
  auto waiting = std::make_shared<ManyWait>();
  waiting->ids = read_ids(fields);
  const auto wait = fields.milliseconds("wait", static_cast<double>(limits::kMaxWait / 1s), /*zero=*/true);
  waiting->with_results = fields.flag("results");
  if (auto sound = fields.finish(); !sound) return out.fail(sound.error());
  waiting->deadline = service.clock.now() + std::chrono::milliseconds(wait.value_or(kDefaultWaitMs));
  waiting->out = std::move(out);
  waiting->finish = finish;
  waiting->service = service.shared_from_this();
  read_states(waiting->service, waiting->ids,
              [waiting](std::vector<Result<store::TaskView>> views) { sort_out(waiting, std::move(views)); });
}

}  // namespace treadle::gateway

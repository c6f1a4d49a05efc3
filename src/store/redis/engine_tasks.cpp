// What clients ask of the engine: functions, submit, reads, lists, cancel.
#include <utility>

#include "base/base64.h"
#include "core/scheduling.h"
#include "store/list_page.h"
#include "store/redis/engine.h"

namespace treadle::store::redis {
namespace {

constexpr std::uint64_t kFunctionOverhead = 512;
const std::vector<std::string> kFunction = {"name",           "body_sha256", "body_facts",    "body_bytes",
                                            "delivery",       "isolation",   "max_attempts",  "retries",
                                            "retry_delay_ms", "priority",    "time_limit_ms", "memory_limit",
                                            "queue",          "environment", "more",          "deleted"};

const std::vector<std::string> kPresence = {"name", "deleted"};

Error no_function(FunctionId id) { return fail(Code::NotFound, "There is no function " + to_string(id) + "."); }

Command hmget(std::string key, const std::vector<std::string>& fields) {
  Command command{"HMGET", std::move(key)};
  command.insert(command.end(), fields.begin(), fields.end());
  return command;
}

WallMs wall_of(const Fields& fields, std::string_view name) {
  return WallMs{static_cast<std::int64_t>(fields.number(name))};
}

}  // namespace

// ---- functions ----

void Engine::put_function(core::Function function, Done<Result<FunctionId>> done) {
  if (auto error = closed()) return done(std::move(*error));
  const std::string id = to_string(function.id);
  const bool apart = is_big(function.body);
  Args args{id, function.name, to_string(function.digest), apart ? "1" : "0"};
  if (!apart) add_field(args, "function_body", base64_encode_lines(function.body.bytes.view()));
  add_field(args, "body_facts", std::to_string(function.body.facts.pack()));
  add_field(args, "body_bytes", std::to_string(function.body.bytes.size()));
  add_options(args, function.options);
  add_number(args, "priority", 0);
  if (function.options.priority != 0) add_field(args, "priority", std::to_string(function.options.priority));
  if (!function.options.queue.empty()) add_field(args, "queue", function.options.queue);
  std::vector<Uploader::Item> items;
  if (apart) items.push_back({id, "name", "function_body", function.body});
  bulk_.into_hashes(std::move(items), [this, args = std::move(args), function = std::move(function),
                                       done = std::move(done)](Result<void> brought) mutable {
    if (!brought) return done(std::move(brought.error()));
    caller_.run_kept(Script::Register, std::move(args),
                     [this, function = std::move(function), done = std::move(done)](Result<Reply> reply) mutable {
                       if (!reply) return done(std::move(reply.error()));
                       const FunctionId id = function.id;
                       if (reply->text != "OK") {
                         return done(fail(Code::StoreError, "The body of function " + to_string(id) +
                                                                " has gone from Redis again. Register it again."));
                       }
                       body_owners_.put(function.digest, id, kFunctionOverhead);
                       done(id);
                     });
  });
}

// Redis has the last word on whether it is still there: another gateway may have deleted it.
void Engine::get_function(FunctionId id, Done<Result<core::Function>> done) {
  const core::Function* known = functions_.find(id);
  if (known == nullptr) return read_function(id, Deleted::Unknown, std::move(done));
  if (auto error = closed()) return done(std::move(*error));
  caller_.send(hmget(key(to_string(id)), kPresence),
               [function = *known, done = std::move(done)](Result<Reply> reply) mutable {
                 if (!reply) return done(std::move(reply.error()));
                 const Fields fields(kPresence, *reply);
                 if (!fields.has("name") || fields.has("deleted")) return done(no_function(function.id));
                 done(std::move(function));
               });
}

// Also one that was deleted, for tasks that were accepted before.
void Engine::find_function(FunctionId id, Done<Result<core::Function>> done) {
  if (const core::Function* known = functions_.find(id)) return done(*known);
  read_function(id, Deleted::Known, std::move(done));
}

void Engine::read_function(FunctionId id, Deleted deleted, Done<Result<core::Function>> done) {
  if (auto error = closed()) return done(std::move(*error));
  caller_.send(hmget(key(to_string(id)), kFunction), [this, id, deleted,
                                                      done = std::move(done)](Result<Reply> reply) mutable {
    if (!reply) return done(std::move(reply.error()));
    const Fields fields(kFunction, *reply);
    const bool gone = deleted == Deleted::Unknown && fields.has("deleted");
    if (!fields.has("name") || gone) return done(no_function(id));
    core::Function function;
    function.id = id;
    function.name = fields.text("name");
    function.options = options_of(fields);
    if (const auto digest = digest_of(fields.text("body_sha256"))) function.digest = *digest;
    const bool has_facts = fields.has("body_facts");
    function.body.facts = core::PayloadFacts::unpack(static_cast<std::uint32_t>(fields.number("body_facts")));
    auto then = [this, has_facts, function = std::move(function), done = std::move(done)](Result<Reply> body) mutable {
      finish_function(std::move(function), std::move(body), has_facts, std::move(done));
    };
    if (has_facts && fields.number("body_bytes") <= core::limits::kInline) {
      caller_.send(Command{"HGET", key(to_string(id)), "function_body"}, std::move(then));
    } else {
      bulk_.read_field(to_string(id), "function_body", std::move(then));
    }
  });
}

// Of a function that a foreign program registered, what is not there is found out here.
void Engine::finish_function(core::Function function, Result<Reply> body, bool has_facts,
                             Done<Result<core::Function>> done) {
  if (!body) return done(std::move(body.error()));
  if (body->type == Reply::Type::Nil) return done(no_function(function.id));
  const Reply facts{Reply::Type::Integer, function.body.facts.pack(), 0, "", {}};
  auto payload = payload_of(body->text, has_facts ? &facts : nullptr);
  if (!payload) {
    return done(fail(Code::StoreError,
                     "The body of function " + to_string(function.id) + " in Redis: " + payload.error().message));
  }
  function.body = std::move(*payload);
  if (function.digest == Digest{}) function.digest = sha256(function.body.bytes.view());
  body_owners_.put(function.digest, function.id, kFunctionOverhead);
  functions_.put(function.id, function, function.body.bytes.size() + kFunctionOverhead);
  done(std::move(function));
}

void Engine::get_body(Digest digest, Done<Result<core::Payload>> done) {
  if (auto error = closed()) return done(std::move(*error));
  struct Search {
    Digest digest;
    Done<Result<core::Payload>> done;
  };
  auto search = std::make_shared<Search>(Search{digest, std::move(done)});
  const auto missing = [digest] {
    return fail(Code::NotFound, "There is no function body " + to_string(digest) + ".");
  };
  auto by_index = [this, search, missing] {
    caller_.send(Command{"GET", key("treadle:body:" + to_string(search->digest))},
                 [this, search, missing](Result<Reply> owner) {
                   if (!owner) return search->done(std::move(owner.error()));
                   const auto id = FunctionId::parse(owner->text);
                   if (!id) return search->done(missing());
                   find_function(*id, [search, missing](Result<core::Function> function) {
                     if (function && function->digest == search->digest) {
                       return search->done(std::move(function->body));
                     }
                     if (function || function.error().code == Code::NotFound) return search->done(missing());
                     search->done(std::move(function.error()));
                   });
                 });
  };
  const FunctionId* owner = body_owners_.find(digest);
  if (!owner) return by_index();
  find_function(FunctionId(*owner), [search, by_index](Result<core::Function> function) mutable {
    if (function && function->digest == search->digest) return search->done(std::move(function->body));
    if (function || function.error().code == Code::NotFound) return by_index();
    search->done(std::move(function.error()));
  });
}

void Engine::list_functions(FunctionFilter filter, Done<Result<std::vector<FunctionSummary>>> done) {
  if (auto error = closed()) return done(std::move(*error));
  const auto from = parse_cursor(filter.cursor, 0);
  if (!from) return done(from.error());
  filter.limit = std::min(filter.limit, kListLimit);
  list_functions_page(std::move(filter), {}, std::move(done));
}

void Engine::list_functions_page(FunctionFilter filter, std::vector<FunctionSummary> found,
                                 Done<Result<std::vector<FunctionSummary>>> done) {
  const auto n = std::min<std::uint32_t>(filter.limit - static_cast<std::uint32_t>(found.size()), core::limits::kBatch);
  if (n == 0) return done(std::move(found));
  caller_.run(Script::ListFunctions, {filter.name, filter.cursor, std::to_string(n)},
              [this, filter, found = std::move(found), done = std::move(done)](Result<Reply> reply) mutable {
                if (!reply) return done(std::move(reply.error()));
                if (reply->items.size() < 2) return done(std::move(found));
                for (const Reply& row : reply->items[1].items) {
                  if (row.items.size() < 6) continue;
                  FunctionSummary summary;
                  if (const auto id = FunctionId::parse(row.items[0].text)) summary.id = *id;
                  summary.cursor = row.items[1].text;
                  summary.name = row.items[2].text;
                  if (const auto digest = digest_of(row.items[3].text)) summary.digest = *digest;
                  summary.body_bytes = number_of(row.items[4]);
                  summary.created = WallMs{static_cast<std::int64_t>(number_of(row.items[5]))};
                  found.push_back(std::move(summary));
                }
                filter.cursor = reply->items[0].text;
                if (filter.cursor.empty()) return done(std::move(found));
                list_functions_page(std::move(filter), std::move(found), std::move(done));
              });
}

void Engine::delete_function(FunctionId id, Done<Result<bool>> done) {
  if (auto error = closed()) return done(std::move(*error));
  caller_.run_kept(Script::DeleteFunction, Args{to_string(id)},
                   [this, done = std::move(done)](Result<Reply> reply) mutable {
                     if (!reply) return done(std::move(reply.error()));
                     done(reply->text == "OK" || (reply->text == "GONE" && caller_.was_repeated()));
                   });
}

// ---- submit ----

void Engine::submit(std::vector<Submission> batch, Done<Result<std::vector<Result<SubmitAnswer>>>> done) {
  if (auto error = closed()) return done(std::move(*error));
  submitter_.add(std::move(batch), std::move(done));
}

// ---- reads ----

void Engine::get(std::vector<TaskId> ids, bool with_results, Done<std::vector<Result<TaskView>>> done) {
  struct Call {
    std::vector<Result<TaskView>> views;
    std::size_t waiting;
    Done<std::vector<Result<TaskView>>> done;
  };
  if (ids.empty()) return done({});
  auto call = std::make_shared<Call>(Call{{}, ids.size(), std::move(done)});
  call->views.assign(ids.size(), TaskView{});
  for (std::size_t i = 0; i < ids.size(); ++i) {
    read_view(ids[i], with_results, [call, i](Result<TaskView> view) {
      call->views[i] = std::move(view);
      if (--call->waiting == 0) call->done(std::move(call->views));
    });
  }
}

void Engine::read_view(TaskId id, bool with_result, Done<Result<TaskView>> done) {
  if (auto error = closed()) return done(std::move(*error));
  const std::vector<std::string>& names = view_fields(with_result);
  caller_.send(hmget(key(to_string(id)), names),
               [this, id, with_result, &names, done = std::move(done)](Result<Reply> reply) mutable {
                 if (!reply) return done(std::move(reply.error()));
                 const Fields fields(names, *reply);
                 auto view = view_of(id, fields);
                 if (!view || !with_result || !core::is_terminal(view->state)) return done(std::move(view));
                 add_result_to(std::move(*view), fields, std::move(done));
               });
}

void Engine::add_result_to(TaskView view, const Fields& fields, Done<Result<TaskView>> done) {
  const std::string_view text = fields.text("task_result");
  const Reply* known = fields.find("result_facts");
  if (text.empty() && fields.number("result_bytes") > core::limits::kInline) {
    const std::optional<Reply> facts = known ? std::optional<Reply>(*known) : std::nullopt;
    return bulk_.read_key(to_string(view.id) + ":result", [view = std::move(view), facts,
                                                           done = std::move(done)](Result<Reply> reply) mutable {
      if (!reply) return done(std::move(reply.error()));
      if (reply->type == Reply::Type::Nil) {
        return done(fail(Code::StoreError, "The result of task " + to_string(view.id) + " is missing from Redis."));
      }
      auto result = payload_of(reply->text, facts ? &*facts : nullptr);
      if (!result) return done(std::move(result.error()));
      view.result = std::move(*result);
      done(std::move(view));
    });
  }
  if (text.empty() && view.state == core::TaskState::Failed) {  // a script ended it; its object is on its way
    view.result = config_.failure(view.error_kind, view.id, std::string(fields.text("worker")),
                                  std::string(fields.text("error_message")));
    return done(std::move(view));
  }
  static const Reply kNoFacts{Reply::Type::Integer, 0, 0, "", {}};
  auto result = payload_of(text, known);
  if (!result) result = payload_of(text, &kNoFacts);  // a foreign worker wrote it: what is base64 is handed on
  if (result) view.result = std::move(*result);
  done(std::move(view));
}

void Engine::story(TaskId id, Done<Result<TaskStory>> done) {
  if (auto error = closed()) return done(std::move(*error));
  caller_.send(hmget(key(to_string(id)), story_fields()),
               [this, id, done = std::move(done)](Result<Reply> reply) mutable {
                 if (!reply) return done(std::move(reply.error()));
                 const Fields fields(story_fields(), *reply);
                 auto view = view_of(id, fields);
                 if (!view) return done(std::move(view.error()));
                 TaskStory story;
                 story.losses = static_cast<std::uint32_t>(fields.number("losses"));
                 story.kills = static_cast<std::uint32_t>(fields.number("kills"));
                 story.worker = fields.text("worker");
                 story.last_error = fields.text("last_error");
                 story.error_type = fields.text("error_type");
                 story.error_message = fields.text("error_message");
                 story.traceback = fields.text("traceback");
                 story.output = fields.text("output");
                 story.accepted = wall_of(fields, "accepted");
                 story.not_before = wall_of(fields, "not_before");
                 story.expires = wall_of(fields, "expires");
                 if (view->state != core::TaskState::Queued) {  // of an attempt that was given back: nobody holds it
                   story.claimed = wall_of(fields, "claimed");
                   story.started = wall_of(fields, "started");
                 }
                 story.finished = wall_of(fields, "finished");
                 story.measures = measures_of(fields);
                 story.cancel_requested = fields.has("cancel_requested");
                 story.options = options_of(fields);
                 story.group = fields.text("group");
                 story.result_bytes = static_cast<std::uint64_t>(fields.number("result_bytes"));
                 story.view = std::move(*view);
                 done(std::move(story));
               });
}

// ---- lists ----

struct Engine::ListCall {
  ListFilter filter;
  std::string from;  // the score to begin below
  std::uint32_t examined = 0;
  ScoredPage page;
  Done<Result<ScoredPage>> done;
};

void Engine::list(ListFilter filter, Done<Result<TaskPage>> done) {
  list_scored(std::move(filter), [done = std::move(done)](Result<ScoredPage> scored) mutable {
    if (!scored) return done(std::move(scored.error()));
    TaskPage page;
    for (ScoredPage::Row& row : scored->rows) page.tasks.push_back(std::move(row.task));
    if (scored->next != 0) page.next_cursor = std::to_string(scored->next);
    done(std::move(page));
  });
}

void Engine::list_scored(ListFilter filter, Done<Result<ScoredPage>> done) {
  if (auto error = closed()) return done(std::move(*error));
  if (const auto cursor = parse_cursor(filter.cursor, 1); !cursor) return done(cursor.error());
  filter.limit = std::min(filter.limit, kListLimit);
  auto call = std::make_shared<ListCall>();
  call->from = filter.cursor;
  call->filter = std::move(filter);
  call->done = std::move(done);
  list_page(std::move(call));
}

namespace {

// id, score, status, token, function, group, attempt, error kind, queue
TaskView view_of_row(const Reply& row) {
  TaskView view;
  if (const auto id = TaskId::parse(row.items[0].text)) view.id = *id;
  view.state = state_of(row.items[2].text, row.items[3].text);
  if (const auto function = FunctionId::parse(row.items[4].text)) view.function = *function;
  view.attempt = static_cast<std::uint32_t>(number_of(row.items[6]));
  view.error_kind = core::parse_error_kind(row.items[7].text).value_or(core::ErrorKind::None);
  return view;
}

}  // namespace

void Engine::list_page(std::shared_ptr<ListCall> call) {
  caller_.run(Script::ListTasks, Args{call->from}, [this, call](Result<Reply> reply) {
    if (!reply) return call->done(std::move(reply.error()));
    if (reply->items.size() < 2) return call->done(std::move(call->page));
    call->page.next = number_of(reply->items[0]);
    const auto& rows = reply->items[1].items;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Reply& row = rows[i];
      if (row.items.size() < 9) continue;
      TaskView view = view_of_row(row);
      const WallMs accepted{static_cast<std::int64_t>(number_of(row.items[1]) / 1000)};
      if (!call->filter.group.empty() && call->filter.group != row.items[5].text) continue;
      if (!matches(call->filter, view, accepted, core::queue_of_line(row.items[8].text))) continue;
      call->page.rows.push_back({number_of(row.items[1]), std::move(view)});
      if (call->page.rows.size() < call->filter.limit) continue;
      if (i + 1 < rows.size()) call->page.next = number_of(row.items[1]);
      return call->done(std::move(call->page));
    }
    call->examined += core::limits::kBatch;
    if (call->page.next == 0 || call->examined >= kListExamined) return call->done(std::move(call->page));
    call->from = std::to_string(call->page.next);
    list_page(call);
  });
}

// ---- cancel ----

void Engine::cancel(TaskId id, std::string reason, Done<Result<CancelAnswer>> done) {
  if (auto error = closed()) return done(std::move(*error));
  caller_.run_kept(Script::Cancel, {to_string(id), std::move(reason)},
                   [this, id, done = std::move(done)](Result<Reply> reply) mutable {
                     if (!reply) return done(std::move(reply.error()));
                     if (reply->items.size() < 5) return done(CancelAnswer::Missing);
                     const bool repeated = caller_.was_repeated();
                     take_ended(reply->items[1]);
                     count(reply->items[4]);
                     const std::string& word = reply->items[0].text;
                     if (word == "requested") {
                       const auto session = SessionId::parse(reply->items[2].text);
                       if (session && sessions_.contains(*session))
                         revoke_hints_.push_back({id, token_of(reply->items[3].text)});
                       return done(CancelAnswer::Requested);
                     }
                     if (word == "missing") return done(CancelAnswer::Missing);
                     if (word == "terminal" || (word == "was-cancelled" && !repeated))
                       return done(CancelAnswer::Terminal);
                     if (!waiters_.contains(id)) return done(CancelAnswer::Cancelled);
                     read_view(id, true, [this, id, done = std::move(done)](Result<TaskView> view) mutable {
                       for (auto& answer : waiters_.take(id)) answer(view);
                       done(CancelAnswer::Cancelled);
                     });
                   });
}

}  // namespace treadle::store::redis

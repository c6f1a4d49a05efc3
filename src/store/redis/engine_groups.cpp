// What clients ask of groups and queues.
#include <algorithm>
#include <map>
#include <utility>

#include "core/scheduling.h"
#include "store/list_page.h"
#include "store/redis/engine.h"

namespace treadle::store::redis {
namespace {

const std::vector<std::string> kRecall = {
    "task_status",    "token",         "function_id",  "args_facts", "args_bytes", "delivery",
    "isolation",      "max_attempts",  "retries",      "priority",   "queue",      "environment",
    "retry_delay_ms", "time_limit_ms", "memory_limit", "more",       "group"};

// As view_fields(true), with what else an end tells before the result's text.
const std::vector<std::string>& end_fields() {
  static const std::vector<std::string> kFields = [] {
    std::vector<std::string> names = view_fields(true);
    names.insert(names.end() - 1, {"error_type", "finished"});
    return names;
  }();
  return kFields;
}

Reply tail_of(const Reply& row, std::size_t from) {
  Reply tail;
  tail.items.assign(row.items.begin() + static_cast<std::ptrdiff_t>(from), row.items.end());
  return tail;
}

}  // namespace

// ---- groups ----

void Engine::group_ends(GroupFilter filter, Done<Result<GroupPage>> done) {
  if (auto error = closed()) return done(std::move(*error));
  const auto after = parse_cursor(filter.cursor, 0);
  if (!after) return done(after.error());
  const std::size_t most = std::clamp<std::size_t>(filter.limit, 1, core::limits::kBatch);
  Args args{filter.group, std::to_string(*after), std::to_string(most), std::to_string(filter.max_bytes / 3 * 4)};
  args.insert(args.end(), end_fields().begin(), end_fields().end());
  caller_.run(Script::GroupPage, std::move(args), [this, done = std::move(done)](Result<Reply> reply) mutable {
    if (!reply) return done(std::move(reply.error()));
    if (reply->items.size() < 5) return done(fail(Code::StoreError, "Redis gave no page of the group."));
    GroupPage page;
    page.known = number_of(reply->items[0]) != 0;
    page.open = number_of(reply->items[1]) != 0;
    page.more = number_of(reply->items[2]) != 0;
    page.cursor = reply->items[3].text;
    for (const Reply& row : reply->items[4].items) {
      const auto id = row.items.size() > 2 ? TaskId::parse(row.items[1].text) : std::nullopt;
      if (!id) continue;
      const Reply values = tail_of(row, 2);
      const Fields fields(end_fields(), values);
      auto view = view_of(*id, fields);
      if (!view || !core::is_terminal(view->state)) continue;
      GroupEnd end;
      end.result_bytes = fields.number("result_bytes");
      end.error_type = fields.text("error_type");
      end.error_message = fields.text("error_message");
      end.finished = {static_cast<std::int64_t>(fields.number("finished"))};
      end.cursor = row.items[0].text;
      if (end.result_bytes <= core::limits::kInline) {  // so it is here, and the answer comes at once
        add_result_to(std::move(*view), fields, [&end](Result<TaskView> whole) {
          if (whole) end.view = std::move(*whole);
        });
        end.result_bytes = end.view.result.bytes.size();
      } else {
        end.view = std::move(*view);
      }
      page.ends.push_back(std::move(end));
    }
    done(std::move(page));
  });
}

void Engine::submission(TaskId id, Done<Result<Submission>> done) {
  if (auto error = closed()) return done(std::move(*error));
  Command command{"HMGET", key(to_string(id))};
  command.insert(command.end(), kRecall.begin(), kRecall.end());
  caller_.send(std::move(command), [this, id, done = std::move(done)](Result<Reply> reply) mutable {
    if (!reply) return done(std::move(reply.error()));
    const Fields fields(kRecall, *reply);
    if (!fields.has("task_status")) return done(fail(Code::NotFound, "There is no task " + to_string(id) + "."));
    const core::TaskState state = state_of(fields.text("task_status"), fields.text("token"));
    if (state != core::TaskState::Failed) return done(not_failed(id, state));
    Submission call;
    if (const auto function = FunctionId::parse(fields.text("function_id"))) call.function = *function;
    call.options = options_of(fields);
    call.group = fields.text("group");
    const Reply* known = fields.find("args_facts");
    auto then = [facts = known ? std::optional<Reply>(*known) : std::nullopt, call = std::move(call),
                 done = std::move(done)](Result<Reply> text) mutable {
      if (!text) return done(std::move(text.error()));
      auto args = payload_of(text->text, facts ? &*facts : nullptr);
      if (!args) return done(std::move(args.error()));
      call.args = std::move(*args);
      done(std::move(call));
    };
    if (fields.number("args_bytes") > core::limits::kInline)
      return bulk_.read_field(to_string(id), "function_args", std::move(then));
    caller_.send(Command{"HGET", key(to_string(id)), "function_args"}, std::move(then));
  });
}

// ---- queues ----

struct Engine::QueuesCall {
  std::vector<QueueReport> queues;
  std::map<std::string, std::uint64_t> running;
  std::size_t waiting = 1;
  std::optional<Error> error;
  Done<Result<std::vector<QueueReport>>> done;

  void part_done() {
    if (--waiting > 0) return;
    if (error) return done(std::move(*error));
    for (QueueReport& queue : queues) {
      queue.running = running[queue.name];
      running.erase(queue.name);
    }
    for (const auto& [name, count] : running) queues.push_back({name, 0, count, WallMs{}, false});
    done(std::move(queues));
  }
};

void Engine::queues(Done<Result<std::vector<QueueReport>>> done) {
  if (auto error = closed()) return done(std::move(*error));
  auto call = std::make_shared<QueuesCall>();
  call->done = std::move(done);
  caller_.run(Script::Queues, Args{std::to_string(kQueuesShown)}, [this, call](Result<Reply> reply) {
    if (!reply) call->error = std::move(reply.error());
    if (reply) {
      for (const Reply& row : reply->items) {
        if (row.items.size() < 4) continue;
        call->queues.push_back({row.items[0].text, number_of(row.items[1]), 0,
                                WallMs{static_cast<std::int64_t>(number_of(row.items[2]))},
                                number_of(row.items[3]) != 0});
      }
      ++call->waiting;
      count_held(call);
    }
    call->part_done();
  });
}

// There is no counter of what is held in each queue: it is counted when somebody asks.
void Engine::count_held(const std::shared_ptr<QueuesCall>& call) {
  caller_.send(Command{"SMEMBERS", key("treadle:sessions")}, [this, call](Result<Reply> sessions) {
    if (!sessions) call->error = std::move(sessions.error());
    if (sessions) {
      for (const Reply& session : sessions->items) {
        ++call->waiting;
        count_held_of(call, session.text);
      }
    }
    call->part_done();
  });
}

void Engine::count_held_of(const std::shared_ptr<QueuesCall>& call, const std::string& session) {
  caller_.send(Command{"HKEYS", key("treadle:session:" + session + ":held")}, [this, call](Result<Reply> held) {
    if (!held) call->error = std::move(held.error());
    if (held) {
      for (const Reply& task : held->items) {
        ++call->waiting;
        caller_.send(Command{"HGET", key(task.text), "queue"}, [call](Result<Reply> queue) {
          if (queue) {
            const std::string_view name = core::queue_of_line(queue->text);
            ++call->running[std::string(name.empty() ? kDefaultQueue : name)];
          }
          if (!queue) call->error = std::move(queue.error());
          call->part_done();
        });
      }
    }
    call->part_done();
  });
}

void Engine::pause_queue(std::string queue, bool paused, Done<Result<void>> done) {
  if (auto error = closed()) return done(std::move(*error));
  if (is_default_queue(queue)) queue = kDefaultQueue;
  caller_.run_kept(Script::Pause, Args{std::move(queue), paused ? "1" : "0"},
                   [done = std::move(done)](Result<Reply> reply) mutable {
                     if (!reply) return done(std::move(reply.error()));
                     done({});
                   });
}

}  // namespace treadle::store::redis

#include "store/redis/partitioned.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "base/sha256.h"
#include "store/list_page.h"
#include "store/redis/gather.h"
#include "store/redis/partitioned_claims.h"

namespace treadle::store::redis {

Partitioned::Partitioned(std::vector<std::unique_ptr<Engine>> engines, std::string shown, std::size_t max_waiters,
                         const Clock& clock)
    : engines_(std::move(engines)), shown_(std::move(shown)), max_waiters_(max_waiters), clock_(clock) {}

Partitioned::~Partitioned() = default;

// ---- functions: every partition has them all ----

void Partitioned::put_function(core::Function function, Done<Result<FunctionId>> done) {
  auto all = gather<Result<FunctionId>>(count(), [done = std::move(done)](auto& answers) mutable {
    for (auto& answer : answers) {
      if (!answer) return done(std::move(answer));
    }
    done(std::move(answers[0]));
  });
  for (unsigned p = 0; p < count(); ++p) engines_[p]->put_function(function, all->slot(p));
}

// Each gateway's cache is filled from the partition that the id names; where that is away, or was emptied, another has
// it.
void Partitioned::get_function(FunctionId id, Done<Result<core::Function>> done) {
  get_function_from(0, id, std::move(done));
}

void Partitioned::get_function_from(unsigned tried, FunctionId id, Done<Result<core::Function>> done) {
  const unsigned p = (number_of(id) + tried) % count();
  engines_[p]->get_function(id, [this, tried, id, done = std::move(done)](Result<core::Function> function) mutable {
    if (function || tried + 1 == count()) return done(std::move(function));
    get_function_from(tried + 1, id, std::move(done));
  });
}

void Partitioned::get_body(Digest digest, Done<Result<core::Payload>> done) {
  get_body_from(static_cast<unsigned>(digest.words[0] % count()), 0, digest, std::move(done));
}

void Partitioned::get_body_from(unsigned first, unsigned tried, Digest digest, Done<Result<core::Payload>> done) {
  engines_[(first + tried) % count()]->get_body(
      digest, [this, first, tried, digest, done = std::move(done)](Result<core::Payload> body) mutable {
        if (body || tried + 1 == count()) return done(std::move(body));
        get_body_from(first, tried + 1, digest, std::move(done));
      });
}

void Partitioned::list_functions(FunctionFilter filter, Done<Result<std::vector<FunctionSummary>>> done) {
  engines_[0]->list_functions(std::move(filter), std::move(done));  // whose order the cursor is in
}

void Partitioned::delete_function(FunctionId id, Done<Result<bool>> done) {
  auto all = gather<Result<bool>>(count(), [done = std::move(done)](auto& answers) mutable {
    bool any = false;
    for (auto& answer : answers) {
      if (!answer) return done(std::move(answer));
      any = any || *answer;
    }
    done(any);
  });
  for (unsigned p = 0; p < count(); ++p) engines_[p]->delete_function(id, all->slot(p));
}

// ---- submit ----

namespace {

// So that what has to be counted together is in one partition, whoever sends it: the tasks of a concurrency key, else a
// task with its idempotency key. Nothing: anywhere.
std::optional<std::uint8_t> partition_byte_of(const Submission& task) {
  const core::Scheduling scheduling = core::scheduling_of(task.options.more);
  std::string text;
  if (!scheduling.limit_key.empty())
    text = "limit\n" + scheduling.limit_key;
  else if (!task.idempotency_key.empty())
    text = task.idempotency_scope + '\0' + task.idempotency_key;
  else
    return std::nullopt;
  return static_cast<std::uint8_t>(sha256(text).words[0] >> 56);
}

}  // namespace

void Partitioned::submit(std::vector<Submission> batch, Done<Result<std::vector<Result<SubmitAnswer>>>> done) {
  using Answers = std::vector<Result<SubmitAnswer>>;
  std::vector<std::vector<Submission>> parts(count());
  std::vector<std::vector<std::size_t>> places(count());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    Submission& task = batch[i];
    if (const auto byte = partition_byte_of(task)) set_partition_byte(task.id, *byte);
    const unsigned p = number_of(task.id);
    places[p].push_back(i);
    parts[p].push_back(std::move(task));
  }
  const auto used = static_cast<std::size_t>(
      std::count_if(parts.begin(), parts.end(), [](const auto& part) { return !part.empty(); }));
  if (used == 0) return done(Answers{});
  auto all = gather<Result<Answers>>(
      used, [places, size = batch.size(), done = std::move(done)](std::vector<Result<Answers>>& parts) mutable {
        // Limits are a partition's own: one may refuse what another has taken, and then each task has its own answer.
        if (std::none_of(parts.begin(), parts.end(), [](const auto& part) { return part.has_value(); }))
          return done(std::move(parts[0]));
        Answers answers(size, SubmitAnswer{});
        std::size_t next = 0;
        for (const auto& place : places) {
          if (place.empty()) continue;
          const auto& part = parts[next++];
          for (std::size_t i = 0; i < place.size(); ++i)
            answers[place[i]] = part ? (*part)[i] : Result<SubmitAnswer>(part.error());
        }
        done(std::move(answers));
      });
  std::size_t next = 0;
  for (unsigned p = 0; p < count(); ++p) {
    if (!parts[p].empty()) engines_[p]->submit(std::move(parts[p]), all->slot(next++));
  }
}

// ---- reads ----

void Partitioned::get(std::vector<TaskId> ids, bool with_results, Done<std::vector<Result<TaskView>>> done) {
  if (ids.empty()) return done({});
  auto all = gather<std::vector<Result<TaskView>>>(ids.size(), [done = std::move(done)](auto& parts) mutable {
    std::vector<Result<TaskView>> views;
    for (auto& part : parts) views.push_back(std::move(part[0]));
    done(std::move(views));
  });
  for (std::size_t i = 0; i < ids.size(); ++i) engine_of(ids[i]).get({ids[i]}, with_results, all->slot(i));
}

void Partitioned::story(TaskId id, Done<Result<TaskStory>> done) { engine_of(id).story(id, std::move(done)); }

void Partitioned::cancel(TaskId id, std::string reason, Done<Result<CancelAnswer>> done) {
  engine_of(id).cancel(id, std::move(reason), std::move(done));
}

void Partitioned::wait(TaskId id, Instant deadline, Done<Result<TaskView>> done) {
  std::size_t waiting = 0;
  for (const auto& engine : engines_) waiting += engine->waiters();
  if (waiting >= max_waiters_) return done(Engine::too_many_waiters(max_waiters_));
  engine_of(id).wait(id, deadline, std::move(done));
}

// ---- lists: pages of all, merged by the time of acceptance, which is their cursor ----

void Partitioned::list(ListFilter filter, Done<Result<TaskPage>> done) {
  auto all = gather<Result<ScoredPage>>(
      count(), [limit = std::min(filter.limit, kListLimit), done = std::move(done)](auto& pages) mutable {
        for (auto& page : pages) {
          if (!page) return done(std::move(page.error()));
        }
        done(merge(pages, limit));
      });
  for (unsigned p = 0; p < count(); ++p) engines_[p]->list_scored(filter, all->slot(p));
}

// ---- dispatching ----

template <class Answer, class Item, class Ask>
void Partitioned::ask_each(std::vector<Item> batch, Done<Result<std::vector<Answer>>> done, Ask ask) {
  std::vector<std::vector<Item>> parts(count());
  std::vector<std::vector<std::size_t>> places(count());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const unsigned p = number_of(batch[i].task);
    places[p].push_back(i);
    parts[p].push_back(std::move(batch[i]));
  }
  std::vector<unsigned> used;
  for (unsigned p = 0; p < count(); ++p) {
    if (!parts[p].empty()) used.push_back(p);
  }
  if (used.empty()) return done(std::vector<Answer>{});
  auto all = gather<Result<std::vector<Answer>>>(
      used.size(), [places, used, size = batch.size(), done = std::move(done)](auto& parts) mutable {
        std::vector<Answer> answers(size);
        for (std::size_t k = 0; k < used.size(); ++k) {
          // What the others have done they answer again when it is said again.
          if (!parts[k]) return done(std::move(parts[k]));
          const auto& place = places[used[k]];
          for (std::size_t i = 0; i < place.size(); ++i) answers[place[i]] = (*parts[k])[i];
        }
        done(std::move(answers));
      });
  for (std::size_t k = 0; k < used.size(); ++k) ask(*engines_[used[k]], std::move(parts[used[k]]), all->slot(k));
}

void Partitioned::finish(SessionId session, std::vector<FinishItem> batch,
                         Done<Result<std::vector<FinishAnswer>>> done) {
  ask_each(std::move(batch), std::move(done), [session](Engine& engine, std::vector<FinishItem> part, auto slot) {
    engine.finish(session, std::move(part), std::move(slot));
  });
}

void Partitioned::requeue(SessionId session, std::vector<RequeueItem> batch,
                          Done<Result<std::vector<RequeueAnswer>>> done) {
  ask_each(std::move(batch), std::move(done), [session](Engine& engine, std::vector<RequeueItem> part, auto slot) {
    engine.requeue(session, std::move(part), std::move(slot));
  });
}

void Partitioned::adopt(SessionId to, std::vector<AdoptItem> batch, Done<Result<std::vector<AdoptAnswer>>> done) {
  ask_each(std::move(batch), std::move(done), [to](Engine& engine, std::vector<AdoptItem> part, auto slot) {
    engine.adopt(to, std::move(part), std::move(slot));
  });
}

void Partitioned::reassert(SessionId session, std::vector<ReassertItem> batch,
                           Done<Result<std::vector<AdoptAnswer>>> done) {
  ask_each(std::move(batch), std::move(done), [session](Engine& engine, std::vector<ReassertItem> part, auto slot) {
    engine.reassert(session, std::move(part), std::move(slot));
  });
}

void Partitioned::started(std::vector<StartedItem> batch) {
  std::vector<std::vector<StartedItem>> parts(count());
  for (StartedItem& item : batch) parts[number_of(item.task)].push_back(item);
  for (unsigned p = 0; p < count(); ++p) {
    if (!parts[p].empty()) engines_[p]->started(std::move(parts[p]));
  }
}

void Partitioned::report_live(std::vector<core::LiveItem> items) {
  std::vector<std::vector<core::LiveItem>> parts(count());
  for (core::LiveItem& item : items) parts[number_of(item.report.attempt.task)].push_back(std::move(item));
  for (unsigned p = 0; p < count(); ++p) {
    if (!parts[p].empty()) engines_[p]->report_live(std::move(parts[p]));
  }
}

void Partitioned::live(TaskId id, bool follow, Done<Result<LiveView>> done) {
  engine_of(id).live(id, follow, std::move(done));
}

void Partitioned::on_follow(Callback<void(std::vector<TaskId>)> hint) {
  auto shared = std::make_shared<Callback<void(std::vector<TaskId>)>>(std::move(hint));
  for (const auto& engine : engines_)
    engine->on_follow([shared](std::vector<TaskId> tasks) { (*shared)(std::move(tasks)); });
}

// ---- figures and hosting ----

Counters Partitioned::counters() const {
  Counters sum;
  for (const auto& engine : engines_) {
    const Counters one = engine->counters();
    for (auto member :
         {&Counters::submitted, &Counters::completed, &Counters::failed, &Counters::stale, &Counters::duplicate,
          &Counters::requeued, &Counters::adopted, &Counters::reaped, &Counters::queued, &Counters::claimed,
          &Counters::running, &Counters::delayed, &Counters::queued_bytes, &Counters::waiters})
      sum.*member += one.*member;
  }
  return sum;
}

Level Partitioned::level() const { return engines_[0]->level(); }  // one for all: that of the weakest

std::string Partitioned::describe() const {
  return "Redis " + shown_ + ", " + std::to_string(count()) + " partitions, " + std::string(name_of(level()));
}

bool Partitioned::turn(Instant now) {
  bool ran = end_late_rounds(now);
  for (const auto& engine : engines_) ran |= engine->turn(now);
  return ran;
}

Instant Partitioned::next_deadline() const {
  Instant next = Instant::never();
  for (const auto& engine : engines_) next = std::min(next, engine->next_deadline());
  for (const auto& [id, session] : sessions_) {
    if (session.round) next = std::min(next, session.round->deadline);
  }
  return next;
}

void Partitioned::close() {
  for (const auto& engine : engines_) engine->close();
}

}  // namespace treadle::store::redis

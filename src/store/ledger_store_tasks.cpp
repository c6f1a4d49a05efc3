// What clients ask of the store: functions, submit, reads, wait, cancel.
#include <algorithm>
#include <unordered_set>
#include <utility>

#include "base/assert.h"
#include "store/ledger_store.h"

namespace treadle::store {
namespace {

constexpr std::uint64_t kFunctionOverhead = 512;

Error no_task(TaskId id) { return fail(Code::NotFound, "There is no task " + to_string(id) + "."); }

// The table did not insert a submission, since its key belongs to an earlier one.
Result<SubmitAnswer> answer_of(const KeyClash& clash) {
  if (clash.same_body) return SubmitAnswer{clash.first, true};
  return fail(Code::Conflict, "This Idempotency-Key was used for another call, task " + to_string(clash.first) +
                                  ". Use a new key for a new call.");
}

core::Function function_of(const FunctionInfo& info, core::Payload body) {
  return {info.id, info.name, info.digest, std::move(body), info.options};
}

}  // namespace

// ---- functions ----

void LedgerStore::put_function(core::Function function, Done<Result<FunctionId>> done) {
  if (auto error = closed()) return done(std::move(*error));
  if (auto error = table_->refuses_new()) return done(std::move(*error));
  auto info = std::make_shared<FunctionInfo>();
  info->no = next_function_no_++;
  info->id = function.id;
  info->name = std::move(function.name);
  info->digest = function.digest;
  info->facts = function.body.facts;
  info->body_bytes = function.body.bytes.size();
  info->options = std::move(function.options);
  info->created = now().wall;
  core::Payload body = function.body;
  Decisions decisions;
  decisions.changes.push_back(change::PutFunction{info, std::move(function.body)});
  commit(std::move(decisions), [this, info, body = std::move(body),
                                done = std::move(done)](const Report& report) mutable {
    if (report.error) return done(*report.error);
    const std::uint64_t bytes = body.bytes.size() + kFunctionOverhead;
    bodies_.put(info->digest, std::move(body), bytes);
    done(info->id);  // the number that the table gave it is read when it is first used: a repeated call keeps the first
  });
}

void LedgerStore::get_function(FunctionId id, Done<Result<core::Function>> done) {
  if (const FunctionRef* info = functions_.find(id)) {
    if (const core::Payload* body = bodies_.find((*info)->digest)) return done(function_of(**info, *body));
  }
  table_->read_function(id,
                        [this, id, seen = deletions_, done = std::move(done)](Result<FunctionRecord> found) mutable {
                          if (!found) return done(std::move(found.error()));
                          if (seen != deletions_) return get_function(id, std::move(done));
                          const FunctionInfo& info = *found->info;
                          functions_.put(info.id, found->info, info.name.size() + kFunctionOverhead);
                          bodies_.put(info.digest, found->body, found->body.bytes.size() + kFunctionOverhead);
                          done(function_of(info, std::move(found->body)));
                        });
}

void LedgerStore::get_body(Digest digest, Done<Result<core::Payload>> done) {
  if (const core::Payload* body = bodies_.find(digest)) return done(*body);
  table_->read_body(digest, [this, digest, done = std::move(done)](Result<core::Payload> body) mutable {
    if (body) bodies_.put(digest, *body, body->bytes.size() + kFunctionOverhead);
    done(std::move(body));
  });
}

void LedgerStore::list_functions(FunctionFilter filter, Done<Result<std::vector<FunctionSummary>>> done) {
  table_->read_functions(std::move(filter), std::move(done));
}

void LedgerStore::delete_function(FunctionId id, Done<Result<bool>> done) {
  if (auto error = closed()) return done(std::move(*error));
  get_function(id, [this, id, done = std::move(done)](Result<core::Function> found) mutable {
    if (!found && found.error().code == Code::NotFound) return done(false);
    if (!found) return done(std::move(found.error()));
    if (auto error = closed()) return done(std::move(*error));
    Decisions decisions;
    decisions.changes.push_back(change::DeleteFunction{id, now().wall});
    commit(std::move(decisions), [this, id, done = std::move(done)](const Report& report) mutable {
      if (report.error) return done(*report.error);
      ++deletions_;
      functions_.erase(id);
      done(true);
    });
  });
}

// ---- submit ----

struct LedgerStore::SubmitCall {
  std::vector<Result<SubmitAnswer>> answers;
  struct Item {
    std::size_t at;
    std::uint32_t slot;
    std::uint64_t seq;
  };
  std::vector<Item> items;  // that were handed to the table
  std::optional<Error> error;
  int waiting = 1;  // parts that have not answered
  Done<Result<std::vector<Result<SubmitAnswer>>>> done;

  void part_done() {
    if (--waiting > 0) return;
    if (error) return done(std::move(*error));
    done(std::move(answers));
  }
};

void LedgerStore::submit(std::vector<Submission> batch, Done<Result<std::vector<Result<SubmitAnswer>>>> done) {
  if (auto error = closed()) return done(std::move(*error));
  if (auto error = table_->refuses_new()) return done(std::move(*error));
  std::unordered_map<FunctionId, FunctionRef> functions;
  std::unordered_set<FunctionId> unknown;
  for (const Submission& task : batch) {
    if (functions.contains(task.function)) continue;
    const FunctionRef* known = functions_.find(task.function);
    if (!known) unknown.insert(task.function);
    functions[task.function] = known ? *known : nullptr;
  }
  if (unknown.empty()) return submit_known(std::move(batch), functions, std::move(done));
  struct Reads {
    std::size_t waiting;
    std::vector<Submission> batch;
    std::unordered_map<FunctionId, FunctionRef> functions;
    std::optional<Error> error;
    Done<Result<std::vector<Result<SubmitAnswer>>>> done;
  };
  auto reads =
      std::make_shared<Reads>(Reads{unknown.size(), std::move(batch), std::move(functions), {}, std::move(done)});
  for (const FunctionId id : unknown) {
    get_function(id, [this, reads, id](Result<core::Function> found) {
      if (const FunctionRef* info = functions_.find(id); found && info) reads->functions[id] = *info;
      if (!found && found.error().code != Code::NotFound) reads->error = std::move(found.error());
      if (--reads->waiting > 0) return;
      if (reads->error) return reads->done(std::move(*reads->error));
      submit_known(std::move(reads->batch), reads->functions, std::move(reads->done));
    });
  }
}

void LedgerStore::submit_known(std::vector<Submission> batch,
                               const std::unordered_map<FunctionId, FunctionRef>& functions,
                               Done<Result<std::vector<Result<SubmitAnswer>>>> done) {
  if (auto error = closed()) return done(std::move(*error));
  std::uint64_t bytes = 0;
  for (const Submission& task : batch) bytes += task.args.bytes.size();
  if (auto admitted = ledger_->admit(batch.size(), bytes); !admitted) return done(std::move(admitted.error()));
  auto call = std::make_shared<SubmitCall>();
  call->done = std::move(done);
  Decisions decisions;
  for (Submission& task : batch) {
    const TaskId id = task.id;
    const std::size_t at = call->answers.size();
    call->answers.push_back(SubmitAnswer{id, false});
    const FunctionRef& function = functions.at(task.function);
    if (!function) {
      call->answers.back() =
          fail(Code::NotFound, "There is no function " + to_string(task.function) + ". Register it first.");
    } else if (const std::uint32_t known = ledger_->find_even_pending(id); known != Ledger::kNone) {
      // The same call again, since its answer was lost.
      call->answers.back() = SubmitAnswer{id, true};
      const auto ticket = tickets_.find(known);
      if (!ledger_->entry(known).is(Entry::kPending) || ticket == tickets_.end()) continue;
      ++call->waiting;
      after(ticket->second, [call, at, seq = ledger_->entry(known).seq](const Report& report) {
        if (report.error) call->error = *report.error;
        const auto clash = std::ranges::find(report.clashes, seq, &KeyClash::seq);
        if (clash != report.clashes.end()) call->answers[at] = answer_of(*clash);
        call->part_done();
      });
    } else {
      const std::uint32_t slot = ledger_->submit(std::move(task), function, now(), decisions);
      call->items.push_back({at, slot, ledger_->entry(slot).seq});
    }
  }
  const std::uint64_t ticket = commit(std::move(decisions), [this, call](const Report& report) {
    report_submit(*call, report);
    call->part_done();
  });
  if (ticket == 0) return;
  for (const auto& item : call->items) tickets_[item.slot] = ticket;
}

void LedgerStore::report_submit(SubmitCall& call, const Report& report) {
  if (report.error) call.error = *report.error;
  auto clash = report.clashes.begin();  // in the order of the items
  for (const auto& item : call.items) {
    tickets_.erase(item.slot);
    if (report.error) {
      ledger_->drop(item.slot);
    } else if (clash != report.clashes.end() && clash->seq == item.seq) {
      ledger_->drop(item.slot);
      call.answers[item.at] = answer_of(*clash);
      ++clash;
    } else {
      ledger_->activate(item.slot, now());
      ++counters_.submitted;
    }
  }
}

// ---- reads ----

// What is known without reading; nothing: the table has to be asked.
std::optional<Result<TaskView>> LedgerStore::hot_view(TaskId id, bool with_result) {
  if (const std::uint32_t slot = ledger_->find(id); slot != Ledger::kNone) {
    const Entry& entry = ledger_->entry(slot);
    return TaskView{id, ledger_->function_of(slot), entry.state, core::ErrorKind::None, entry.attempt, {}};
  }
  const Recent* recent = recent_.find(id);
  if (recent && is_over(recent->task)) {  // the table may have it for some seconds yet
    recent_.erase(id);
    return no_task(id);
  }
  if (!recent || (with_result && recent->result_elsewhere)) return std::nullopt;
  TaskView view = recent->task.view;
  if (!with_result) view.result = {};
  return view;
}

void LedgerStore::get(std::vector<TaskId> ids, bool with_results, Done<std::vector<Result<TaskView>>> done) {
  std::vector<Result<TaskView>> views;
  std::vector<TaskId> cold;
  std::vector<std::size_t> cold_at;
  for (const TaskId id : ids) {
    auto view = hot_view(id, with_results);
    if (!view) {
      cold.push_back(id);
      cold_at.push_back(views.size());
    }
    views.push_back(view ? std::move(*view) : no_task(id));
  }
  if (cold.empty()) return done(std::move(views));
  table_->read_ended(std::move(cold), with_results,
                     [this, views = std::move(views), cold_at = std::move(cold_at),
                      done = std::move(done)](std::vector<Result<EndedTask>> found) mutable {
                       for (std::size_t i = 0; i < found.size(); ++i) {
                         if (found[i] && is_over(*found[i])) {
                           views[cold_at[i]] = no_task(found[i]->view.id);
                         } else if (found[i]) {
                           views[cold_at[i]] = std::move(found[i]->view);
                         } else {
                           views[cold_at[i]] = std::move(found[i].error());
                         }
                       }
                       done(std::move(views));
                     });
}

void LedgerStore::story(TaskId id, Done<Result<TaskStory>> done) {
  table_->read_story(id, [this, id, done = std::move(done)](Result<TaskStory> story) mutable {
    const std::uint32_t slot = ledger_->find(id);
    if (story && story->keep_until.ms != 0 && story->keep_until <= clock_.wall()) return done(no_task(id));
    if (story && slot != Ledger::kNone && !core::is_terminal(story->view.state)) ledger_->tell(slot, *story);
    done(std::move(story));
  });
}

void LedgerStore::list(ListFilter filter, Done<Result<TaskPage>> done) {
  table_->read_list(std::move(filter), std::move(done));
}

void LedgerStore::wait(TaskId id, Instant deadline, Done<Result<TaskView>> done) {
  if (auto error = closed()) return done(std::move(*error));
  if (ledger_->find(id) != Ledger::kNone) {
    if (waiters_.size() >= config_.max_waiters) {
      return done(fail(
          Code::Full, std::to_string(config_.max_waiters) +
                          " requests wait for results already, which is the limit. Ask again later, or without wait."));
    }
    if (deadline <= clock_.now()) return done(*hot_view(id, true));
    return waiters_.add(id, deadline, std::move(done));
  }
  if (auto view = hot_view(id, true)) return done(std::move(*view));
  table_->read_ended({id}, true,
                     [this, id, deadline, done = std::move(done)](std::vector<Result<EndedTask>> found) mutable {
                       if (found.front() && is_over(*found.front())) return done(no_task(id));
                       if (found.front()) return done(std::move(found.front()->view));
                       if (ledger_->find(id) != Ledger::kNone)
                         return wait(id, deadline, std::move(done));  // accepted while we looked
                       done(std::move(found.front().error()));
                     });
}

void LedgerStore::answer_late_waiter(TaskId id, Waiters::Answer answer) {
  auto view = hot_view(id, true);
  answer(view ? std::move(*view) : no_task(id));
}

// ---- cancel ----

void LedgerStore::cancel(TaskId id, std::string reason, Done<Result<CancelAnswer>> done) {
  if (auto error = closed()) return done(std::move(*error));
  Decisions decisions;
  const CancelDecision decision = ledger_->cancel(id, reason, now(), decisions);
  if (decision.answer == CancelAnswer::Terminal) {
    return after(tickets_.at(ledger_->find(id)),
                 [done = std::move(done)](const Report&) mutable { done(CancelAnswer::Terminal); });
  }
  if (decision.answer == CancelAnswer::Missing) {
    return get({id}, false, [done = std::move(done)](std::vector<Result<TaskView>> found) mutable {
      if (found.front()) return done(CancelAnswer::Terminal);
      if (found.front().error().code == Code::NotFound) return done(CancelAnswer::Missing);
      done(std::move(found.front().error()));
    });
  }
  commit(std::move(decisions), [answer = decision.answer, done = std::move(done)](const Report& report) mutable {
    if (report.error) return done(*report.error);
    done(answer);
  });
  if (decision.answer == CancelAnswer::Requested && !decision.tell.is_nil() && revoke_hint_)
    revoke_hint_({decision.attempt});
}

}  // namespace treadle::store

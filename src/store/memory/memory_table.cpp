#include "store/memory/memory_table.h"

#include <algorithm>

#include "base/assert.h"
#include "store/list_page.h"

namespace treadle::store {

using core::TaskState;

// ---- commits ----

void MemoryTable::commit(Commit commit) { waiting_.push_back(std::move(commit)); }

void MemoryTable::flush() {
  if (!manual_) apply_up_to(commits());
}

void MemoryTable::apply_up_to(std::uint64_t number) {
  for (; applied_ < number && !waiting_.empty(); ++applied_) {
    Commit commit = std::move(waiting_.front());
    waiting_.pop_front();
    Report report{commit.ticket, std::nullopt, {}};
    for (Change& change : commit.changes) std::visit([&](auto& one) { apply(one, report); }, change);
    reports_.push_back(std::move(report));
  }
}

void MemoryTable::forget_waiting() {
  waiting_.clear();
  reports_.clear();
}

void MemoryTable::close() { apply_up_to(commits()); }

void MemoryTable::apply(change::Insert& insert, Report& report) {
  Submission& task = insert.task;
  last_seq_ = std::max(last_seq_, insert.seq);
  const std::string key =
      task.idempotency_key.empty() ? std::string() : task.idempotency_scope + '\0' + task.idempotency_key;
  if (const auto same = seqs_.find(task.id); same != seqs_.end()) {
    report.clashes.push_back({insert.seq, task.id, true});
    return;
  }
  if (const auto same = keys_.find(key); !key.empty() && same != keys_.end()) {
    const Row& first = rows_.at(same->second);
    report.clashes.push_back({insert.seq, first.live.id, first.body_digest == task.body_digest});
    return;
  }
  if (!key.empty()) keys_[key] = insert.seq;
  seqs_[task.id] = insert.seq;
  Row& row = rows_[insert.seq];
  row.live.seq = insert.seq;
  row.live.id = task.id;
  row.live.function = functions_by_no_.at(insert.function_no);
  row.live.options = std::move(task.options);
  row.live.args_bytes = task.args.bytes.size();
  row.live.not_before = insert.not_before;
  row.live.expires = insert.expires;
  row.args = std::move(task.args);
  row.idempotency = key;
  row.body_digest = task.body_digest;
  row.group = std::move(task.group);
  if (!row.group.empty()) ++groups_[row.group].tasks;
  row.owner = std::move(task.owner);
  row.accepted = insert.accepted;
}

void MemoryTable::apply(change::Claim& claim, Report&) {
  LiveRow& live = rows_.at(claim.seq).live;
  live.state = TaskState::Claimed;
  live.attempt = claim.attempt;
  live.token = claim.token;
  live.worker = claim.worker;
  live.times = {claim.claimed, {}};
}

void MemoryTable::apply(change::Start& start, Report&) {
  LiveRow& live = rows_.at(start.seq).live;
  live.state = TaskState::Running;
  live.attempt = start.attempt;
  live.token = start.token;
  live.worker = start.worker;
  live.times = start.times;
}

void MemoryTable::apply(change::Finish& finish, Report&) {
  Row& row = rows_.at(finish.seq);
  if (core::is_terminal(row.live.state)) ++terminal_twice_;
  row.live.state = finish.outcome.completed() ? TaskState::Completed : TaskState::Failed;
  row.live.attempt = finish.attempt;
  row.live.token = finish.token;
  row.live.losses = finish.losses;
  row.live.kills = finish.kills;
  row.live.times = finish.times;
  row.live.worker = finish.worker;
  if (!finish.last_error.empty()) row.last_error = finish.last_error;
  row.finished = finish.finished;
  row.outcome = std::move(finish.outcome);
  row.finish_seq = ++finish_seq_;
  row.keep_until = finish.keep_until;
  if (finish.keep_until.ms != 0) due_.emplace(finish.keep_until, finish.seq);
  if (!row.group.empty()) groups_.at(row.group).ends[finish_seq_] = finish.seq;
  if (row.live.state == TaskState::Completed) row.args = {};
}

void MemoryTable::drop_due(WallMs now) {
  while (!due_.empty() && due_.begin()->first <= now) {
    const auto row = rows_.find(due_.begin()->second);
    due_.erase(due_.begin());
    seqs_.erase(row->second.live.id);
    if (!row->second.idempotency.empty()) keys_.erase(row->second.idempotency);
    if (const auto group = groups_.find(row->second.group); group != groups_.end()) {
      group->second.ends.erase(row->second.finish_seq);
      if (--group->second.tasks == 0) groups_.erase(group);
    }
    rows_.erase(row);
  }
}

void MemoryTable::apply(change::Requeue& requeue, Report&) {
  Row& row = rows_.at(requeue.seq);
  row.live.state = TaskState::Queued;
  row.live.attempt = requeue.attempt;
  row.live.token = {};
  row.live.losses = requeue.losses;
  row.live.kills = requeue.kills;
  row.live.retries_used = requeue.retries_used;
  row.live.suspect = requeue.suspect;
  row.live.not_before = requeue.not_before;
  if (!requeue.last_error.empty()) row.last_error = requeue.last_error;
}

void MemoryTable::apply(change::RequestCancel& cancel, Report&) {
  LiveRow& live = rows_.at(cancel.seq).live;
  live.cancel_requested = true;
  live.cancel_reason = cancel.reason;
}

void MemoryTable::apply(change::PutFunction& put, Report&) {
  if (functions_.contains(put.info->id)) return;
  functions_[put.info->id] = put.info;
  functions_by_no_[put.info->no] = put.info;
  bodies_.try_emplace(put.info->digest, std::move(put.body));
}

void MemoryTable::apply(change::DeleteFunction& gone, Report&) { deleted_.insert(gone.id); }

void MemoryTable::apply(change::PauseQueue& pause, Report&) {
  pause.paused.ms != 0 ? void(paused_.insert(pause.queue)) : void(paused_.erase(pause.queue));
}

// ---- reads ----

const MemoryTable::Row* MemoryTable::find(TaskId id) const {
  const auto it = seqs_.find(id);
  return it == seqs_.end() ? nullptr : &rows_.at(it->second);
}

TaskView MemoryTable::view_of(const Row& row, bool with_result) const {
  return {row.live.id,      row.live.function->id, row.live.state,
          row.outcome.kind, row.live.attempt,      with_result ? row.outcome.result : core::Payload{}};
}

void MemoryTable::load_live(Callback<void(LiveRow)> row) {
  for (const auto& [seq, one] : rows_) {
    if (!core::is_terminal(one.live.state)) row(one.live);
  }
}

void MemoryTable::read_ended(std::vector<TaskId> ids, bool with_results, Done<std::vector<Result<EndedTask>>> done) {
  std::vector<Result<EndedTask>> found;
  for (const TaskId id : ids) {
    const Row* row = find(id);
    if (row && core::is_terminal(row->live.state)) {
      found.push_back(EndedTask{view_of(*row, with_results), row->live.token, row->keep_until});
    } else {
      found.push_back(fail(Code::NotFound, "There is no task " + to_string(id) + "."));
    }
  }
  done(std::move(found));
}

void MemoryTable::read_args(std::vector<std::pair<std::uint64_t, TaskId>> tasks, Done<std::vector<SeqArgs>> done) {
  std::vector<SeqArgs> found;
  for (const auto& [seq, id] : tasks) found.push_back({seq, rows_.at(seq).args});
  done(std::move(found));
}

void MemoryTable::read_story(TaskId id, Done<Result<TaskStory>> done) {
  const Row* row = find(id);
  if (!row) return done(fail(Code::NotFound, "There is no task " + to_string(id) + "."));
  TaskStory story;
  story.view = view_of(*row, false);
  story.result_bytes = row->outcome.result.bytes.size();
  story.losses = row->live.losses;
  story.kills = row->live.kills;
  story.worker = row->live.worker;
  story.last_error = row->last_error;
  story.error_type = row->outcome.error_type;
  story.error_message = row->outcome.error_message;
  story.traceback = row->outcome.traceback;
  story.output = row->outcome.output;
  story.accepted = row->accepted;
  story.claimed = row->live.times.claimed;
  story.started = row->live.times.started;
  story.finished = row->finished;
  story.not_before = row->live.not_before;
  story.expires = row->live.expires;
  story.keep_until = row->keep_until;
  story.measures = row->outcome.measures;
  story.cancel_requested = row->live.cancel_requested;
  story.options = row->live.options;
  story.group = row->group;
  done(std::move(story));
}

void MemoryTable::read_list(ListFilter filter, Done<Result<TaskPage>> done) {
  const auto before = parse_cursor(filter.cursor, std::numeric_limits<std::uint64_t>::max());
  if (!before) return done(before.error());
  TaskPage page;
  const std::uint32_t limit = std::min(filter.limit, kListLimit);
  std::uint32_t examined = 0;
  auto it = rows_.lower_bound(*before);
  while (it != rows_.begin() && page.tasks.size() < limit && examined < kListExamined) {
    --it;
    ++examined;
    const Row& row = it->second;
    if (!filter.group.empty() && row.group != filter.group) continue;
    TaskView view = view_of(row, false);
    if (matches(filter, view, row.accepted, row.live.options.queue)) page.tasks.push_back(std::move(view));
  }
  if (it != rows_.begin()) page.next_cursor = std::to_string(it->first);
  done(std::move(page));
}

void MemoryTable::read_group(GroupFilter filter, Done<Result<GroupPage>> done) {
  const auto after = parse_cursor(filter.cursor, 0);
  if (!after) return done(after.error());
  GroupPage page;
  page.cursor = filter.cursor;
  const auto group = groups_.find(filter.group);
  if (group == groups_.end()) return done(std::move(page));
  page.known = true;
  page.open = group->second.ends.size() < group->second.tasks;
  const std::uint32_t limit = std::min(filter.limit, kListLimit);
  std::uint64_t bytes = 0;
  auto at = group->second.ends.upper_bound(*after);
  for (; at != group->second.ends.end() && page.ends.size() < limit && bytes < filter.max_bytes; ++at) {
    const Row& row = rows_.at(at->second);
    const core::Outcome& outcome = row.outcome;
    const std::uint64_t size = outcome.result.bytes.size();
    const bool inside = size <= core::limits::kInline;
    page.ends.push_back({view_of(row, inside), size, outcome.error_type, outcome.error_message, row.finished,
                         std::to_string(at->first)});
    if (inside) bytes += size;
    page.cursor = page.ends.back().cursor;
  }
  page.more = at != group->second.ends.end();
  done(std::move(page));
}

void MemoryTable::read_submission(TaskId id, Done<Result<Submission>> done) {
  const Row* row = find(id);
  if (!row) return done(fail(Code::NotFound, "There is no task " + to_string(id) + "."));
  if (row->live.state != TaskState::Failed) return done(not_failed(id, row->live.state));
  Submission call;
  call.function = row->live.function->id;
  call.args = row->args;
  call.options = row->live.options;
  call.group = row->group;
  done(std::move(call));
}

void MemoryTable::read_function(FunctionId id, Done<Result<FunctionRecord>> done) {
  const auto it = functions_.find(id);
  if (it == functions_.end() || deleted_.contains(id))
    return done(fail(Code::NotFound, "There is no function " + to_string(id) + "."));
  done(FunctionRecord{it->second, bodies_.at(it->second->digest)});
}

void MemoryTable::read_body(Digest digest, Done<Result<core::Payload>> done) {
  const auto it = bodies_.find(digest);
  if (it == bodies_.end()) return done(fail(Code::NotFound, "There is no function body " + to_string(digest) + "."));
  done(it->second);
}

void MemoryTable::read_functions(FunctionFilter filter, Done<Result<std::vector<FunctionSummary>>> done) {
  const bool all = filter.name.empty();
  const auto from = parse_cursor(filter.cursor, all ? 0 : std::numeric_limits<std::uint64_t>::max());
  if (!from) return done(from.error());
  std::vector<FunctionSummary> page;
  const std::size_t limit = std::min(filter.limit, kListLimit);
  const auto add = [&](const FunctionInfo& info) {
    if (!deleted_.contains(info.id) && (all || info.name == filter.name))
      page.push_back({info.id, info.name, info.digest, info.body_bytes, info.created, std::to_string(info.no)});
  };
  if (all) {
    for (auto it = functions_by_no_.upper_bound(*from); it != functions_by_no_.end() && page.size() < limit; ++it)
      add(*it->second);
  } else {
    for (auto it = functions_by_no_.lower_bound(*from); it != functions_by_no_.begin() && page.size() < limit;)
      add(*(--it)->second);
  }
  done(std::move(page));
}

}  // namespace treadle::store

// Pages of tasks: newest first, and those of a group in the order of their ends.
#include <algorithm>
#include <limits>
#include <string>

#include "store/list_page.h"
#include "store/sqlite/queries.h"
#include "store/sqlite/view_rows.h"

namespace treadle::store {
namespace {

constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();

std::int64_t bounded(std::uint64_t number) {
  return static_cast<std::int64_t>(std::min<std::uint64_t>(number, static_cast<std::uint64_t>(kLast)));
}

bool is_live(const ListFilter& filter) { return filter.live || (filter.state && !core::is_terminal(*filter.state)); }

}  // namespace

// Each takes: the number that it begins below, the most rows, the group. Column 5 is the number of a row.
void Queries::prepare_lists() {
  const std::string columns = ", t.task_group, t.accepted, t.queue FROM tasks t ";
  const auto prepare = [&](const std::string& number, const std::string& index, const std::string& which) {
    return db_.prepare("SELECT " + std::string(kViewColumns) + ", t." + number + columns + index +
                       " JOIN functions f ON f.no = t.function WHERE " + which + " AND t." + number +
                       " < ?1 ORDER BY t." + number + " DESC LIMIT ?2");
  };
  const std::string by_group = "INDEXED BY tasks_group", of_group = "t.task_group = ?3";
  list_ = prepare("seq", "", "1");
  list_live_ = prepare("seq", "INDEXED BY tasks_live", "t.state < 3");
  list_group_ = prepare("seq", by_group, of_group);  // sorts the whole group
  list_group_live_ = prepare("seq", by_group, of_group + " AND t.finish_seq IS NULL");
  list_group_ended_ = prepare("finish_seq", by_group, of_group);
  group_ends_ = db_.prepare("SELECT " + std::string(kViewColumns) +
                            ", t.finish_seq, t.result_bytes, t.result_facts, t.finished, r.bytes, r.error_type, "
                            "r.error_message FROM tasks t INDEXED BY tasks_group JOIN functions f ON f.no = t.function "
                            "LEFT JOIN results r ON r.seq = t.seq WHERE t.task_group = ?3 AND t.finish_seq > ?1 ORDER "
                            "BY t.finish_seq LIMIT ?2");
  group_open_ =
      db_.prepare("SELECT 1 FROM tasks INDEXED BY tasks_group WHERE task_group = ? AND finish_seq IS NULL LIMIT 1");
  group_known_ = db_.prepare("SELECT 1 FROM tasks INDEXED BY tasks_group WHERE task_group = ? LIMIT 1");
}

// Whoever asks for ended tasks of a group in any order has them in the order of the index.
Statement& Queries::statement_of(const ListFilter& filter) {
  if (filter.group.empty()) return is_live(filter) ? list_live_ : list_;
  if (is_live(filter)) return list_group_live_;
  return filter.any_order && filter.state ? list_group_ended_ : list_group_;
}

Result<TaskPage> Queries::list(const ListFilter& filter) try {
  TRY(const std::uint64_t before, parse_cursor(filter.cursor, std::numeric_limits<std::int64_t>::max()));
  const std::uint32_t limit = std::min(filter.limit, kListLimit);
  Statement& rows = statement_of(filter);
  const Reading reading(rows);
  rows.bind(1, bounded(before)).bind(2, kListExamined);
  if (!filter.group.empty()) rows.bind_text(3, filter.group);
  TaskPage page;
  std::uint32_t examined = 0;
  std::int64_t last = 0;
  while (page.tasks.size() < limit && rows.step()) {
    ++examined;
    last = rows.integer(5);
    TaskView view = view_of(rows, 0);
    if (matches(filter, view, {rows.integer(7)}, rows.text(8))) page.tasks.push_back(std::move(view));
  }
  const bool more = page.tasks.size() == limit || examined == kListExamined;
  if (more && last > 1) page.next_cursor = std::to_string(last);
  return page;
} catch (const SqliteError& error) {
  return read_error(error);
}

// ---- groups ----

bool Queries::has_row(Statement& of_group, const std::string& group) {
  const Reading reading(of_group);
  return of_group.bind_text(1, group).step();
}

Result<GroupPage> Queries::group(const GroupFilter& filter) try {
  TRY(const std::uint64_t after, parse_cursor(filter.cursor, 0));
  GroupPage page;
  page.open = has_row(group_open_, filter.group);  // before the ends are read: see Store::group_ends
  page.known = page.open || has_row(group_known_, filter.group);
  page.cursor = filter.cursor;
  const std::uint32_t limit = std::min(filter.limit, kListLimit);
  Statement& row = group_ends_;
  const Reading reading(row);
  row.bind(1, bounded(after)).bind(2, limit).bind_text(3, filter.group);
  std::uint64_t bytes = 0;
  while (bytes < filter.max_bytes && row.step()) {
    GroupEnd end{view_of(row, 0),  static_cast<std::uint64_t>(row.integer(6)),
                 row.text(10),     row.text(11),
                 {row.integer(8)}, std::to_string(row.integer(5))};
    end.view.result.facts = core::PayloadFacts::unpack(static_cast<std::uint32_t>(row.integer(7)));
    if (!row.is_null(9)) end.view.result.bytes = Buffer::of(std::string(row.blob(9)));
    bytes += end.view.result.bytes.size();
    page.cursor = end.cursor;
    page.ends.push_back(std::move(end));
  }
  page.more = page.ends.size() == limit || bytes >= filter.max_bytes;
  return page;
} catch (const SqliteError& error) {
  return read_error(error);
}

Result<Submission> Queries::submission(TaskId id) try {
  TRY(TaskStory story, this->story(id));
  if (story.view.state != core::TaskState::Failed) return not_failed(id, story.view.state);
  Submission call;
  call.function = story.view.function;
  call.options = std::move(story.options);
  call.group = std::move(story.group);
  std::int64_t seq = 0;
  {
    const Reading reading(ended_);
    if (!ended_.bind_id(1, id).step()) return no_task(id);
    seq = ended_.integer(5);
  }
  TRY(call.args, args_one(static_cast<std::uint64_t>(seq), id));
  return call;
} catch (const SqliteError& error) {
  return read_error(error);
}

}  // namespace treadle::store

#include "store/sqlite/queries.h"

#include <algorithm>
#include <limits>
#include <string>

#include "store/list_page.h"
#include "store/sqlite/columns.h"
#include "store/sqlite/view_rows.h"

namespace treadle::store {
namespace {

std::string prefixed(const std::string& names, const std::string& prefix) {
  std::string text = prefix;
  for (const char c : names) {
    text += c;
    if (c == ' ') text += prefix;
  }
  return text;
}

}  // namespace

FunctionRef read_function_row(const Statement& row) {
  auto info = std::make_shared<FunctionInfo>();
  info->no = static_cast<std::uint64_t>(row.integer(0));
  info->id = FunctionId(row.id(1));
  info->name = row.text(2);
  info->digest = row.digest(3);
  info->facts = core::PayloadFacts::unpack(static_cast<std::uint32_t>(row.integer(4)));
  info->body_bytes = static_cast<std::uint64_t>(row.integer(5));
  info->created = {row.integer(6)};
  info->options = read_options(row, 7);
  return info;
}

Queries::Queries(const std::string& path, const Blobs& blobs) : db_(path, Database::Mode::ReadOnly), blobs_(blobs) {
  db_.run("PRAGMA cache_size = -8000");
  db_.set_busy_timeout_ms(5000);
  const std::string view = kViewColumns;
  const std::string from = " FROM tasks t JOIN functions f ON f.no = t.function ";
  const std::string function = std::string(kFunctionColumns) + ", " + prefixed(kOptionNames, "f.");
  ended_ = db_.prepare("SELECT " + view + ", t.seq, t.token, t.result_bytes, t.result_facts, t.keep_until" + from +
                       "WHERE t.id = ?");
  result_ = db_.prepare("SELECT bytes FROM results WHERE seq = ?");
  args_facts_ = db_.prepare("SELECT args_bytes, args_facts FROM tasks WHERE seq = ?");
  args_ = db_.prepare("SELECT bytes FROM args WHERE seq = ?");
  story_ = db_.prepare("SELECT " + view +
                       ", t.seq, t.result_bytes, t.result_facts, t.losses, t.kills, t.worker, t.last_error, "
                       "t.accepted, t.claimed, t.started,"
                       " t.finished, t.exit_code, t.signal, t.peak_rss, t.cpu_us, t.started_ns, t.finished_ns, "
                       "t.cancel_requested, t.task_group,"
                       " t.not_before, t.expires, t.keep_until,"
                       " r.error_type, r.error_message, r.traceback, r.output, " +
                       prefixed(kOptionNames, "t.") + from + "LEFT JOIN results r ON r.seq = t.seq WHERE t.id = ?");
  prepare_lists();
  function_ = db_.prepare("SELECT " + function + " FROM functions f WHERE f.id = ? AND f.deleted IS NULL");
  body_ = db_.prepare("SELECT bytes FROM bodies WHERE digest = ?");
  body_facts_ = db_.prepare("SELECT facts FROM functions WHERE digest = ? LIMIT 1");
  const std::string summary = "SELECT f.no, f.id, f.name, f.digest, f.body_bytes, f.created FROM functions f";
  functions_ = db_.prepare(summary + " WHERE f.no > ? AND f.deleted IS NULL ORDER BY f.no LIMIT ?");
  named_ = db_.prepare(summary +
                       " INDEXED BY functions_name WHERE f.name = ?3 AND f.no < ?1 AND f.deleted IS NULL ORDER BY f.no "
                       "DESC LIMIT ?2");
}

// ---- tasks ----

std::vector<Result<EndedTask>> Queries::ended(const std::vector<TaskId>& ids, bool with_results) {
  std::vector<Result<EndedTask>> found;
  for (const TaskId id : ids) {
    try {
      found.push_back(ended_one(id, with_results));
    } catch (const SqliteError& error) {
      found.push_back(read_error(error));
    }
  }
  return found;
}

Result<EndedTask> Queries::ended_one(TaskId id, bool with_result) {
  const Reading reading(ended_);
  if (!ended_.bind_id(1, id).step()) return no_task(id);
  EndedTask task{view_of(ended_, 0), Token{static_cast<std::uint64_t>(ended_.integer(6))}, {ended_.integer(9)}};
  if (!core::is_terminal(task.view.state)) return no_task(id);
  if (!with_result) return task;
  task.view.result.facts = core::PayloadFacts::unpack(static_cast<std::uint32_t>(ended_.integer(8)));
  if (ended_.integer(7) == 0) return task;
  TRY(task.view.result.bytes, result_bytes(ended_.integer(5), id));
  return task;
}

Result<Buffer> Queries::result_bytes(std::int64_t seq, TaskId id) {
  const Reading reading(result_);
  if (!result_.bind(1, seq).step())
    return fail(Code::StoreError, "The result of task " + to_string(id) + " is missing from the store.");
  if (result_.is_null(0)) return blobs_.read(BlobName::result(id));
  return Buffer::of(std::string(result_.blob(0)));
}

std::vector<SeqArgs> Queries::args(const std::vector<std::pair<std::uint64_t, TaskId>>& tasks) {
  std::vector<SeqArgs> found;
  for (const auto& [seq, id] : tasks) {
    try {
      found.push_back({seq, args_one(seq, id)});
    } catch (const SqliteError& error) {
      found.push_back({seq, read_error(error)});
    }
  }
  return found;
}

Result<core::Payload> Queries::args_one(std::uint64_t seq, TaskId id) {
  const Reading facts(args_facts_), bytes(args_);
  core::Payload args;
  if (!args_facts_.bind(1, static_cast<std::int64_t>(seq)).step()) return no_task(id);
  args.facts = core::PayloadFacts::unpack(static_cast<std::uint32_t>(args_facts_.integer(1)));
  if (args_facts_.integer(0) == 0) return args;
  if (!args_.bind(1, static_cast<std::int64_t>(seq)).step())
    return fail(Code::StoreError, "The arguments of task " + to_string(id) + " are missing from the store.");
  if (args_.is_null(0)) {
    TRY(args.bytes, blobs_.read(BlobName::args(id)));
  } else {
    args.bytes = Buffer::of(std::string(args_.blob(0)));
  }
  return args;
}

Result<TaskStory> Queries::story(TaskId id) try {
  const Reading reading(story_);
  if (!story_.bind_id(1, id).step()) return no_task(id);
  const Statement& row = story_;
  TaskStory story;
  story.view = view_of(row, 0);
  story.view.result.facts = core::PayloadFacts::unpack(static_cast<std::uint32_t>(row.integer(7)));
  story.result_bytes = static_cast<std::uint64_t>(row.integer(6));
  story.losses = static_cast<std::uint32_t>(row.integer(8));
  story.kills = static_cast<std::uint32_t>(row.integer(9));
  story.worker = row.text(10);
  story.last_error = row.text(11);
  story.accepted = {row.integer(12)};
  story.claimed = {row.integer(13)};
  story.started = {row.integer(14)};
  story.finished = {row.integer(15)};
  story.measures.exit_code = static_cast<std::int32_t>(row.integer(16));
  story.measures.signal = static_cast<std::int32_t>(row.integer(17));
  story.measures.peak_rss = static_cast<std::uint64_t>(row.integer(18));
  story.measures.cpu_us = static_cast<std::uint64_t>(row.integer(19));
  story.measures.started_ns = row.integer(20);
  story.measures.finished_ns = row.integer(21);
  story.cancel_requested = row.integer(22) != 0;
  story.group = row.text(23);
  story.not_before = {row.integer(24)};
  story.expires = {row.integer(25)};
  story.keep_until = {row.integer(26)};
  story.error_type = row.text(27);
  story.error_message = row.text(28);
  story.traceback = row.text(29);
  story.output = row.text(30);
  story.options = read_options(row, 31);
  return story;
} catch (const SqliteError& error) {
  return read_error(error);
}

// ---- functions ----

Result<Buffer> Queries::body_bytes(const Digest& digest) {
  const Reading reading(body_);
  if (!body_.bind_digest(1, digest).step())
    return fail(Code::NotFound, "There is no function body " + to_string(digest) + ".");
  if (body_.is_null(0)) return blobs_.read(BlobName::body(digest));
  return Buffer::of(std::string(body_.blob(0)));
}

Result<FunctionRecord> Queries::function(FunctionId id) try {
  const Reading reading(function_);
  if (!function_.bind_id(1, id).step()) return fail(Code::NotFound, "There is no function " + to_string(id) + ".");
  FunctionRecord record{read_function_row(function_), {}};
  record.body.facts = record.info->facts;
  TRY(record.body.bytes, body_bytes(record.info->digest));
  return record;
} catch (const SqliteError& error) {
  return read_error(error);
}

Result<core::Payload> Queries::body(Digest digest) try {
  core::Payload body;
  TRY(body.bytes, body_bytes(digest));
  const Reading reading(body_facts_);
  if (body_facts_.bind_digest(1, digest).step())
    body.facts = core::PayloadFacts::unpack(static_cast<std::uint32_t>(body_facts_.integer(0)));
  return body;
} catch (const SqliteError& error) {
  return read_error(error);
}

Result<std::vector<FunctionSummary>> Queries::functions(const FunctionFilter& filter) try {
  constexpr std::uint64_t kLast = std::numeric_limits<std::int64_t>::max();
  const bool all = filter.name.empty();
  TRY(const std::uint64_t from, parse_cursor(filter.cursor, all ? 0 : kLast));
  Statement& row = all ? functions_ : named_;
  const Reading reading(row);
  row.bind(1, static_cast<std::int64_t>(std::min(from, kLast))).bind(2, std::min(filter.limit, kListLimit));
  if (!all) row.bind_text(3, filter.name);
  std::vector<FunctionSummary> page;
  while (row.step()) {
    page.push_back({FunctionId(row.id(1)),
                    row.text(2),
                    row.digest(3),
                    static_cast<std::uint64_t>(row.integer(4)),
                    {row.integer(5)},
                    std::to_string(row.integer(0))});
  }
  return page;
} catch (const SqliteError& error) {
  return read_error(error);
}

}  // namespace treadle::store

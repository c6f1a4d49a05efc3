#include "store/sqlite/row_writer.h"

#include "base/assert.h"
#include "store/sqlite/columns.h"

namespace treadle::store {
namespace {

constexpr std::uint64_t kFinishSeqBlock = 1 << 16;
constexpr int kTaskColumns = 14;  // of an insert, before the options

std::string parameters(int count) {
  std::string text = "?";
  for (int i = 1; i < count; ++i) text += ",?";
  return text;
}

void bind_payload(Statement& to, int at, const core::Payload& payload) {
  if (payload.bytes.size() > core::limits::kInline) {
    to.bind_null(at);
  } else {
    to.bind_blob(at, payload.bytes.view());
  }
}

std::int64_t number(std::uint64_t value) { return static_cast<std::int64_t>(value); }

}  // namespace

RowWriter::RowWriter(Database& db, bool keep_args) : db_(db), keep_args_(keep_args) {
  insert_task_ = db.prepare(
      "INSERT INTO tasks(seq, id, function, state, accepted, not_before, expires, args_bytes, args_facts, task_group, "
      "owner,"
      " idempotency_scope, idempotency_key, body_digest, " +
      kOptionNames + ") VALUES(" + parameters(kTaskColumns + kOptionColumns) + ") ON CONFLICT DO NOTHING");
  insert_args_ = db.prepare("INSERT INTO args(seq, bytes) VALUES(?, ?)");
  claim_ = db.prepare(
      "UPDATE tasks SET state = 1, attempt = ?2, token = ?3, worker = ?4, claimed = ?5 WHERE seq = ?1 AND state < 3");
  start_ = db.prepare(
      "UPDATE tasks SET state = 2, attempt = ?2, token = ?3, worker = ?4, claimed = ?5, started = ?6 WHERE seq = ?1 "
      "AND state < 3");
  finish_ = db.prepare(
      "UPDATE tasks SET state = ?2, error_kind = ?3, attempt = ?4, token = ?5, worker = ?6, losses = ?7, kills = ?8,"
      " last_error = coalesce(?9, last_error), claimed = ?10, started = ?11, finished = ?12, finish_seq = ?13, "
      "result_bytes = ?14,"
      " result_facts = ?15, exit_code = ?16, signal = ?17, peak_rss = ?18, cpu_us = ?19, started_ns = ?20, finished_ns "
      "= ?21, keep_until = ?22"
      " WHERE seq = ?1 AND state < 3");
  insert_result_ = db.prepare(
      "INSERT INTO results(seq, bytes, error_type, error_message, traceback, output) VALUES(?, ?, ?, ?, ?, ?)");
  delete_args_ = db.prepare("DELETE FROM args WHERE seq = ?");
  requeue_ = db.prepare(
      "UPDATE tasks SET state = 0, attempt = ?2, token = NULL, losses = ?3, kills = ?4, retries_used = ?5, suspect = "
      "?6,"
      " not_before = ?7, last_error = coalesce(?8, last_error) WHERE seq = ?1 AND state < 3");
  request_cancel_ = db.prepare("UPDATE tasks SET cancel_requested = 1, cancel_reason = ?2 WHERE seq = ?1");
  insert_function_ =
      db.prepare("INSERT INTO functions(no, id, name, digest, facts, body_bytes, created, " + kOptionNames +
                 ") VALUES(" + parameters(7 + kOptionColumns) + ") ON CONFLICT DO NOTHING");
  delete_function_ = db.prepare("UPDATE functions SET deleted = ?2 WHERE id = ?1 AND deleted IS NULL");
  insert_body_ = db.prepare("INSERT INTO bodies(digest, bytes) VALUES(?, ?) ON CONFLICT DO NOTHING");
  find_key_ = db.prepare("SELECT id, body_digest FROM tasks WHERE idempotency_scope = ? AND idempotency_key = ?");
  find_id_ = db.prepare("SELECT 1 FROM tasks WHERE id = ?");
  set_meta_ = db.prepare("INSERT INTO meta(name, value) VALUES(?1, ?2) ON CONFLICT(name) DO UPDATE SET value = ?2");
  drop_meta_ = db.prepare("DELETE FROM meta WHERE name = ?");
  totals_.finish_seq = totals_.finish_seq_max =
      static_cast<std::uint64_t>(db.integer("SELECT value FROM meta WHERE name = 'finish_seq'"));
  totals_.next_keep =
      db.integer("SELECT min(keep_until) FROM tasks INDEXED BY tasks_keep WHERE keep_until IS NOT NULL");
  totals_.live_bytes = db.integer("SELECT sum(args_bytes) FROM tasks INDEXED BY tasks_live WHERE state < 3");
}

void RowWriter::write(const Change& change, Report& report) {
  std::visit([&](const auto& one) { write_one(one, report); }, change);
}

void RowWriter::write_one(const change::Insert& insert, Report& report) {
  const Submission& task = insert.task;
  Statement& s = insert_task_;
  s.bind(1, number(insert.seq)).bind_id(2, task.id).bind(3, number(insert.function_no)).bind(4, 0);
  s.bind(5, insert.accepted.ms).bind_or_null(6, insert.not_before.ms).bind(7, insert.expires.ms);
  s.bind(8, number(task.args.bytes.size())).bind(9, task.args.facts.pack());
  s.bind_text(10, task.group).bind_text(11, task.owner);
  const bool keyed = !task.idempotency_key.empty();
  if (keyed) {
    s.bind_blob(12, task.idempotency_scope).bind_blob(13, task.idempotency_key);
  } else {
    s.bind_null(12).bind_null(13);
  }
  s.bind_digest(14, task.body_digest);
  bind_options(s, kTaskColumns + 1, task.options);
  s.run();
  if (db_.changes() == 0) return report_clash(insert, report);
  totals_.live_bytes += static_cast<std::int64_t>(task.args.bytes.size());
  if (task.args.bytes.empty()) return;
  insert_args_.bind(1, number(insert.seq));
  bind_payload(insert_args_, 2, task.args);
  insert_args_.run();
}

void RowWriter::report_clash(const change::Insert& insert, Report& report) {
  const Submission& task = insert.task;
  find_id_.bind_id(1, task.id);
  const bool same_task = find_id_.step();
  find_id_.reset();
  if (same_task) {
    report.clashes.push_back({insert.seq, task.id, true});
    return;
  }
  if (task.args.bytes.size() > core::limits::kInline) totals_.dead_blobs.push_back(BlobName::args(task.id));
  find_key_.bind_blob(1, task.idempotency_scope).bind_blob(2, task.idempotency_key);
  TREADLE_ASSERT_MSG(find_key_.step(), "an insert clashed with nothing");
  report.clashes.push_back({insert.seq, TaskId(find_key_.id(0)), find_key_.digest(1) == task.body_digest});
  find_key_.reset();
}

void RowWriter::write_one(const change::Claim& claim, Report&) {
  claim_.bind(1, number(claim.seq)).bind(2, claim.attempt).bind(3, number(claim.token.value));
  claim_.bind_text(4, claim.worker).bind(5, claim.claimed.ms).run();
  TREADLE_ASSERT_MSG(db_.changes() == 1, "claimed a task that is terminal or gone");
}

void RowWriter::write_one(const change::Start& start, Report&) {
  start_.bind(1, number(start.seq))
      .bind(2, start.attempt)
      .bind(3, number(start.token.value))
      .bind_text(4, start.worker);
  start_.bind(5, start.times.claimed.ms).bind(6, start.times.started.ms).run();
  TREADLE_ASSERT_MSG(db_.changes() == 1, "started a task that is terminal or gone");
}

std::uint64_t RowWriter::next_finish_seq() {
  if (totals_.finish_seq == totals_.finish_seq_max) {
    totals_.finish_seq_max += kFinishSeqBlock;
    set_meta_.bind_text(1, "finish_seq").bind(2, number(totals_.finish_seq_max)).run();
  }
  return ++totals_.finish_seq;
}

void RowWriter::write_one(const change::Finish& finish, Report&) {
  const core::Outcome& outcome = finish.outcome;
  const core::Measures& measures = outcome.measures;
  Statement& s = finish_;
  s.bind(1, number(finish.seq)).bind(2, outcome.completed() ? 3 : 4).bind_or_null(3, static_cast<int>(outcome.kind));
  s.bind(4, finish.attempt).bind_or_null(5, number(finish.token.value)).bind_text(6, finish.worker);
  s.bind_or_null(7, finish.losses).bind_or_null(8, finish.kills).bind_text(9, finish.last_error);
  s.bind_or_null(10, finish.times.claimed.ms).bind_or_null(11, finish.times.started.ms).bind(12, finish.finished.ms);
  s.bind(13, number(next_finish_seq()))
      .bind(14, number(outcome.result.bytes.size()))
      .bind(15, outcome.result.facts.pack());
  s.bind_or_null(16, measures.exit_code).bind_or_null(17, measures.signal).bind_or_null(18, number(measures.peak_rss));
  s.bind_or_null(19, number(measures.cpu_us))
      .bind_or_null(20, measures.started_ns)
      .bind_or_null(21, measures.finished_ns)
      .bind_or_null(22, finish.keep_until.ms);
  const std::int64_t keep = finish.keep_until.ms;
  if (keep != 0 && (totals_.next_keep == 0 || keep < totals_.next_keep)) totals_.next_keep = keep;
  s.run();
  TREADLE_ASSERT_MSG(db_.changes() == 1, "ended a task that is terminal or gone");
  Statement& r = insert_result_;
  r.bind(1, number(finish.seq));
  bind_payload(r, 2, outcome.result);
  r.bind_text(3, outcome.error_type)
      .bind_text(4, outcome.error_message)
      .bind_text(5, outcome.traceback)
      .bind_text(6, outcome.output);
  r.run();
  totals_.live_bytes -= static_cast<std::int64_t>(finish.args_bytes);
  if (!outcome.completed() || keep_args_ || finish.args_bytes == 0) return;
  delete_args_.bind(1, number(finish.seq)).run();
  if (finish.args_bytes > core::limits::kInline) totals_.dead_blobs.push_back(BlobName::args(finish.id));
}

void RowWriter::write_one(const change::Requeue& requeue, Report&) {
  Statement& s = requeue_;
  s.bind(1, number(requeue.seq))
      .bind(2, requeue.attempt)
      .bind_or_null(3, requeue.losses)
      .bind_or_null(4, requeue.kills);
  s.bind_or_null(5, requeue.retries_used).bind_or_null(6, requeue.suspect).bind_or_null(7, requeue.not_before.ms);
  s.bind_text(8, requeue.last_error).run();
  TREADLE_ASSERT_MSG(db_.changes() == 1, "gave back a task that is terminal or gone");
}

void RowWriter::write_one(const change::RequestCancel& cancel, Report&) {
  request_cancel_.bind(1, number(cancel.seq)).bind_text(2, cancel.reason).run();
}

void RowWriter::write_one(const change::PutFunction& put, Report&) {
  insert_body_.bind_digest(1, put.info->digest);
  bind_payload(insert_body_, 2, put.body);
  insert_body_.run();
  Statement& s = insert_function_;
  s.bind(1, number(put.info->no))
      .bind_id(2, put.info->id)
      .bind_text(3, put.info->name)
      .bind_digest(4, put.info->digest);
  s.bind(5, put.info->facts.pack()).bind(6, number(put.info->body_bytes)).bind(7, put.info->created.ms);
  bind_options(s, 8, put.info->options);
  s.run();
}

// The row stays, since tasks refer to it.
void RowWriter::write_one(const change::DeleteFunction& gone, Report&) {
  delete_function_.bind_id(1, gone.id).bind(2, gone.deleted.ms).run();
}

void RowWriter::write_one(const change::PauseQueue& pause, Report&) {
  const std::string name = kPausedPrefix + pause.queue;
  if (pause.paused.ms != 0) {
    set_meta_.bind_text(1, name).bind(2, pause.paused.ms).run();
  } else {
    drop_meta_.bind_text(1, name).run();
  }
}

}  // namespace treadle::store

#include "store/sqlite/purge.h"

#include <algorithm>
#include <map>
#include <utility>

namespace treadle::store {
namespace {

constexpr int kStep = 500;
constexpr std::int64_t kNeverYoungerMs = 3600 * 1000;  // however little room there is: somebody may still want it
constexpr std::int64_t kDeletedFor = 60 * 1000;        // a task that was accepted just before may not be written yet

void add_blobs(TaskId id, std::int64_t args_bytes, std::int64_t result_bytes, std::vector<BlobName>& dead) {
  if (std::cmp_greater(args_bytes, core::limits::kInline)) dead.push_back(BlobName::args(id));
  if (std::cmp_greater(result_bytes, core::limits::kInline)) dead.push_back(BlobName::result(id));
}

}  // namespace

Purge::Purge(Database& db, const Blobs& blobs, const SqliteConfig& config)
    : blobs_(blobs), keep_completed_ms_(config.keep_completed_ms), keep_failed_ms_(config.keep_failed_ms) {
  page_bytes_ = db.integer("PRAGMA page_size");
  look_ = db.prepare(
      "SELECT seq, id, state, finished, args_bytes, result_bytes, keep_until, function FROM tasks WHERE seq > ? "
      "ORDER BY seq LIMIT ?");
  due_ = db.prepare(
      "SELECT seq, id, args_bytes, result_bytes FROM tasks INDEXED BY tasks_keep WHERE keep_until <= ? ORDER BY "
      "keep_until LIMIT ?");
  next_due_ = db.prepare("SELECT min(keep_until) FROM tasks INDEXED BY tasks_keep WHERE keep_until IS NOT NULL");
  deleted_ = db.prepare(
      "SELECT f.no, f.digest, f.deleted FROM functions f WHERE f.digest IN (SELECT d.digest FROM functions d JOIN "
      "bodies b ON b.digest = d.digest WHERE d.deleted IS NOT NULL)");
  delete_body_ = db.prepare("DELETE FROM bodies WHERE digest = ?");
  delete_task_ = db.prepare("DELETE FROM tasks WHERE seq = ?");
  delete_args_ = db.prepare("DELETE FROM args WHERE seq = ?");
  delete_result_ = db.prepare("DELETE FROM results WHERE seq = ?");
  page_count_ = db.prepare("PRAGMA page_count");
  free_count_ = db.prepare("PRAGMA freelist_count");
}

bool Purge::step(WallMs wall, bool over_size, std::vector<BlobName>& dead) {
  std::vector<std::int64_t> old;
  int looked = 0;
  if (from_ == 0) {
    began_ = wall;
    used_.clear();
  }
  look_.bind(1, from_).bind(2, kStep);
  for (; look_.step(); ++looked) {
    from_ = look_.integer(0);
    if (look_.integer(2) < 3) {
      used_.insert(look_.integer(7));
      continue;
    }
    const std::int64_t age = wall.ms - look_.integer(3);
    const std::int64_t keep = look_.integer(2) == 3 ? keep_completed_ms_ : keep_failed_ms_;
    const bool too_old = keep > 0 && age > keep && look_.is_null(6);
    if (!too_old && !(over_size && age > kNeverYoungerMs)) continue;
    old.push_back(from_);
    add_blobs(TaskId(look_.id(1)), look_.integer(4), look_.integer(5), dead);
  }
  look_.reset();
  for (const std::int64_t seq : old) drop(seq);
  if (looked == kStep) return true;
  from_ = 0;
  drop_bodies();
  return false;
}

void Purge::drop(std::int64_t seq) {
  delete_task_.bind(1, seq).run();
  delete_args_.bind(1, seq).run();
  delete_result_.bind(1, seq).run();
  ++purged_;
}

std::int64_t Purge::drop_due(WallMs wall, std::vector<BlobName>& dead) {
  std::vector<std::int64_t> over;
  due_.bind(1, wall.ms).bind(2, kStep);
  while (due_.step()) {
    over.push_back(due_.integer(0));
    add_blobs(TaskId(due_.id(1)), due_.integer(2), due_.integer(3), dead);
  }
  due_.reset();
  for (const std::int64_t seq : over) drop(seq);
  next_due_.step();
  const std::int64_t next = next_due_.integer(0);
  next_due_.reset();
  return next;
}

// Of a function that was deleted well before this round, which has seen all tasks since. A body in blobs/ stays there
// until the next start: the same one may just be registered again.
void Purge::drop_bodies() {
  std::map<Digest, bool> needed;
  while (deleted_.step()) {
    const std::int64_t since = deleted_.integer(2);
    const bool in_use = since == 0 || since + kDeletedFor > began_.ms || used_.contains(deleted_.integer(0));
    needed[deleted_.digest(1)] |= in_use;
  }
  deleted_.reset();
  for (const auto& [digest, in_use] : needed) {
    if (!in_use) delete_body_.bind_digest(1, digest).run();
  }
}

std::uint64_t Purge::reusable_bytes() {
  free_count_.step();
  const std::int64_t free = free_count_.integer(0);
  free_count_.reset();
  return static_cast<std::uint64_t>(free * page_bytes_);
}

std::uint64_t Purge::finished_bytes(std::int64_t live_bytes) {
  page_count_.step();
  const std::int64_t pages = page_count_.integer(0);
  page_count_.reset();
  const std::int64_t used =
      pages * page_bytes_ - static_cast<std::int64_t>(reusable_bytes() - blobs_.bytes()) - live_bytes;
  return static_cast<std::uint64_t>(std::max<std::int64_t>(used, 0));
}

}  // namespace treadle::store

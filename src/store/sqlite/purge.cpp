#include "store/sqlite/purge.h"

#include <algorithm>
#include <utility>

namespace treadle::store {
namespace {

constexpr int kStep = 500;
constexpr std::int64_t kNeverYoungerMs = 3600 * 1000;  // however little room there is: somebody may still want it

}  // namespace

Purge::Purge(Database& db, const Blobs& blobs, const SqliteConfig& config)
    : blobs_(blobs), keep_completed_ms_(config.keep_completed_ms), keep_failed_ms_(config.keep_failed_ms) {
  page_bytes_ = db.integer("PRAGMA page_size");
  look_ = db.prepare(
      "SELECT seq, id, state, finished, args_bytes, result_bytes FROM tasks WHERE seq > ? ORDER BY seq LIMIT ?");
  delete_task_ = db.prepare("DELETE FROM tasks WHERE seq = ?");
  delete_args_ = db.prepare("DELETE FROM args WHERE seq = ?");
  delete_result_ = db.prepare("DELETE FROM results WHERE seq = ?");
  page_count_ = db.prepare("PRAGMA page_count");
  free_count_ = db.prepare("PRAGMA freelist_count");
}

bool Purge::step(WallMs wall, bool over_size, std::vector<BlobName>& dead) {
  std::vector<std::int64_t> old;
  int looked = 0;
  look_.bind(1, from_).bind(2, kStep);
  for (; look_.step(); ++looked) {
    from_ = look_.integer(0);
    if (look_.integer(2) < 3) continue;
    const std::int64_t age = wall.ms - look_.integer(3);
    const std::int64_t keep = look_.integer(2) == 3 ? keep_completed_ms_ : keep_failed_ms_;
    const bool too_old = keep > 0 && age > keep;
    if (!too_old && !(over_size && age > kNeverYoungerMs)) continue;
    old.push_back(from_);
    const TaskId id(look_.id(1));
    if (std::cmp_greater(look_.integer(4), core::limits::kInline)) dead.push_back(BlobName::args(id));
    if (std::cmp_greater(look_.integer(5), core::limits::kInline)) dead.push_back(BlobName::result(id));
  }
  look_.reset();
  for (const std::int64_t seq : old) {
    delete_task_.bind(1, seq).run();
    delete_args_.bind(1, seq).run();
    delete_result_.bind(1, seq).run();
  }
  purged_ += old.size();
  if (looked == kStep) return true;
  from_ = 0;
  return false;
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

#include "store/sqlite/writer.h"

#include <sqlite3.h>

#include <algorithm>
#include <iterator>

#include "base/assert.h"

namespace treadle::store {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kCommitsPerTransaction = 4096;
constexpr std::int64_t kPage = 4096;
constexpr std::int64_t kWalReuse =
    32ll << 20;  // dispatch: a commit into a reused WAL costs less than half of one that grows it
constexpr std::int64_t kWalMost = 256ll << 20;  // then the writer waits until it can be reused
constexpr int kTryEvery = 100;                  // frames, between tries to reuse it
constexpr int kLeftToCopy = 1000;  // frames that the writer itself may have to copy when it starts the WAL over
constexpr auto kRetryFull = std::chrono::milliseconds(250);
constexpr auto kSizeEvery = std::chrono::seconds(5);
constexpr auto kDropEvery = std::chrono::milliseconds(100);  // however much other work there is
constexpr int kFinalTries = 8;                               // at close, a quarter of a second apart

Error disk_full() {
  return fail(Code::DiskFull,
              "The disk of the data directory is full. Tasks that were accepted still finish; submit again when there "
              "is space.");
}
Error kept_too_much() {
  return fail(Code::DiskFull,
              "Finished tasks take all the room that they are given, and none is old enough to be removed. Submit "
              "again later, or "
              "start with a larger limit.");
}

bool is_new(const Commit& commit) {
  return std::all_of(commit.changes.begin(), commit.changes.end(), [](const Change& c) { return store::is_new(c); });
}

}  // namespace

Writer::Writer(const SqliteConfig& config, const Clock& clock, Database& db, Blobs& blobs, Checkpointer& checkpointer,
               Mailbox& mailbox)
    : config_(config),
      clock_(clock),
      db_(db),
      blobs_(blobs),
      checkpointer_(checkpointer),
      mailbox_(mailbox),
      reserve_(config.dir, config.reserve_bytes),
      rows_(db, config.keep_args),
      purge_(db, blobs, config),
      begin_(db.prepare("BEGIN IMMEDIATE")),
      commit_(db.prepare("COMMIT")),
      rollback_(db.prepare("ROLLBACK")),
      purge_at_(steady_clock::now() + config.purge_every),
      size_at_(steady_clock::now()) {
  const auto disk = static_cast<std::int64_t>(file_system_bytes(config.dir));
  wal_reuse_bytes_ = disk > 0 ? std::min(kWalReuse, disk / 16) : kWalReuse;
  wal_most_bytes_ = disk > 0 ? std::min(kWalMost, disk / 4) : kWalMost;
  full_ = !reserve_.make();
  sqlite3_wal_hook(
      db_.raw(),
      [](void* self, sqlite3*, const char*, int frames) {
        return static_cast<Writer*>(self)->wal_frames_ = frames, SQLITE_OK;
      },
      this);
  next_keep_ = rows_.totals().next_keep;
  thread_ = std::thread([this] { run(); });
}

Writer::~Writer() { close(); }

// ---- what others call ----

void Writer::push(std::vector<Commit> commits) {
  bool wake;
  {
    const std::lock_guard lock(queue_mutex_);
    if (queue_.empty()) {
      queue_ = std::move(commits);
    } else {
      queue_.insert(queue_.end(), std::make_move_iterator(commits.begin()), std::make_move_iterator(commits.end()));
    }
    wake = sleeping_;
  }
  if (wake) work_.notify_one();
}

bool Writer::write_here(std::vector<Commit>& commits, std::vector<Report>& reports) {
  const std::unique_lock db_lock(db_mutex_, std::try_to_lock);
  if (!db_lock || full_ || !stuck_.empty() || failed_) return false;
  {
    const std::lock_guard lock(queue_mutex_);
    if (!queue_.empty() || writing_ || stop_) return false;
  }
  reports = write_batch(commits);
  if (has_stuck_) work_.notify_one();
  return true;
}

std::optional<Error> Writer::refuses_new() const {
  if (full_) return disk_full();
  if (too_much_kept_) return kept_too_much();
  return std::nullopt;
}

void Writer::note_full() {
  full_ = true;
  reserve_.give_up();
}

void Writer::close() {
  {
    const std::lock_guard lock(queue_mutex_);
    stop_ = true;
  }
  work_.notify_one();
  if (thread_.joinable()) thread_.join();
  sqlite3_wal_hook(db_.raw(), nullptr, nullptr);
}

// ---- the thread ----

// False: to be ended, and nothing is left.
bool Writer::wait_for_work(std::vector<Commit>& batch) {
  std::unique_lock lock(queue_mutex_);
  writing_ = false;
  auto chores_at = std::min(purge_at_, size_at_);
  if (const std::int64_t next = next_keep_; next != 0) {
    const auto due = steady_clock::now() + std::chrono::milliseconds(next - clock_.wall().ms);
    chores_at = std::min(chores_at, std::max(due, drop_at_));
  }
  if (full_ || has_stuck_) chores_at = steady_clock::now() + kRetryFull;
  if (failed_) chores_at = steady_clock::now() + config_.purge_every;
  sleeping_ = true;
  work_.wait_until(lock, chores_at, [this] { return stop_ || !queue_.empty(); });
  sleeping_ = false;
  writing_ = true;  // for chores, too: a caller that writes one batch after the other would never let them begin
  if (queue_.empty()) return !stop_;
  if (queue_.size() <= kCommitsPerTransaction) {
    batch = std::exchange(queue_, {});
  } else {
    const auto end = queue_.begin() + kCommitsPerTransaction;
    batch.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end));
    queue_.erase(queue_.begin(), end);
  }
  return true;
}

void Writer::run() {
  std::vector<Commit> batch;
  while (wait_for_work(batch)) {
    std::vector<Report> reports;
    {
      const std::lock_guard lock(db_mutex_);
      if (!batch.empty() || !stuck_.empty()) reports = write_batch(batch);
      do_chores();
    }
    mailbox_.put(std::move(reports));
    batch.clear();
  }
  for (int i = 0; i < kFinalTries && !stuck_.empty(); ++i) {
    mailbox_.put(write_batch(batch));
    if (!stuck_.empty()) std::this_thread::sleep_for(kRetryFull);
  }
}

// ---- transactions ----

std::vector<Report> Writer::write_batch(std::vector<Commit>& batch) {
  std::vector<Report> reports;
  if (failed_) return reports;
  if (full_) refuse_new(batch, disk_full(), reports);
  std::vector<Commit> commits = std::exchange(stuck_, {});
  has_stuck_ = false;
  std::move(batch.begin(), batch.end(), std::back_inserter(commits));
  batch.clear();
  if (commits.empty()) return reports;
  std::vector<Report> done;
  for (int attempt = 0; attempt < 2; ++attempt) {
    try {
      if (!try_transaction(commits, done)) return reports;
      std::move(done.begin(), done.end(), std::back_inserter(reports));
      return reports;
    } catch (const SqliteError& error) {
      roll_back();
      done.clear();
      if (error.is_full()) {
        note_full();
        refuse_new(commits, disk_full(), reports);
      } else if (error.is_busy()) {
        refuse_new(commits,
                   fail(Code::StoreError, "Another program holds the database " + config_.dir +
                                              "/treadle.db locked. End that program, then try again."),
                   reports);
      } else {
        give_up(error);
        return reports;
      }
    }
    if (commits.empty()) return reports;
  }
  stuck_ = std::move(commits);
  has_stuck_ = true;
  return reports;
}

// Throws SqliteError; nothing was written then. False: the disk failed.
bool Writer::try_transaction(const std::vector<Commit>& commits, std::vector<Report>& reports) {
  set_sync(sync_for(commits));
  const RowWriter::Totals before = rows_.totals();
  try {
    begin_.run();
    for (const Commit& commit : commits) {
      Report report{commit.ticket, std::nullopt, {}};
      for (const Change& change : commit.changes) rows_.write(change, report);
      reports.push_back(std::move(report));
    }
    commit_.run();
  } catch (const SqliteError&) {
    rows_.totals() = before;
    throw;
  }
  after_commit();
  return !failed_;
}

void Writer::roll_back() noexcept {
  try {
    if (db_.in_transaction()) rollback_.run();
  } catch (const SqliteError& error) {
    give_up(error);
  }
}

void Writer::give_up(const SqliteError& error) {
  failed_ = true;
  const std::string what = "the store cannot write " + config_.dir + "/treadle.db any more: " + error.what();
  if (config_.fatal) return config_.fatal(what);
  TREADLE_ASSERT_MSG(false, what.c_str());
}

Writer::Sync Writer::sync_for(const std::vector<Commit>& commits) const {
  if (config_.durability == Durability::None) return Sync::Off;
  bool only_starts = true, claims = false;
  for (const Commit& commit : commits) {
    for (const Change& change : commit.changes) {
      only_starts = only_starts && std::holds_alternative<change::Start>(change);
      claims = claims || std::holds_alternative<change::Claim>(change);
    }
  }
  if (config_.durability == Durability::Fast) return claims ? Sync::Full : Sync::Normal;
  return only_starts ? Sync::Normal : Sync::Full;
}

void Writer::set_sync(Sync sync) {
  if (sync == sync_) return;
  constexpr const char* kPragma[] = {"PRAGMA synchronous = OFF", "PRAGMA synchronous = NORMAL",
                                     "PRAGMA synchronous = FULL"};
  const std::string planted = "PRAGMA synchronous = " + config_.planted_synchronous;
  db_.run(config_.planted_synchronous.empty() ? kPragma[static_cast<int>(sync)] : planted.c_str());
  sync_ = sync;
}

void Writer::after_commit() {
  next_keep_ = rows_.totals().next_keep;
  for (const BlobName& name : std::exchange(rows_.totals().dead_blobs, {})) blobs_.remove(name);
  checkpointer_.grown_to(wal_frames_);
  if (wal_frames_ < wal_tried_at_) wal_tried_at_ = 0;
  if (wal_frames_ * kPage < wal_reuse_bytes_) return;
  const bool must = wal_frames_ * kPage >= wal_most_bytes_;
  if (!must && wal_frames_ - wal_tried_at_ < kTryEvery) return;
  if (must || wal_frames_ - checkpointer_.copied() <= std::max(kLeftToCopy, wal_frames_ / 8)) reuse_wal(must);
}

// Makes the next commit write to the beginning of the WAL. Fails, to be tried again, while a reader still needs the old
// frames.
void Writer::reuse_wal(bool must) {
  wal_tried_at_ = wal_frames_;
  std::unique_lock copying(checkpointer_.copying(), std::defer_lock);
  if (must) {
    copying.lock();
  } else if (!copying.try_lock()) {
    return;
  }
  db_.set_busy_timeout_ms(must ? 5000 : 0);
  const int code = sqlite3_wal_checkpoint_v2(db_.raw(), nullptr, SQLITE_CHECKPOINT_RESTART, nullptr, nullptr);
  db_.set_busy_timeout_ms(5000);
  const SqliteError error(code, sqlite3_errmsg(db_.raw()));
  if (code == SQLITE_OK) {
    wal_frames_ = wal_tried_at_ = 0;
    checkpointer_.started_over();
  } else if (!error.is_busy() && !error.is_full()) {
    give_up(error);
  }
}

// Takes the new things out of `commits`.
void Writer::refuse_new(std::vector<Commit>& commits, const Error& error, std::vector<Report>& reports) {
  for (const Commit& commit : commits) {
    if (is_new(commit)) reports.push_back({commit.ticket, error, {}});
  }
  std::erase_if(commits, [](const Commit& commit) { return is_new(commit); });
}

// ---- chores, between batches ----

void Writer::do_chores() {
  if (failed_) return;
  try {
    if (full_) look_for_room();
    const auto now = steady_clock::now();
    bool idle;
    {
      const std::lock_guard lock(queue_mutex_);
      idle = queue_.empty();
    }
    if (now >= size_at_) {
      size_at_ = now + kSizeEvery;
      over_size_ = config_.keep_bytes > 0 && purge_.finished_bytes(rows_.totals().live_bytes) > config_.keep_bytes;
      if (!over_size_) too_much_kept_ = false;
    }
    const bool over = next_keep_ != 0 && next_keep_ <= clock_.wall().ms;
    if (over && (idle || now >= drop_at_)) drop_due();
    if (over_size_ || (idle && now >= purge_at_)) purge_some();
  } catch (const SqliteError& error) {
    roll_back();
    rows_.totals().dead_blobs.clear();
    if (!error.is_full() && !error.is_busy()) give_up(error);
  }
}

void Writer::look_for_room() {
  if (!reserve_.has_room_again(purge_.reusable_bytes()) || !reserve_.make()) return;
  if (stuck_.empty()) full_ = false;
}

void Writer::drop_due() {
  set_sync(config_.durability == Durability::None ? Sync::Off : Sync::Normal);
  begin_.run();
  const std::int64_t next = purge_.drop_due(clock_.wall(), rows_.totals().dead_blobs);
  commit_.run();
  rows_.totals().next_keep = next;
  drop_at_ = steady_clock::now() + kDropEvery;
  after_commit();
}

void Writer::purge_some() {
  set_sync(config_.durability == Durability::None ? Sync::Off : Sync::Normal);
  const std::uint64_t purged = purge_.purged();
  begin_.run();
  const bool more = purge_.step(clock_.wall(), over_size_, rows_.totals().dead_blobs);
  commit_.run();
  after_commit();
  const auto now = steady_clock::now();
  purge_at_ = more ? now : now + config_.purge_every;
  if (!over_size_) return;
  if (purge_.purged() > purged) size_at_ = now;
  if (!more && purge_.purged() == purged) {
    too_much_kept_ = true;
    over_size_ = false;  // looked at again when the size is
  }
}

}  // namespace treadle::store

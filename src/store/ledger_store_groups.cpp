// What clients ask of groups, and of queues.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "store/ledger_store.h"

namespace treadle::store {

void LedgerStore::group_ends(GroupFilter filter, Done<Result<GroupPage>> done) {
  if (auto error = closed()) return done(std::move(*error));
  table_->read_group(std::move(filter), std::move(done));
}

void LedgerStore::submission(TaskId id, Done<Result<Submission>> done) {
  if (auto error = closed()) return done(std::move(*error));
  if (ledger_->find(id) != Ledger::kNone) return done(not_failed(id, core::TaskState::Queued));
  table_->read_submission(id, std::move(done));
}

// ---- queues ----

void LedgerStore::queues(Done<Result<std::vector<QueueReport>>> done) {
  if (auto error = closed()) return done(std::move(*error));
  struct Reading {
    std::vector<QueueReport> queues;
    std::size_t waiting = 1;
    Done<Result<std::vector<QueueReport>>> done;
    void part_done() {
      if (--waiting == 0) done(std::move(queues));
    }
  };
  std::vector<Ledger::QueueFigures> figures = ledger_->queues();
  if (figures.size() > kQueuesShown) figures.resize(kQueuesShown);
  auto reading = std::make_shared<Reading>();
  reading->done = std::move(done);
  for (Ledger::QueueFigures& one : figures)
    reading->queues.push_back({one.name.empty() ? std::string(kDefaultQueue) : std::move(one.name), one.queued,
                               one.running, WallMs{}, one.paused});
  for (std::size_t i = 0; i < figures.size(); ++i) {
    if (figures[i].oldest.is_nil()) continue;
    ++reading->waiting;
    table_->read_story(figures[i].oldest, [reading, i](Result<TaskStory> story) {
      if (story) reading->queues[i].oldest = story->accepted;  // else it has gone meanwhile
      reading->part_done();
    });
  }
  reading->part_done();
}

void LedgerStore::pause_queue(std::string queue, bool paused, Done<Result<void>> done) {
  if (auto error = closed()) return done(std::move(*error));
  Decisions decisions;
  ledger_->pause(queue, paused, now(), decisions);
  commit(std::move(decisions), [done = std::move(done)](const Report& report) mutable {
    if (report.error) return done(*report.error);
    done({});
  });
}

}  // namespace treadle::store

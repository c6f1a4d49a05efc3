// A dispatcher's session stands in every partition. It is alive if it is so everywhere that can be asked; where it was
// reaped or has been forgotten, the dispatcher opens a new one for all.
#include <algorithm>
#include <utility>

#include "store/redis/gather.h"
#include "store/redis/partitioned_claims.h"

namespace treadle::store::redis {
namespace {

std::uint64_t total(const std::map<unsigned, std::uint64_t>& beats) {
  std::uint64_t sum = 0;
  for (const auto& [partition, beat] : beats) sum += beat;
  return sum;
}

}  // namespace

void Partitioned::open_session(SessionId id, std::string name, Done<Result<void>> done) {
  Session& session = sessions_[id];
  session.name = std::move(name);
  session.shares.resize(count());
  auto all = gather<Result<void>>(count(), [this, id, done = std::move(done)](auto& answers) mutable {
    const auto reaped = std::find_if(answers.begin(), answers.end(), [](const auto& answer) {
      return !answer && answer.error().code == Code::Conflict;
    });
    const bool nowhere = std::none_of(answers.begin(), answers.end(), [](const auto& a) { return a.has_value(); });
    if (reaped == answers.end() && !nowhere) return done(Result<void>{});  // renewals see to where it is not open yet
    sessions_.erase(id);
    done(std::move(nowhere ? answers[0] : *reaped));
  });
  for (unsigned p = 0; p < count(); ++p) open_in(p, id, all->slot(p));
}

void Partitioned::open_in(unsigned partition, SessionId id, Done<Result<void>> done) {
  const Session* session = find(id);
  if (!session) return done(fail(Code::Conflict, "Session " + to_string(id) + " has ended."));
  engines_[partition]->open_session(id, session->name,
                                    [this, partition, id, done = std::move(done)](Result<void> opened) mutable {
                                      if (Session* known = find(id); known && opened)
                                        known->shares[partition].open = true;
                                      done(std::move(opened));
                                    });
}

void Partitioned::renew(SessionId id, std::vector<AdoptItem> revokes_done, Done<Result<RenewAnswer>> done) {
  std::vector<std::vector<AdoptItem>> revokes(count());
  for (const AdoptItem& attempt : revokes_done) revokes[number_of(attempt.task)].push_back(attempt);
  auto all = gather<Result<RenewAnswer>>(
      count(), [this, id, done = std::move(done)](std::vector<Result<RenewAnswer>>& answers) mutable {
        done(merged(id, answers));
      });
  for (unsigned p = 0; p < count(); ++p) renew_in(p, id, std::move(revokes[p]), all->slot(p));
}

// A partition that was away when the session was opened learns of it now.
void Partitioned::renew_in(unsigned partition, SessionId id, std::vector<AdoptItem> revokes_done,
                           Done<Result<RenewAnswer>> done) {
  const Session* session = find(id);
  if (!session || session->shares[partition].open)
    return engines_[partition]->renew(id, std::move(revokes_done), std::move(done));
  open_in(
      partition, id,
      [this, partition, id, revokes = std::move(revokes_done), done = std::move(done)](Result<void> opened) mutable {
        if (!opened && opened.error().code == Code::Conflict) return done(RenewAnswer{});  // it was reaped there
        if (!opened) return done(std::move(opened.error()));
        engines_[partition]->renew(id, std::move(revokes), std::move(done));
      });
}

Result<RenewAnswer> Partitioned::merged(SessionId id, std::vector<Result<RenewAnswer>>& answers) {
  RenewAnswer sum;
  bool answered = false, reaped = false;
  for (unsigned p = 0; p < count(); ++p) {
    Result<RenewAnswer>& one = answers[p];
    if (!one) continue;
    answered = true;
    reaped |= !one->live && !one->missing;
    sum.missing |= one->missing;
    std::move(one->revokes.begin(), one->revokes.end(), std::back_inserter(sum.revokes));
    for (auto& [other, beats] : others_) beats.erase(p);
    for (SessionBeat& beat : one->others) {
      others_[beat.session][p] = beat.beat;
    }
  }
  if (!answered) return std::move(answers[0].error());
  std::erase_if(others_, [](const auto& other) { return other.second.empty(); });
  for (const auto& [other, beats] : others_) {
    sum.others.push_back({other, total(beats)});
  }
  sum.live = !reaped && !sum.missing;
  sum.missing = sum.missing && !reaped;
  if (!sum.live) sessions_.erase(id);
  return sum;
}

void Partitioned::reap(SessionId other, std::uint64_t beat_seen, Done<Result<bool>> done) {
  const auto at = others_.find(other);
  if (at == others_.end() || total(at->second) != beat_seen) return done(false);
  const Beats beats = at->second;
  auto all = gather<Result<bool>>(beats.size(), [done = std::move(done)](std::vector<Result<bool>>& answers) mutable {
    bool ours = false;
    for (const auto& answer : answers) ours |= answer && *answer;
    for (auto& answer : answers) {
      if (!answer && !ours) return done(std::move(answer));
    }
    done(ours);
  });
  std::size_t next = 0;
  for (const auto& [p, beat] : beats) engines_[p]->reap(other, beat, all->slot(next++));
}

void Partitioned::on_revoke(Callback<void(std::vector<AdoptItem>)> hint) {
  auto shared = std::make_shared<Callback<void(std::vector<AdoptItem>)>>(std::move(hint));
  for (const auto& engine : engines_)
    engine->on_revoke([shared](std::vector<AdoptItem> attempts) { (*shared)(std::move(attempts)); });
}

// To every partition, so that one that is away hides nobody; read from the first that answers.
void Partitioned::report_workers(SessionId session, std::vector<WorkerReport> workers) {
  for (const auto& engine : engines_) engine->report_workers(session, workers);
}

void Partitioned::workers(Done<Result<std::vector<WorkerReport>>> done) { workers_from(0, std::move(done)); }

void Partitioned::workers_from(unsigned tried, Done<Result<std::vector<WorkerReport>>> done) {
  engines_[tried]->workers([this, tried, done = std::move(done)](Result<std::vector<WorkerReport>> workers) mutable {
    if (workers || tried + 1 == count()) return done(std::move(workers));
    workers_from(tried + 1, std::move(done));
  });
}

// ---- lists ----

TaskPage merge(std::vector<Result<ScoredPage>>& pages, std::uint32_t limit) {
  std::vector<ScoredPage::Row> rows;
  std::uint64_t horizon = 0;  // below it a partition has more that it has not told yet
  bool more = false;
  for (auto& page : pages) {
    std::move(page->rows.begin(), page->rows.end(), std::back_inserter(rows));
    if (page->next == 0) continue;
    horizon = std::max(horizon, page->next);
    more = true;
  }
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
  TaskPage merged;
  std::uint64_t last = 0;
  for (ScoredPage::Row& row : rows) {
    if (row.score < horizon) break;
    // Equal times of two partitions stay together, since the cursor goes on below.
    if (merged.tasks.size() >= limit && row.score != last) {
      merged.next_cursor = std::to_string(last);
      return merged;
    }
    last = row.score;
    merged.tasks.push_back(std::move(row.task));
  }
  if (more)
    merged.next_cursor = std::to_string(horizon);
  else if (merged.tasks.size() < rows.size())
    merged.next_cursor = std::to_string(last);
  return merged;
}

}  // namespace treadle::store::redis

// What dispatchers ask of the engine about sessions and workers (docs/decisions/0003-sessions.md).
#include <utility>

#include "store/redis/engine.h"

namespace treadle::store::redis {
namespace {

constexpr const char* kReportMs = "60000";  // a report of workers that nobody renews is forgotten

Error no_session(SessionId id) {
  return fail(Code::Conflict,
              "Session " + to_string(id) + " is not live. Open a new one and register the workers again.");
}

std::string text_of_held(const core::Held& attempt) { return to_string(attempt.task) + ' ' + text_of(attempt.token); }

std::optional<core::Held> held_of(std::string_view text) {
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const auto id = TaskId::parse(text.substr(0, space));
  if (!id) return std::nullopt;
  return core::Held{*id, token_of(text.substr(space + 1))};
}

}  // namespace

void Engine::open_session(SessionId id, std::string name, Done<Result<void>> done) {
  if (auto error = closed()) return done(std::move(*error));
  sessions_[id] = home_.moves();
  caller_.run(Script::OpenSession, {to_string(id), std::move(name)},
              [id, done = std::move(done)](Result<Reply> reply) mutable {
                if (!reply) return done(std::move(reply.error()));
                if (reply->text != "live") return done(no_session(id));
                done(Result<void>{});
              });
}

void Engine::renew(SessionId id, std::vector<AdoptItem> revokes_done, Done<Result<RenewAnswer>> done) {
  if (auto error = closed()) return done(std::move(*error));
  if (const auto known = sessions_.find(id); known != sessions_.end() && known->second != home_.moves()) {
    // A failover may have undone outcomes that we were told of, and their tasks are held by nobody who knows. A new
    // session takes back what its dispatcher has; the rest goes when this one is found silent.
    sessions_.erase(known);
    RenewAnswer answer;
    answer.missing = true;
    return done(std::move(answer));
  }
  Args args{to_string(id)};
  for (const AdoptItem& attempt : revokes_done) args.push_back(text_of_held(attempt));
  caller_.run(Script::Renew, std::move(args), [this, id, done = std::move(done)](Result<Reply> reply) mutable {
    if (!reply) return done(std::move(reply.error()));
    if (reply->items.size() < 3) return done(fail(Code::StoreError, "Redis gave a short answer to a renewal."));
    RenewAnswer answer;
    answer.live = reply->items[0].text == "live";
    answer.missing = reply->items[0].text == "missing";
    if (!answer.live) sessions_.erase(id);
    for (const Reply& text : reply->items[1].items) {
      if (const auto attempt = held_of(text.text)) answer.revokes.push_back(*attempt);
    }
    const auto& others = reply->items[2].items;
    for (std::size_t i = 0; i + 2 < others.size(); i += 3) {
      const auto other = SessionId::parse(others[i].text);
      if (!other) continue;
      const std::uint64_t beat = number_of(others[i + 1]);
      if (take_over(*other, beat, std::string(others[i + 2].text))) continue;
      answer.others.push_back({*other, beat});
    }
    done(std::move(answer));
  });
}

// A dispatcher that was known by our name and is dead need not be waited for.
bool Engine::take_over(SessionId other, std::uint64_t beat, const std::string& name) {
  if (!config_.is_dead || !config_.is_dead(name) || clock_.now() < begun_ + config_.take_over_after) return false;
  reap(other, beat, [this](Result<bool> ours) {
    if (ours && *ours) work_heard_ = true;
  });
  return true;
}

template <class Item, class AddItem>
void Engine::hold(Script script, SessionId to, const std::vector<Item>& batch, AddItem add,
                  Done<Result<std::vector<AdoptAnswer>>> done) {
  if (auto error = closed()) return done(std::move(*error));
  struct Call {
    std::vector<AdoptAnswer> answers;
    std::optional<Error> error;
    std::size_t waiting = 1;
    Done<Result<std::vector<AdoptAnswer>>> done;
    void part_done() {
      if (--waiting > 0) return;
      if (error) return done(std::move(*error));
      done(std::move(answers));
    }
  };
  auto call = std::make_shared<Call>();
  call->answers.assign(batch.size(), AdoptAnswer::Refused);
  call->done = std::move(done);
  for (std::size_t from = 0; from < batch.size() || from == 0; from += core::limits::kBatch) {
    const std::size_t n = std::min(core::limits::kBatch, batch.size() - from);
    Args args{to_string(to)};
    for (std::size_t i = from; i < from + n; ++i) add(args, batch[i]);
    ++call->waiting;
    caller_.run(script, std::move(args), [this, call, from, n, to](Result<Reply> reply) {
      if (!reply) {
        call->error = std::move(reply.error());
      } else if (reply->items.size() < n + 2) {
        call->error = no_session(to);
      } else {
        for (std::size_t k = 0; k < n; ++k) {
          if (reply->items[k + 1].text == "adopted") call->answers[from + k] = AdoptAnswer::Adopted;
        }
        count(reply->items[n + 1]);
      }
      call->part_done();
    });
  }
  call->part_done();
}

void Engine::adopt(SessionId to, std::vector<AdoptItem> batch, Done<Result<std::vector<AdoptAnswer>>> done) {
  hold(
      Script::Adopt, to, batch,
      [](Args& args, const AdoptItem& attempt) {
        args.push_back(to_string(attempt.task));
        args.push_back(text_of(attempt.token));
      },
      std::move(done));
}

void Engine::reassert(SessionId session, std::vector<ReassertItem> batch, Done<Result<std::vector<AdoptAnswer>>> done) {
  hold(
      Script::Reassert, session, batch,
      [](Args& args, const ReassertItem& item) {
        args.push_back(to_string(item.task));
        args.push_back(text_of(item.token));
        args.push_back(std::to_string(item.number));
      },
      std::move(done));
}

void Engine::reap(SessionId other, std::uint64_t beat_seen, Done<Result<bool>> done) {
  if (auto error = closed()) return done(std::move(*error));
  reap_page(other, beat_seen, false, std::move(done));
}

// Page after page, until nothing is held. An answer that was lost is asked for again and goes on where it was.
void Engine::reap_page(SessionId other, std::uint64_t beat_seen, bool ours, Done<Result<bool>> done) {
  caller_.run(Script::Reap, {to_string(other), std::to_string(beat_seen)},
              [this, other, beat_seen, ours, done = std::move(done)](Result<Reply> reply) mutable {
                if (!reply) return done(std::move(reply.error()));
                if (reply->items.size() < 4)
                  return done(fail(Code::StoreError, "Redis gave a short answer to a reap."));
                const bool now_ours = number_of(reply->items[0]) == 1 || ours || caller_.was_repeated();
                take_ended(reply->items[2]);
                count(reply->items[3]);
                if (number_of(reply->items[1]) == 1) return reap_page(other, beat_seen, true, std::move(done));
                done(now_ours);
              });
}

void Engine::report_workers(SessionId session, std::vector<WorkerReport> workers) {
  if (closed_) return;
  caller_.send(
      Command{"SET", key("treadle:session:" + to_string(session) + ":workers"), text_of(workers), "PX", kReportMs},
      [](Result<Reply>) {});
}

void Engine::workers(Done<Result<std::vector<WorkerReport>>> done) {
  if (auto error = closed()) return done(std::move(*error));
  caller_.run(Script::Workers, Args{}, [done = std::move(done)](Result<Reply> reply) mutable {
    if (!reply) return done(std::move(reply.error()));
    std::vector<WorkerReport> all;
    for (const Reply& text : reply->items) {
      std::vector<WorkerReport> some = workers_of(text.text);
      std::move(some.begin(), some.end(), std::back_inserter(all));
    }
    done(std::move(all));
  });
}

}  // namespace treadle::store::redis

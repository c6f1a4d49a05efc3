#include "store_law.h"

#include <algorithm>
#include <utility>

namespace treadle::sim {

using namespace core;

namespace {

// A session that was renewed more lately may not be reaped; the dispatchers wait for 10 s of a beat that stands still.
constexpr Duration kSilentAtReap = 9s;

std::string name(FinishAnswer answer) {
  constexpr const char* kNames[] = {"applied", "duplicate", "stale", "missing"};
  return kNames[static_cast<std::size_t>(answer)];
}

}  // namespace

template <class Answer>
StoreLaw::Done<Answer> StoreLaw::watch(Done<Answer> done, std::function<void(Answer&)> check) {
  const std::uint64_t number = next_++;
  touched_ = true;
  const auto shared = std::make_shared<Done<Answer>>(std::move(done));
  under_way_[number] = [shared] { (*shared)(fail(Code::StoreAway, "the store began anew")); };
  return [this, number, shared, check = std::move(check)](Result<Answer> answer) {
    if (under_way_.erase(number) == 0) return;  // it was answered when the store crashed
    if constexpr (!std::is_void_v<Answer>) {
      if (answer && check) check(*answer);
    }
    (*shared)(std::move(answer));
  };
}

StoreLaw::Session* StoreLaw::live(SessionId id) {
  const auto it = sessions_.find(id);
  return it == sessions_.end() || !it->second.live ? nullptr : &it->second;
}

// ---- sessions ----

void StoreLaw::open_session(SessionId id, std::string name, Done<void> done) {
  // Opened again, since the answer was lost: that is no beat.
  if (const auto [it, first] = sessions_.try_emplace(id); first) it->second.renewed = world_.now();
  const std::uint64_t number = next_++;
  const auto shared = std::make_shared<Done<void>>(std::move(done));
  under_way_[number] = [shared] { (*shared)(fail(Code::StoreAway, "the store began anew")); };
  store_->open_session(id, std::move(name), [this, number, shared](Result<void> answer) {
    if (under_way_.erase(number) > 0) (*shared)(std::move(answer));
  });
}

void StoreLaw::renew(SessionId id, std::vector<Held> revokes_done, Done<RenewAnswer> done) {
  Session* session = live(id);
  if (session) ++session->beat, session->renewed = world_.now();
  for (const Held& attempt : revokes_done) {
    const Task& task = tasks_[attempt.task];
    if (hinted_.contains(attempt.token) && holds(task, attempt.token) && task.session == id)
      blame_("the cancel of task " + to_string(attempt.task) + " is called done by one who was told before it had it");
  }
  store_->renew(id, std::move(revokes_done), watch<RenewAnswer>(std::move(done), [this, id, session](RenewAnswer& a) {
                  for (const Held& attempt : a.revokes) hinted_.erase(attempt.token);
                  if (a.live != (session != nullptr))
                    blame_("session " + to_string(id) + " is said to be " + (a.live ? "live" : "over"));
                }));
}

void StoreLaw::reap(SessionId other, std::uint64_t beat_seen, Done<bool> done) {
  Session* session = live(other);
  const bool expected = session && session->beat == beat_seen;
  if (expected) {
    if (world_.now() - session->renewed < kSilentAtReap)
      blame_("session " + to_string(other) + " is reaped, and it was renewed a moment ago");
    session->live = false;
    free_all_of(other);
  }
  store_->reap(other, beat_seen, watch<bool>(std::move(done), [this, other, expected](bool& answer) {
                 if (answer != expected)
                   blame_("reaping session " + to_string(other) + (answer ? " was done" : " was refused"));
               }));
}

void StoreLaw::free_all_of(SessionId session) {
  for (auto& [id, task] : tasks_) {
    if (task.state == State::Held && task.session == session) task.state = State::Free;
  }
}

void StoreLaw::adopt(SessionId to, std::vector<Held> batch, Done<std::vector<AdoptAnswer>> done) {
  std::vector<bool> expected;
  for (const Held& attempt : batch) {
    Task& task = tasks_[attempt.task];
    expected.push_back(holds(task, attempt.token));
    if (expected.back() && live(to)) task.session = to;
  }
  auto copy = batch;
  store_->adopt(to, std::move(batch),
                watch<std::vector<AdoptAnswer>>(std::move(done), [this, expected, copy](std::vector<AdoptAnswer>& a) {
                  for (std::size_t i = 0; i < a.size(); ++i) {
                    if ((a[i] == AdoptAnswer::Adopted) != expected[i])
                      blame_("adopting task " + to_string(copy[i].task) + (expected[i] ? " was refused" : " was done"));
                  }
                }));
}

// A waiting task is given back to its holder; the law cannot see whether it waits or has ended, the answer tells.
void StoreLaw::reassert(SessionId to, std::vector<ReassertItem> batch, Done<std::vector<AdoptAnswer>> done) {
  std::vector<State> before;
  for (const ReassertItem& item : batch) {
    Task& task = tasks_[item.task];
    before.push_back(task.state);
    if (live(to) && task.state == State::Free && !task.closed)
      task = {State::Held, item.token, to, false, false, task.cancel, task.cancelled};
    if (live(to) && holds(task, item.token)) task.session = to;
  }
  auto copy = batch;
  store_->reassert(
      to, std::move(batch),
      watch<std::vector<AdoptAnswer>>(std::move(done), [this, before, copy](std::vector<AdoptAnswer>& answers) {
        for (std::size_t i = 0; i < answers.size(); ++i) {
          Task& task = tasks_[copy[i].task];
          if (answers[i] != AdoptAnswer::Adopted && before[i] == State::Free && holds(task, copy[i].token))
            task.state = State::Free;
          if (answers[i] == AdoptAnswer::Adopted && before[i] == State::Ended)
            blame_("task " + to_string(copy[i].task) + " has ended and was re-asserted");
        }
      }));
}

// Whoever hears of a cancel before it has the attempt cannot have seen to it.
void StoreLaw::hinted(const std::vector<Held>& attempts) {
  for (const Held& attempt : attempts) {
    if (holds(tasks_[attempt.task], attempt.token)) {
      hinted_.erase(attempt.token);
    } else {
      hinted_.insert(attempt.token);
    }
  }
}

// ---- claims ----

void StoreLaw::claim(ClaimRequest request, Done<ClaimAnswer> done) {
  auto copy = request;
  if (Session* session = live(request.session); session && request.call > session->asked)
    session->asked = request.call, session->asked_at = world_.now();
  store_->claim(std::move(request),
                watch<ClaimAnswer>(std::move(done), [this, copy](ClaimAnswer& answer) { check_claim(copy, answer); }));
}

void StoreLaw::check_claim(const ClaimRequest& request, const ClaimAnswer& answer) {
  if (answer.no_session) return;
  Session* session = live(request.session);
  if (!session) return blame_("session " + to_string(request.session) + " is over and was given attempts");
  const bool again = request.call == session->call;
  if (!again) session->given.clear();
  session->call = request.call;
  for (const Attempt& attempt : answer.attempts) {
    const std::string what = "task " + to_string(attempt.task);
    Task& task = tasks_[attempt.task];
    const bool first = session->given.insert(attempt.token.value).second;
    if (again && first) blame_(what + " is new in the answer to a repeated claim");
    if (std::ranges::find(request.tokens, attempt.token) == request.tokens.end())
      blame_(what + " was claimed with a token that nobody made");
    if (task.state == State::Ended || task.closed) blame_(what + " has ended and was claimed");
    if (task.state == State::Held && task.token != attempt.token) blame_(what + " was claimed, and another holds it");
    if (task.cancel && first && task.cancelled < session->asked_at)
      blame_(what + " was claimed after its cancel had been promised");
    if (task.state == State::Free)
      task = {State::Held, attempt.token, request.session, false, false, task.cancel, task.cancelled};
  }
}

// ---- endings ----

FinishAnswer StoreLaw::expect_finish(const FinishItem& item) {
  Task& task = tasks_[item.task];
  if (task.state == State::Ended && task.token == item.token) return FinishAnswer::Duplicate;
  if (!holds(task, item.token)) return FinishAnswer::Stale;
  task.state = State::Ended;
  task.durable = false;
  return FinishAnswer::Applied;
}

void StoreLaw::finish(SessionId session, std::vector<FinishItem> batch, Done<std::vector<FinishAnswer>> done) {
  struct Expected {
    Held attempt;
    FinishAnswer answer;
  };
  std::vector<Expected> expected;
  for (const FinishItem& item : batch) expected.push_back({{item.task, item.token}, expect_finish(item)});
  store_->finish(
      session, std::move(batch),
      watch<std::vector<FinishAnswer>>(std::move(done), [this, expected](std::vector<FinishAnswer>& answers) {
        for (std::size_t i = 0; i < answers.size(); ++i) {
          const auto& [attempt, answer] = expected[i];
          settled_.insert(attempt.token);
          if (answers[i] == FinishAnswer::Missing && lost_tasks_) continue;
          if (answer == FinishAnswer::Applied) tasks_[attempt.task].durable = true;
          if (answers[i] != answer)
            blame_("the outcome of task " + to_string(attempt.task) + " was " + name(answers[i]) + ", and has to be " +
                   name(answer));
        }
      }));
}

bool StoreLaw::expect_requeue(SessionId session, const RequeueItem& item) {
  Task& task = tasks_[item.task];
  if (!holds(task, item.token) || task.session != session) return false;
  task.state = State::Free;
  return true;
}

void StoreLaw::check_requeue(const RequeueItem& item, bool expected, RequeueAnswer answer) {
  const bool done = answer != RequeueAnswer::Stale && answer != RequeueAnswer::Missing;
  Task& task = tasks_[item.task];
  settled_.insert(item.token);
  if (answer == RequeueAnswer::Missing && lost_tasks_) return;
  if (done != expected)
    blame_(
        "task " + to_string(item.task) +
        (done ? " was given back by one who does not hold it" : " was not given back, though its holder asked for it"));
  if (answer == RequeueAnswer::Queued && task.cancel)
    blame_("task " + to_string(item.task) + " waits again after its cancel had been promised");
  if (answer == RequeueAnswer::Failed || answer == RequeueAnswer::Cancelled) task.closed = true;
}

void StoreLaw::requeue(SessionId session, std::vector<RequeueItem> batch, Done<std::vector<RequeueAnswer>> done) {
  std::vector<bool> expected;
  for (const RequeueItem& item : batch) expected.push_back(expect_requeue(session, item));
  auto copy = batch;
  store_->requeue(
      session, std::move(batch),
      watch<std::vector<RequeueAnswer>>(std::move(done), [this, expected, copy](std::vector<RequeueAnswer>& answers) {
        for (std::size_t i = 0; i < answers.size(); ++i) check_requeue(copy[i], expected[i], answers[i]);
      }));
}

void StoreLaw::get_body(Digest digest, Done<Payload> done) {
  store_->get_body(digest, watch<Payload>(std::move(done), {}));
}

// ---- the store's own faults ----

void StoreLaw::crashed() {
  sessions_.clear();
  for (auto& [id, task] : tasks_) {
    if (task.state == State::Held || (task.state == State::Ended && !task.durable)) task.state = State::Free;
  }
  const auto under_way = std::exchange(under_way_, {});
  errors_of_crashes += under_way.size();
  for (const auto& [number, give_up] : under_way) give_up();
}

void StoreLaw::flushed(store::Store& fresh) {
  crashed();
  tasks_.clear();
  lost_tasks_ = true;
  store_ = &fresh;
}

}  // namespace treadle::sim

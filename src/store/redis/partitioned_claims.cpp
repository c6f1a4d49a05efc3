// Claims in rotation. A dispatcher's claim asks one partition after the other, until it has what it wants. One that
// does not answer soon is left behind: its call is said again until it is answered (the same tasks with the same
// tokens), and what it gave then comes with a later claim.
#include "store/redis/partitioned_claims.h"

#include <algorithm>
#include <utility>

namespace treadle::store::redis {
namespace {

constexpr Duration kPatience = 500ms;  // with one partition, while others may have work

// Partitions use the tokens in their order. An attempt of an earlier call has one of that call's, and takes a place.
void spend(std::vector<Token>& tokens, Token token) {
  const auto at = std::find(tokens.begin(), tokens.end(), token);
  if (at != tokens.end())
    tokens.erase(tokens.begin(), at + 1);
  else if (!tokens.empty())
    tokens.erase(tokens.begin());
}

}  // namespace

Partitioned::Session* Partitioned::find(SessionId id) {
  const auto at = sessions_.find(id);
  return at == sessions_.end() ? nullptr : &at->second;
}

void Partitioned::claim(ClaimRequest request, Done<Result<ClaimAnswer>> done) {
  Session* session = find(request.session);
  ClaimAnswer none;
  none.no_session = session == nullptr;
  if (!session) return done(std::move(none));
  if (session->round)
    return done(fail(Code::Conflict, "Session " + to_string(request.session) + " has a claim under way already."));
  if (request.call < session->last_call) return done(std::move(none));
  begin_round(request.session, *session, std::move(request), std::move(done));
}

void Partitioned::begin_round(SessionId id, Session& session, ClaimRequest request, Done<Result<ClaimAnswer>> done) {
  hinted_ = false;
  session.round = std::make_unique<Round>();
  Round& round = *session.round;
  round.done = std::move(done);
  if (request.call == session.last_call) {  // the same again: what it was given, if it still holds it
    for (auto& [p, asked] : std::exchange(session.given, {})) {
      if (session.shares[p].unanswered) continue;
      session.shares[p].unanswered = std::move(asked);
      session.shares[p].not_before = Instant{0};
      round.to_ask.push_back(p);
    }
  } else {
    session.given.clear();
    round.answer.attempts = std::exchange(session.late, {});
    for (unsigned i = 0; i < count() && round.answer.attempts.empty(); ++i) {
      const unsigned p = (session.begin + i) % count();
      const Share& share = session.shares[p];
      if (share.open && !share.in_flight && clock_.now() >= share.not_before) round.to_ask.push_back(p);
    }
    std::stable_partition(round.to_ask.begin(), round.to_ask.end(),
                          [&](unsigned p) { return may_have_work(session.shares[p]); });
  }
  session.last_call = request.call;
  round.tokens = request.tokens;
  round.request = std::move(request);
  ask_next(id, session);
}

void Partitioned::ask_next(SessionId id, Session& session) {
  Round& round = *session.round;
  round.waiting = false;
  round.deadline = Instant::never();
  while (round.next < round.to_ask.size()) {
    const unsigned p = round.to_ask[round.next++];
    const Share& share = session.shares[p];
    // Where nobody spoke of work, it is looked for only if there is none elsewhere.
    if (!may_have_work(share) && !round.answer.attempts.empty()) break;
    if (!round.tokens.empty() || share.unanswered) return ask(id, session, p);
  }
  end_round(session);
}

void Partitioned::ask(SessionId id, Session& session, unsigned partition) {
  Round& round = *session.round;
  Share& share = session.shares[partition];
  round.waiting = true;
  round.waiting_for = partition;
  round.deadline = clock_.now() + kPatience;
  if (!share.unanswered) {
    share.unanswered = round.request;
    share.unanswered->tokens = round.tokens;
    share.unanswered->call = ++share.calls;
  }
  share.in_flight = true;
  share.has_work = false;
  session.begin = (partition + 1) % count();
  engines_[partition]->claim(*share.unanswered,
                             [this, id, partition, call = share.unanswered->call](Result<ClaimAnswer> answer) {
                               take_answer(id, partition, call, std::move(answer));
                             });
}

void Partitioned::take_answer(SessionId id, unsigned partition, std::uint64_t call, Result<ClaimAnswer> answer) {
  Session* session = find(id);
  if (!session || !session->shares[partition].unanswered || session->shares[partition].unanswered->call != call) return;
  Share& share = session->shares[partition];
  share.in_flight = false;
  Round* round = session->round.get();
  const bool in_time = round && round->waiting && round->waiting_for == partition;
  if (!answer) {
    share.not_before = clock_.now() + core::limits::kHintPoll;
    if (in_time) ask_next(id, *session);
    return;
  }
  ClaimRequest asked = std::move(*share.unanswered);
  share.unanswered.reset();
  share.has_work = share.has_work || answer->more;
  if (answer->no_session) {  // a renewal will say what has become of it
    share.not_before = clock_.now() + core::limits::kHintPoll;
    if (round) round->session_gone = true;
  }
  std::vector<core::Attempt>& given = answer->attempts;
  if (in_time && !given.empty()) {
    for (const core::Attempt& attempt : given) spend(round->tokens, attempt.token);
    session->given.emplace_back(partition, std::move(asked));
  }
  auto& to = in_time ? round->answer.attempts : session->late;
  std::move(given.begin(), given.end(), std::back_inserter(to));
  if (in_time) return ask_next(id, *session);
  if (!to.empty() && work_hint_) work_hint_();
}

void Partitioned::end_round(Session& session) {
  const auto round = std::move(session.round);
  ClaimAnswer& answer = round->answer;
  answer.no_session = answer.attempts.empty() && round->session_gone;
  answer.more = std::any_of(session.shares.begin(), session.shares.end(), [](const Share& share) {
    return share.open && share.has_work && !share.in_flight && !share.unanswered;
  });
  round->done(std::move(answer));
}

bool Partitioned::end_late_rounds(Instant now) {
  std::vector<SessionId> late;
  for (const auto& [id, session] : sessions_) {
    if (session.round && session.round->waiting && now >= session.round->deadline) late.push_back(id);
  }
  for (const SessionId id : late) {
    if (Session* session = find(id); session && session->round) {
      session->round->waiting = false;  // its tokens are spent: the next partition is asked with the next claim
      end_round(*session);
    }
  }
  return !late.empty();
}

void Partitioned::heard_of_work(unsigned partition) {
  for (auto& [id, session] : sessions_) session.shares[partition].has_work = true;
  if (!std::exchange(hinted_, true) && work_hint_) work_hint_();
}

void Partitioned::on_work(Callback<void()> hint) {
  work_hint_ = std::move(hint);
  for (unsigned p = 0; p < count(); ++p) engines_[p]->on_work([this, p] { heard_of_work(p); });
}

}  // namespace treadle::store::redis

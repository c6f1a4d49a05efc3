// The session law, on every engine alike (docs/decisions/0003-sessions.md).
#include "engine.h"

namespace treadle::store::contract {
namespace {

using core::Delivery;
using core::ErrorKind;
using core::GiveBack;
using core::TaskState;

class Sessions : public ::testing::TestWithParam<const char*> {
 protected:
  core::Attempt claimed(SessionId session, Delivery delivery = Delivery::AtLeastOnce) {
    Submission s = store_.submission(store_.function());
    s.options.delivery = delivery;
    store_.submit_one(std::move(s));
    return store_.claim_one(session, ++calls_);
  }
  bool reap_now(SessionId still, SessionId by) {
    for (const auto& other : store_.renew(by).others) {
      if (other.session == still) return store_.reap(still, other.beat);
    }
    return false;
  }
  Engine store_{GetParam()};
  std::uint64_t calls_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Engines, Sessions, ::testing::Values("memory", "strict", "fast", "redis", "redis4"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(Sessions, UnknownIsMissingAndReapedIsRememberedAsReaped) {
  EXPECT_TRUE(store_.renew(SessionId(Uuid{7, 7})).missing);
  const SessionId still = store_.session(), other = store_.session();
  ASSERT_TRUE(reap_now(still, other));
  const RenewAnswer answer = store_.renew(still);
  EXPECT_FALSE(answer.live);
  EXPECT_FALSE(answer.missing) << "its owner would say again what others were given";
  EXPECT_FALSE(store_.ask<Result<void>>([&](auto done) { store_->open_session(still, "again", std::move(done)); }));
  EXPECT_TRUE(store_.claim(store_.request(still, 1, 1)).no_session);
  EXPECT_TRUE(store_.renew(other).others.empty());
}

TEST_P(Sessions, ReapBurnsOnlyWhatWasStarted) {
  const SessionId still = store_.session(), other = store_.session();
  const core::Attempt started = claimed(still), waiting = claimed(still);
  store_.start(started);
  ASSERT_TRUE(reap_now(still, other));
  EXPECT_EQ(store_.story(started.task)->losses, 1u);
  EXPECT_NE(store_.story(started.task)->last_error.find("WorkerLost"), std::string::npos);
  EXPECT_EQ(store_.story(waiting.task)->losses, 0u);
  EXPECT_EQ(store_->counters().claimed + store_->counters().running, 0u);
  EXPECT_EQ(store_->counters().queued, 2u);
}

TEST_P(Sessions, ReapEndsWhatMayNotRunAgainAndWhatWasCancelled) {
  const SessionId still = store_.session(), other = store_.session();
  const core::Attempt once = claimed(still, Delivery::AtMostOnce), cancelled = claimed(still);
  EXPECT_EQ(store_.cancel(cancelled.task), CancelAnswer::Requested);
  ASSERT_TRUE(reap_now(still, other));
  EXPECT_EQ(store_.view(once.task)->error_kind, ErrorKind::WorkerLost);
  EXPECT_EQ(store_.view(once.task)->result.bytes.view(), "failure WorkerLost");
  EXPECT_EQ(store_.view(cancelled.task)->error_kind, ErrorKind::Cancelled);
  EXPECT_EQ(store_.finish(still, once, "late"), FinishAnswer::Stale);
}

TEST_P(Sessions, ACancelFollowsTheAttemptToItsNewOwner) {
  std::vector<core::Held> told;
  store_->on_revoke([&](std::vector<core::Held> attempts) { told = std::move(attempts); });
  const SessionId first = store_.session(), second = store_.session();
  const core::Attempt a = claimed(first);
  EXPECT_EQ(store_.cancel(a.task), CancelAnswer::Requested);
  EXPECT_EQ(told, (std::vector<core::Held>{{a.task, a.token}}));
  EXPECT_EQ(store_.adopt(second, {a.task, a.token}), AdoptAnswer::Adopted);
  EXPECT_TRUE(store_.renew(first).revokes.empty());
  EXPECT_EQ(store_.renew(second).revokes, told);
  EXPECT_EQ(store_.finish(second, a, "in time"), FinishAnswer::Applied) << "the true outcome came first";
  EXPECT_EQ(store_.view(a.task)->state, TaskState::Completed);
}

TEST_P(Sessions, ReassertTakesBackOnlyWhatWaitsUnclaimed) {
  const SessionId before = store_.session();
  const core::Attempt a = claimed(before);
  EXPECT_EQ(store_.requeue(before, a, GiveBack::Unstarted),
            RequeueAnswer::Queued);  // as after FLUSHALL: it waits again
  const SessionId after = store_.session();
  EXPECT_EQ(store_.reassert(after, {a.task, a.token, a.number}), AdoptAnswer::Adopted);
  EXPECT_EQ(store_.reassert(after, {a.task, a.token, a.number}), AdoptAnswer::Adopted) << "the same call again";
  EXPECT_TRUE(store_.claim(store_.request(after, 1, 1)).attempts.empty()) << "it is held";
  EXPECT_EQ(store_.reassert(after, {a.task, Token{a.token.value ^ 2}, 1}), AdoptAnswer::Refused);
  EXPECT_EQ(store_.reassert(after, {TaskId(Uuid{1, 1}), a.token, 1}), AdoptAnswer::Refused);
  EXPECT_EQ(store_.requeue(after, a, GiveBack::Unstarted), RequeueAnswer::Queued);
  const core::Attempt again = store_.claim_one(after, 2);
  EXPECT_EQ(again.task, a.task);
  EXPECT_GT(again.number, a.number);
  EXPECT_EQ(store_.finish(after, again), FinishAnswer::Applied);
  EXPECT_EQ(store_.reassert(after, {a.task, a.token, a.number}), AdoptAnswer::Refused);
}

TEST_P(Sessions, AdoptIntoASessionThatIsNotLiveIsAnErrorAndChangesNothing) {
  const SessionId owner = store_.session();
  const core::Attempt a = claimed(owner);
  const auto answer = store_.ask<Result<std::vector<AdoptAnswer>>>([&](auto done) {
    store_->adopt(SessionId(Uuid{7, 7}), {{a.task, a.token}}, std::move(done));
  });
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::Conflict);
  EXPECT_EQ(store_.requeue(owner, a, GiveBack::Unstarted), RequeueAnswer::Queued);
}

TEST_P(Sessions, AnOvertakenClaimGivesNothing) {
  const SessionId session = store_.session();
  const core::Attempt a = claimed(session), b = claimed(session);
  EXPECT_TRUE(store_.claim(store_.request(session, 1, 5)).attempts.empty());
  EXPECT_EQ(store_.finish(session, b), FinishAnswer::Applied);
  EXPECT_TRUE(store_.claim(store_.request(session, 2, 5)).attempts.empty()) << "what ended is not given again";
  EXPECT_EQ(store_.finish(session, a), FinishAnswer::Applied);
}

}  // namespace
}  // namespace treadle::store::contract

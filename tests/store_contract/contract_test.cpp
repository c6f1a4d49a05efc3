// What store.h promises, on every engine alike.
#include "engine.h"

namespace treadle::store::contract {
namespace {

using core::Delivery;
using core::ErrorKind;
using core::GiveBack;
using core::TaskState;

class Contract : public ::testing::TestWithParam<const char*> {
 protected:
  Engine store_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Engines, Contract, ::testing::Values("memory", "strict", "fast", "redis", "redis4"),
                         [](const auto& info) { return std::string(info.param); });

// ---- functions ----

TEST_P(Contract, FunctionsWithEqualBodiesHaveTheirOwnIdsAndShareTheBody) {
  const FunctionId a = store_.function(), b = store_.function();
  EXPECT_NE(a, b);
  const auto f = store_.ask<Result<core::Function>>([&](auto done) { store_->get_function(a, std::move(done)); });
  const auto g = store_.ask<Result<core::Function>>([&](auto done) { store_->get_function(b, std::move(done)); });
  ASSERT_TRUE(f && g);
  EXPECT_EQ(f->digest, g->digest);
  const auto body = store_.ask<Result<core::Payload>>([&](auto done) { store_->get_body(f->digest, std::move(done)); });
  ASSERT_TRUE(body);
  EXPECT_EQ(body->bytes.view(), "body");
}

TEST_P(Contract, UnknownThingsAreNotFound) {
  const auto f = store_.ask<Result<core::Function>>([&](auto done) {
    store_->get_function(FunctionId(Uuid{1, 2}), std::move(done));
  });
  ASSERT_FALSE(f);
  EXPECT_EQ(f.error().code, Code::NotFound);
  EXPECT_EQ(store_.view(TaskId(Uuid{1, 2})).error().code, Code::NotFound);
  EXPECT_EQ(store_.cancel(TaskId(Uuid{1, 2})), CancelAnswer::Missing);
  std::vector<Submission> batch;
  batch.push_back(store_.submission(FunctionId(Uuid{1, 2})));
  const auto answers = store_.submit(std::move(batch));
  ASSERT_TRUE(answers);
  ASSERT_FALSE((*answers)[0]);
  EXPECT_EQ((*answers)[0].error().code, Code::NotFound);
}

// ---- a task's life ----

TEST_P(Contract, SubmittedClaimedStartedFinished) {
  const TaskId id = store_.submit_one(store_.submission(store_.function(), "the args"));
  EXPECT_EQ(store_.view(id)->state, TaskState::Queued);
  const SessionId session = store_.session();
  const core::Attempt a = store_.claim_one(session);
  EXPECT_EQ(a.task, id);
  EXPECT_EQ(a.number, 1u);
  EXPECT_EQ(a.args.bytes.view(), "the args");
  EXPECT_EQ(core::public_name(store_.view(id)->state), "QUEUED");
  store_->started({{a.task, a.token, WorkerId(Uuid{1, 1})}});
  store_.turn_until([&] { return store_.view(id)->state == TaskState::Running; });
  EXPECT_EQ(store_.view(id)->state, TaskState::Running);
  EXPECT_EQ(store_.finish(session, a), FinishAnswer::Applied);
  const auto view = store_.view(id);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->state, TaskState::Completed);
  EXPECT_EQ(view->result.bytes.view(), "result");
}

TEST_P(Contract, OrderIsPriorityThenAge) {
  store_.keep_together();
  const FunctionId f = store_.function();
  std::vector<TaskId> ids;
  for (const std::int16_t priority : {0, 0, -5, 7}) {
    Submission s = store_.submission(f);
    s.options.priority = priority;
    ids.push_back(store_.submit_one(std::move(s)));
  }
  const auto answer = store_.claim(store_.request(store_.session(), 1, 10));
  ASSERT_EQ(answer.attempts.size(), 4u);
  std::vector<TaskId> got;
  for (const auto& a : answer.attempts) got.push_back(a.task);
  EXPECT_EQ(got, (std::vector<TaskId>{ids[3], ids[0], ids[1], ids[2]}));
  EXPECT_FALSE(answer.more);
}

TEST_P(Contract, DelayedTaskWaitsItsTime) {
  Submission s = store_.submission(store_.function());
  s.delay_ms = 150;
  const Instant begun = store_.now();
  const TaskId id = store_.submit_one(std::move(s));
  const SessionId session = store_.session();
  std::uint64_t call = 0;
  EXPECT_TRUE(store_.claim(store_.request(session, ++call, 1)).attempts.empty());
  std::optional<core::Attempt> got;
  store_.turn_until([&] {
    auto answer = store_.claim(store_.request(session, ++call, 1));
    if (!answer.attempts.empty()) got = answer.attempts[0];
    return got.has_value();
  });
  ASSERT_TRUE(got);
  EXPECT_EQ(got->task, id);
  EXPECT_GE(store_.now() - begun, 150ms);
}

TEST_P(Contract, WaitingTooLongIsExpired) {
  Submission s = store_.submission(store_.function());
  s.queue_ttl_ms = 100;
  const TaskId id = store_.submit_one(std::move(s));
  store_.turn_until([&] { return core::is_terminal(store_.view(id)->state); });
  EXPECT_EQ(store_.view(id)->error_kind, ErrorKind::Expired);
}

// ---- fences ----

TEST_P(Contract, FinishAnswersTellWhoWon) {
  store_.submit_one(store_.submission(store_.function()));
  const SessionId session = store_.session();
  const core::Attempt first = store_.claim_one(session);
  EXPECT_EQ(store_.requeue(session, first, GiveBack::Unstarted), RequeueAnswer::Queued);
  const core::Attempt second = store_.claim_one(session, 2);
  EXPECT_EQ(store_.finish(session, first, "late"), FinishAnswer::Stale);
  EXPECT_EQ(store_.finish(session, second, "good"), FinishAnswer::Applied);
  EXPECT_EQ(store_.finish(session, second, "again"), FinishAnswer::Duplicate);
  EXPECT_EQ(store_.finish(session, first, "late"), FinishAnswer::Stale);
  EXPECT_EQ(store_.view(second.task)->result.bytes.view(), "good");
  core::Attempt nobody = second;
  nobody.task = TaskId(Uuid{1, 1});
  EXPECT_EQ(store_.finish(session, nobody), FinishAnswer::Missing);
}

TEST_P(Contract, ClaimWithTheSameNumberGivesTheSameAttemptsAgain) {
  for (int i = 0; i < 3; ++i) store_.submit_one(store_.submission(store_.function()));
  const SessionId session = store_.session();
  const ClaimRequest request = store_.request(session, 1, 2);
  const auto first = store_.claim(request), again = store_.claim(request);
  ASSERT_EQ(first.attempts.size(), 2u);
  ASSERT_EQ(again.attempts.size(), 2u);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(first.attempts[static_cast<std::size_t>(i)].task, again.attempts[static_cast<std::size_t>(i)].task);
    EXPECT_EQ(first.attempts[static_cast<std::size_t>(i)].token, again.attempts[static_cast<std::size_t>(i)].token);
  }
  EXPECT_EQ(store_.claim(store_.request(session, 2, 5)).attempts.size(), 1u);
}

TEST_P(Contract, AnAttemptCarriesWhatItsTaskMayTake) {
  Submission s = store_.submission(store_.function());
  s.options.isolation = core::Isolation::Fresh;
  s.options.retries = 3;
  s.options.retry_delay_ms = 250;
  s.options.time_limit_ms = 1500;
  s.options.memory_limit = 64 << 20;
  const core::Allowance limits{
      .cpu_ms = 500, .output_bytes = 1 << 20, .result_bytes = 99, .open_files = 64, .processes = 4};
  s.options.more = core::to_text(limits);
  store_.submit_one(std::move(s));
  const SessionId session = store_.session();
  const ClaimRequest request = store_.request(session, 1, 1);
  for (int time = 1; time <= 2; ++time) {  // the second answer is made from what the first one left
    const auto claimed = store_.claim(request);
    ASSERT_EQ(claimed.attempts.size(), 1u);
    const core::Attempt& a = claimed.attempts[0];
    EXPECT_EQ(a.isolation, core::Isolation::Fresh);
    EXPECT_EQ(a.retries_left, 3u);
    EXPECT_EQ(a.retry_delay, 250ms);
    EXPECT_EQ(a.time_limit, 1500ms);
    EXPECT_EQ(a.memory_limit, 64u << 20);
    EXPECT_EQ(a.allowance, limits) << core::to_text(a.allowance);
  }
}

TEST_P(Contract, UnknownSessionClaimsNothing) {
  store_.submit_one(store_.submission(store_.function()));
  const auto answer = store_.claim(store_.request(SessionId(Uuid{8, 8}), 1, 1));
  EXPECT_TRUE(answer.no_session);
  EXPECT_TRUE(answer.attempts.empty());
}

TEST_P(Contract, RequeueByAnotherSessionIsRefused) {
  store_.submit_one(store_.submission(store_.function()));
  const SessionId mine = store_.session(), other = store_.session();
  const core::Attempt a = store_.claim_one(mine);
  EXPECT_EQ(store_.requeue(other, a, GiveBack::Unstarted), RequeueAnswer::Stale);
  EXPECT_EQ(store_.finish(other, a), FinishAnswer::Applied);  // a result counts whoever brings it
}

TEST_P(Contract, LostAttemptsAreCountedAndLimited) {
  store_.submit_one(store_.submission(store_.function()));
  const SessionId session = store_.session();
  for (std::uint64_t call = 1; call <= 3; ++call) {
    const core::Attempt a = store_.claim_one(session, call);
    EXPECT_EQ(store_.requeue(session, a, GiveBack::WorkerLost),
              call < 3 ? RequeueAnswer::Queued : RequeueAnswer::Failed);
    if (call == 3) {
      EXPECT_EQ(store_.view(a.task)->error_kind, ErrorKind::WorkerLost);
    }
  }
}

TEST_P(Contract, UnstartedGiveBacksAreNotCounted) {
  store_.submit_one(store_.submission(store_.function()));
  const SessionId session = store_.session();
  for (std::uint64_t call = 1; call <= 10; ++call) {
    EXPECT_EQ(store_.requeue(session, store_.claim_one(session, call), GiveBack::Unstarted), RequeueAnswer::Queued);
  }
}

TEST_P(Contract, TwoKilledExecutorsArePoison) {
  store_.submit_one(store_.submission(store_.function()));
  const SessionId session = store_.session();
  EXPECT_EQ(store_.requeue(session, store_.claim_one(session, 1), GiveBack::Killed), RequeueAnswer::Queued);
  const core::Attempt second = store_.claim_one(session, 2);
  EXPECT_EQ(store_.requeue(session, second, GiveBack::Killed), RequeueAnswer::Failed);
  EXPECT_EQ(store_.view(second.task)->error_kind, ErrorKind::PoisonTask);
}

TEST_P(Contract, AtMostOnceIsNeverRunAgainAfterALoss) {
  Submission s = store_.submission(store_.function(Delivery::AtMostOnce));
  s.options.delivery = Delivery::AtMostOnce;
  const TaskId id = store_.submit_one(std::move(s));
  const SessionId session = store_.session();
  const core::Attempt a = store_.claim_one(session);
  EXPECT_EQ(a.delivery, Delivery::AtMostOnce);
  EXPECT_EQ(store_.requeue(session, a, GiveBack::WorkerLost), RequeueAnswer::Failed);
  EXPECT_EQ(store_.view(id)->error_kind, ErrorKind::WorkerLost);
}

// ---- cancel ----

TEST_P(Contract, CancelOfAQueuedTaskIsAtOnceOfAClaimedOneAskedOfItsOwner) {
  const FunctionId f = store_.function();
  const TaskId queued = store_.submit_one(store_.submission(f));
  EXPECT_EQ(store_.cancel(queued), CancelAnswer::Cancelled);
  EXPECT_EQ(store_.view(queued)->error_kind, ErrorKind::Cancelled);
  EXPECT_EQ(store_.cancel(queued), CancelAnswer::Terminal);

  const TaskId claimed = store_.submit_one(store_.submission(f));
  const SessionId session = store_.session();
  const core::Attempt a = store_.claim_one(session);
  EXPECT_EQ(store_.cancel(claimed), CancelAnswer::Requested);
  EXPECT_EQ(store_.renew(session).revokes, (std::vector<core::Held>{{a.task, a.token}}));
  EXPECT_EQ(store_.renew(session).revokes.size(), 1u);  // until it is acknowledged
  EXPECT_TRUE(store_.renew(session, {{a.task, a.token}}).revokes.empty());
  EXPECT_EQ(store_.requeue(session, a, GiveBack::Unstarted), RequeueAnswer::Cancelled);
  EXPECT_EQ(store_.view(claimed)->error_kind, ErrorKind::Cancelled);
}

// ---- sessions ----

TEST_P(Contract, ReapGivesBackWhatAStillSessionHeldAndOnlyThen) {
  store_.submit_one(store_.submission(store_.function()));
  const SessionId still = store_.session(), other = store_.session();
  const core::Attempt a = store_.claim_one(still);
  const auto beats = store_.renew(other).others;
  ASSERT_EQ(beats.size(), 1u);
  EXPECT_EQ(beats[0].session, still);
  EXPECT_FALSE(store_.reap(still, beats[0].beat - 1));
  store_.renew(still);
  EXPECT_FALSE(store_.reap(still, beats[0].beat)) << "its beat went on";
  const std::uint64_t later = store_.renew(other).others.at(0).beat;
  EXPECT_GT(later, beats[0].beat);
  EXPECT_TRUE(store_.reap(still, later));
  EXPECT_FALSE(store_.renew(still).live);
  EXPECT_EQ(store_.requeue(still, a, GiveBack::Unstarted), RequeueAnswer::Stale);
  EXPECT_EQ(store_.claim_one(other).task, a.task);
}

TEST_P(Contract, AdoptKeepsTheTokenAndChangesTheOwner) {
  store_.submit_one(store_.submission(store_.function()));
  const SessionId first = store_.session(), second = store_.session();
  const core::Attempt a = store_.claim_one(first);
  EXPECT_EQ(store_.adopt(second, {a.task, Token{a.token.value ^ 2}}), AdoptAnswer::Refused);
  EXPECT_EQ(store_.adopt(second, {a.task, a.token}), AdoptAnswer::Adopted);
  EXPECT_EQ(store_.requeue(first, a, GiveBack::Unstarted), RequeueAnswer::Stale);
  EXPECT_EQ(store_.finish(second, a), FinishAnswer::Applied);
  EXPECT_EQ(store_.adopt(first, {a.task, a.token}), AdoptAnswer::Refused);
}

// ---- idempotency and limits ----

TEST_P(Contract, SameKeySameBodyIsTheFirstTaskAnotherBodyAConflict) {
  const FunctionId f = store_.function();
  const auto keyed = [&](std::uint64_t digest) {
    Submission s = store_.submission(f);
    s.idempotency_scope = "anonymous";
    s.idempotency_key = "k";
    s.body_digest.words[0] = digest;
    return s;
  };
  std::vector<Submission> batch;
  batch.push_back(keyed(1));
  batch.push_back(keyed(1));
  batch.push_back(keyed(2));
  const auto answers = store_.submit(std::move(batch));
  ASSERT_TRUE(answers);
  ASSERT_TRUE((*answers)[0] && (*answers)[1]);
  EXPECT_FALSE((*answers)[0]->duplicate);
  EXPECT_TRUE((*answers)[1]->duplicate);
  EXPECT_EQ((*answers)[0]->id, (*answers)[1]->id);
  ASSERT_FALSE((*answers)[2]);
  EXPECT_EQ((*answers)[2].error().code, Code::Conflict);
  EXPECT_EQ(store_.submit_one(keyed(1)), (*answers)[0]->id);
  EXPECT_EQ(store_->counters().submitted, 1u);
}

// ---- waiting, listing ----

TEST_P(Contract, WaitIsWokenByTheEndAndAnswersThePresentStateAtItsDeadline) {
  const TaskId id = store_.submit_one(store_.submission(store_.function()));
  const auto early =
      store_.ask<Result<TaskView>>([&](auto done) { store_->wait(id, store_.now() + 30ms, std::move(done)); });
  ASSERT_TRUE(early);
  EXPECT_EQ(early->state, TaskState::Queued);
  std::optional<Result<TaskView>> late;
  store_->wait(id, store_.now() + 20s, [&](Result<TaskView> view) { late.emplace(std::move(view)); });
  const SessionId session = store_.session();
  const Instant begun = store_.now();
  store_.finish(session, store_.claim_one(session));
  store_.turn_until([&] { return late.has_value(); });
  ASSERT_TRUE(late && *late);
  EXPECT_EQ((*late)->state, TaskState::Completed);
  EXPECT_LT(store_.now() - begun, 5s);
}

TEST_P(Contract, ListPagesNewestFirst) {
  const FunctionId f = store_.function();
  std::vector<TaskId> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(store_.submit_one(store_.submission(f)));
  std::vector<TaskId> seen;
  ListFilter filter;
  filter.limit = 2;
  for (int page = 0; page < 4; ++page) {
    const auto answer = store_.ask<Result<TaskPage>>([&](auto done) { store_->list(filter, std::move(done)); });
    ASSERT_TRUE(answer);
    for (const auto& view : answer->tasks) seen.push_back(view.id);
    filter.cursor = answer->next_cursor;
    if (filter.cursor.empty()) break;
  }
  EXPECT_EQ(seen, std::vector<TaskId>(ids.rbegin(), ids.rend()));
}

TEST_P(Contract, BigPayloadsComeBackAsTheyWere) {
  const std::string big(3 << 20, 'x');
  const TaskId id = store_.submit_one(store_.submission(store_.function(), big));
  const SessionId session = store_.session();
  const core::Attempt a = store_.claim_one(session);
  EXPECT_TRUE(a.args.bytes.view() == big);
  EXPECT_EQ(store_.finish(session, a, big + "!"), FinishAnswer::Applied);
  EXPECT_TRUE(store_.view(id)->result.bytes.view() == big + "!");
}

// ---- what a file keeps ----

TEST_P(Contract, AfterReopeningNothingIsLostAndNothingRunsTwice) {
  if (!store_.is_owned_file()) GTEST_SKIP() << "promised only by the engines whose file one process owns";
  const FunctionId f = store_.function();
  std::vector<TaskId> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(store_.submit_one(store_.submission(f, "args " + std::to_string(i))));
  const SessionId session = store_.session();
  store_.finish(session, store_.claim_one(session, 1), "kept");
  const core::Attempt started = store_.claim_one(session, 2);
  store_->started({{started.task, started.token, WorkerId(Uuid{1, 1})}});
  store_.claim_one(session, 3);  // claimed, never started
  store_.turn_for(100ms);
  store_.reopen();
  EXPECT_EQ(store_.view(ids[0])->result.bytes.view(), "kept");
  const SessionId next = store_.session();
  const auto again = store_.claim(store_.request(next, 1, 10));
  ASSERT_EQ(again.attempts.size(), 3u);
  EXPECT_EQ(again.attempts[0].task, ids[1]) << "what ran goes first";
  EXPECT_EQ(again.attempts[1].args.bytes.view(), "args 2");
  EXPECT_EQ(store_.finish(next, started), FinishAnswer::Stale);
  const auto losses = [&] {
    return store_.ask<Result<TaskStory>>([&](auto done) { store_->story(ids[1], std::move(done)); })->losses;
  };
  store_.turn_until([&] { return losses() == 1; });  // told by the file, so a moment after the decision
  EXPECT_EQ(losses(), 1u);
}

TEST_P(Contract, ASecondOwnerOfTheDirectoryIsRefusedAndTheFirstIsNamed) {
  if (!store_.is_owned_file()) GTEST_SKIP() << "a directory belongs to one process; a Redis is shared";
  runtime::SystemClock clock;
  SqliteConfig config;
  config.dir = store_.dir();
  config.failure = failure_bytes;
  const auto second = open_sqlite(std::move(config), clock);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find(std::to_string(getpid())), std::string::npos) << second.error().message;
}

}  // namespace
}  // namespace treadle::store::contract

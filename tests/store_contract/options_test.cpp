// What options promise about when a task may begin, on every engine alike.
#include "core/allowance.h"
#include "engine.h"

namespace treadle::store::contract {
namespace {

using core::ErrorKind;
using core::GiveBack;
using core::TaskState;

class Options : public ::testing::TestWithParam<const char*> {
 protected:
  TaskId submit_with(std::int64_t deadline_ms, std::int64_t delay_ms = 0) {
    Submission s = store_.submission(store_.function());
    s.deadline_ms = deadline_ms;
    s.delay_ms = delay_ms;
    s.options.retries = 5;
    return store_.submit_one(std::move(s));
  }
  void until_ended(TaskId id) {
    store_.turn_until([&] { return core::is_terminal(store_.view(id)->state); });
  }
  // As requeue(), with the failure that a function raised.
  RequeueAnswer retry(SessionId session, const core::Attempt& a, Duration delay) {
    RequeueItem item{a.task, a.token, GiveBack::Retry, delay, "ValueError: no", {}};
    item.failure.kind = ErrorKind::FunctionFailed;
    item.failure.error_type = "ValueError";
    item.failure.result.bytes = Buffer::of("raised");
    return store_
        .ask<Result<std::vector<RequeueAnswer>>>([&](auto done) { store_->requeue(session, {item}, std::move(done)); })
        ->at(0);
  }
  Engine store_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Engines, Options, ::testing::Values("memory", "strict", "fast", "redis", "redis4"),
                         [](const auto& info) { return std::string(info.param); });

// ---- deadline ----

TEST_P(Options, WhatHasNotBegunAtItsDeadlineIsExpiredAndNeverGiven) {
  const Instant begun = store_.now();
  const TaskId waits = submit_with(150), delayed = submit_with(150, 60'000);
  until_ended(waits);
  EXPECT_GE(store_.now() - begun, 150ms);
  until_ended(delayed);
  for (const TaskId id : {waits, delayed}) {
    EXPECT_EQ(store_.view(id)->error_kind, ErrorKind::Expired);
    EXPECT_EQ(store_.view(id)->attempt, 0u);
  }
  EXPECT_TRUE(store_.claim(store_.request(store_.session(), 1, 5)).attempts.empty());
  EXPECT_EQ(store_->counters().queued, 0u);
}

TEST_P(Options, WhatIsOverWhenItIsAcceptedIsNeverGiven) {
  const SessionId session = store_.session();
  const TaskId over = submit_with(-1);
  EXPECT_TRUE(store_.claim(store_.request(session, 1, 5)).attempts.empty());
  until_ended(over);
  EXPECT_EQ(store_.view(over)->error_kind, ErrorKind::Expired);
}

TEST_P(Options, AnAttemptCarriesTheTimeInWhichItMustBegin) {
  const TaskId id = submit_with(60'000);
  store_.submit_one(store_.submission(store_.function()));
  const auto answer = store_.claim(store_.request(store_.session(), 1, 2));
  ASSERT_FALSE(answer.attempts.empty());
  for (const core::Attempt& a : answer.attempts) {
    EXPECT_EQ(a.start_within > Duration{0}, a.task == id) << "the common time to wait is none of its own";
    EXPECT_LE(a.start_within, 60s);
  }
  const auto story = store_.story(id);
  ASSERT_TRUE(story);
  EXPECT_EQ(story->expires.ms - story->accepted.ms, 60'000);
}

TEST_P(Options, WhatComesBackUnbegunAfterItsDeadlineIsExpired) {
  const TaskId id = submit_with(200);
  const SessionId session = store_.session();
  const core::Attempt a = store_.claim_one(session);
  store_.turn_for(220ms);
  EXPECT_EQ(store_.view(id)->state, TaskState::Claimed) << "it may have begun: its worker tells";
  EXPECT_EQ(store_.requeue(session, a, GiveBack::Unstarted), RequeueAnswer::Failed);
  EXPECT_EQ(store_.view(id)->error_kind, ErrorKind::Expired);
  EXPECT_EQ(store_.view(id)->result.bytes.view(), "failure Expired");
}

TEST_P(Options, WhatHasBegunGoesOnPastItsDeadline) {
  const TaskId id = submit_with(150);
  const SessionId session = store_.session();
  const core::Attempt a = store_.claim_one(session);
  store_.start(a);
  store_.turn_for(170ms);
  EXPECT_EQ(store_.finish(session, a), FinishAnswer::Applied);
  EXPECT_EQ(store_.view(id)->state, TaskState::Completed);
}

TEST_P(Options, ATryThatWouldBeginAfterTheDeadlineIsNotMade) {
  const TaskId id = submit_with(60'000);
  const SessionId session = store_.session();
  EXPECT_EQ(retry(session, store_.claim_one(session), Duration{0}), RequeueAnswer::Queued);
  EXPECT_EQ(retry(session, store_.claim_one(session, 2), 61s), RequeueAnswer::Failed);
  const auto view = store_.view(id);
  EXPECT_EQ(view->error_kind, ErrorKind::FunctionFailed) << "it ends with what it raised";
  EXPECT_EQ(view->result.bytes.view(), "raised");
  EXPECT_EQ(view->attempt, 2u);
}

TEST_P(Options, ALostAttemptIsNotRepeatedAfterTheDeadline) {
  const TaskId id = submit_with(100);
  const SessionId session = store_.session();
  const core::Attempt a = store_.claim_one(session);
  store_.start(a);
  store_.turn_for(120ms);
  EXPECT_EQ(store_.requeue(session, a, GiveBack::WorkerLost), RequeueAnswer::Failed);
  EXPECT_EQ(store_.view(id)->error_kind, ErrorKind::Expired);
  EXPECT_EQ(store_.story(id)->losses, 1u);
  EXPECT_EQ(store_.story(id)->last_error, "because");
}

TEST_P(Options, ADeadlineOutlivesARestart) {
  if (!store_.is_owned_file() && !store_.is_redis()) GTEST_SKIP() << "memory keeps nothing";
  const Instant begun = store_.now();
  const TaskId id = submit_with(300);
  store_.reopen();
  EXPECT_EQ(store_.view(id)->state, TaskState::Queued);
  until_ended(id);
  EXPECT_GE(store_.now() - begun, 300ms);
  EXPECT_EQ(store_.view(id)->error_kind, ErrorKind::Expired);
}

// ---- retries ----

TEST_P(Options, EachWaitBeforeARetryIsLongerByTheFactor) {
  Submission s = store_.submission(store_.function());
  s.options.retries = 3;
  s.options.retry_delay_ms = 10;
  s.options.more =
      core::to_text({}, {}, {.retry_on = "ValueError", .retry_backoff_milli = 3000, .retry_max_delay_ms = 50});
  store_.submit_one(std::move(s));
  const SessionId session = store_.session();
  std::uint64_t call = 0;
  for (const Duration wait : {10ms, 30ms, 50ms}) {
    const core::Attempt a = store_.claim_one(session, ++call);
    EXPECT_EQ(a.retry_delay, wait);
    EXPECT_EQ(a.retry_on, "ValueError");
    EXPECT_EQ(store_.requeue(session, a, GiveBack::Retry), RequeueAnswer::Queued);
  }
}

// ---- concurrency ----

class Limits : public Options {
 protected:
  TaskId submit_limited(std::uint32_t limit, const std::string& key = "k", const std::string& queue = "",
                        std::int16_t priority = 0) {
    Submission s = store_.submission(function_, "args");
    s.options.more = core::to_text({}, {}, {.limit_key = key, .limit = limit});
    s.options.queue = queue;
    s.options.priority = priority;
    return store_.submit_one(std::move(s));
  }
  std::vector<core::Attempt> claim(std::size_t n, const std::string& queue = "") {
    ClaimRequest request = store_.request(session_, ++call_, n);
    if (!queue.empty()) request.queues = {queue};
    return store_.claim(request).attempts;
  }
  static std::vector<TaskId> ids(const std::vector<core::Attempt>& attempts) {
    std::vector<TaskId> all;
    for (const core::Attempt& a : attempts) all.push_back(a.task);
    return all;
  }
  static bool has(const std::vector<core::Attempt>& attempts, TaskId id) {
    return std::ranges::any_of(attempts, [id](const core::Attempt& a) { return a.task == id; });
  }
  FunctionId function_ = store_.function();
  SessionId session_ = store_.session();
  std::uint64_t call_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Engines, Limits, ::testing::Values("memory", "strict", "fast", "redis", "redis4"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(Limits, NoMoreThanTheLimitAreGivenAndOthersPassThem) {
  store_.keep_together();
  std::vector<TaskId> limited;
  for (int i = 0; i < 4; ++i) limited.push_back(submit_limited(2));
  const TaskId other = store_.submit_one(store_.submission(function_));
  const auto first = claim(10);
  EXPECT_EQ(first.size(), 3u);
  EXPECT_TRUE(has(first, other)) << "nobody is held up";
  EXPECT_EQ(store_->counters().queued, 2u);
  EXPECT_TRUE(claim(10).empty());
  for (const core::Attempt& a : first) {
    if (a.task != limited[0]) continue;
    EXPECT_EQ(store_.finish(session_, a), FinishAnswer::Applied);
  }
  EXPECT_EQ(ids(claim(10)), std::vector{limited[2]}) << "the oldest that waits comes when one has ended";
  EXPECT_TRUE(claim(10).empty());
}

TEST_P(Limits, AKeyIsCountedOverAllPartitionsAndSessions) {
  for (int i = 0; i < 12; ++i) submit_limited(1);
  EXPECT_EQ(claim(10).size(), 1u);
  const SessionId other = store_.session();
  for (std::uint64_t call = 1; call <= 4; ++call)
    EXPECT_TRUE(store_.claim(store_.request(other, call, 10)).attempts.empty());
  EXPECT_EQ(claim(10).size(), 0u);
}

TEST_P(Limits, KeysDoNotCountForEachOtherAndPriorityGoesFirst) {
  store_.keep_together();
  submit_limited(1, "a");
  const TaskId low = submit_limited(1, "b"), high = submit_limited(1, "b", "", 5);
  const auto first = claim(10);
  EXPECT_EQ(first.size(), 2u);
  EXPECT_TRUE(has(first, high));
  for (const core::Attempt& a : first) EXPECT_EQ(store_.finish(session_, a), FinishAnswer::Applied);
  EXPECT_EQ(ids(claim(10)), std::vector{low});
}

TEST_P(Limits, APlaceIsFreeAgainHoweverAnAttemptEnds) {
  const TaskId first = submit_limited(1), second = submit_limited(1);
  auto given = claim(5);
  ASSERT_EQ(ids(given), std::vector{first});
  EXPECT_EQ(store_.requeue(session_, given[0], GiveBack::Unstarted), RequeueAnswer::Queued);
  given = claim(5);
  ASSERT_EQ(ids(given), std::vector{first}) << "the older one again, and alone";
  store_.start(given[0]);
  EXPECT_EQ(store_.requeue(session_, given[0], GiveBack::WorkerLost, 60s), RequeueAnswer::Queued);
  given = claim(5);
  ASSERT_EQ(ids(given), std::vector{second});
  // Its dispatcher dies.
  const SessionId heir = store_.session();
  std::uint64_t beat = 0;
  for (const SessionBeat& other : store_.renew(heir).others) beat = other.session == session_ ? other.beat : beat;
  EXPECT_TRUE(store_.reap(session_, beat));
  const auto again = store_.claim(store_.request(heir, 1, 5)).attempts;
  ASSERT_EQ(ids(again), std::vector{second});
  EXPECT_EQ(store_.finish(heir, again[0]), FinishAnswer::Applied);
}

TEST_P(Limits, OneThatEndsWhileItWaitsHoldsUpNoOther) {
  const TaskId first = submit_limited(1), second = submit_limited(1), third = submit_limited(1),
               fourth = submit_limited(1);
  auto given = claim(5);
  ASSERT_EQ(ids(given), std::vector{first});
  EXPECT_EQ(store_.cancel(second), CancelAnswer::Cancelled) << "it is parked";
  EXPECT_EQ(store_.finish(session_, given[0]), FinishAnswer::Applied);
  EXPECT_EQ(store_.cancel(third), CancelAnswer::Cancelled) << "it was woken, and not yet claimed";
  EXPECT_EQ(ids(claim(5)), std::vector{fourth});
}

TEST_P(Limits, AQueueThatNobodyServesHoldsUpNoOther) {
  store_.keep_together();
  const TaskId held = submit_limited(1, "k", "b");
  const auto given = claim(5, "b");
  ASSERT_EQ(ids(given), std::vector{held});
  const TaskId unserved = submit_limited(1, "k", "a"), served = submit_limited(1, "k", "b");
  EXPECT_TRUE(claim(5, "a").empty());
  EXPECT_TRUE(claim(5, "b").empty());
  EXPECT_EQ(store_.finish(session_, given[0]), FinishAnswer::Applied);
  EXPECT_EQ(ids(claim(5, "b")), std::vector{served}) << "though the older one was woken too";
  EXPECT_TRUE(claim(5, "a").empty());
  EXPECT_EQ(store_.view(unserved)->state, TaskState::Queued);
}

TEST_P(Limits, ALimitOutlivesARestart) {
  if (!store_.is_owned_file() && !store_.is_redis()) GTEST_SKIP() << "memory keeps nothing";
  for (int i = 0; i < 3; ++i) submit_limited(1);
  EXPECT_EQ(claim(5).size(), 1u);
  store_.reopen();
  if (store_.is_redis()) {
    EXPECT_TRUE(claim(5).empty()) << "the session goes on, with what it holds";
    return;
  }
  session_ = store_.session();  // what the process held was given back
  EXPECT_EQ(claim(5).size(), 1u);
  EXPECT_TRUE(claim(5).empty());
}

// ---- labels ----

class Labels : public Limits {
 protected:
  TaskId submit_for(const std::string& labels, const std::string& queue = "", std::int16_t priority = 0) {
    Submission s = store_.submission(function_);
    s.options.more = core::to_text({}, {}, {.labels = labels});
    s.options.queue = queue;
    s.options.priority = priority;
    return store_.submit_one(std::move(s));
  }
  std::vector<TaskId> claim_as(std::vector<std::string> labels, std::vector<std::string> queues = {}) {
    ClaimRequest request = store_.request(session_, ++call_, 10);
    request.labels = std::move(labels);
    request.queues = std::move(queues);
    auto found = ids(store_.claim(request).attempts);
    std::ranges::sort(found);
    return found;
  }
  static std::vector<TaskId> sorted(std::vector<TaskId> ids) {
    std::ranges::sort(ids);
    return ids;
  }
};
INSTANTIATE_TEST_SUITE_P(Engines, Labels, ::testing::Values("memory", "strict", "fast", "redis", "redis4"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(Labels, ATaskIsGivenOnlyToWorkersThatHaveAllItAsksFor) {
  store_.keep_together();
  const TaskId plain = submit_for(""), gpu = submit_for("gpu"), both = submit_for("a100 gpu"),
               queued = submit_for("gpu", "q");
  EXPECT_EQ(claim_as({}), std::vector{plain});
  EXPECT_TRUE(claim_as({"cpu"}).empty());
  EXPECT_TRUE(claim_as({"a100"}).empty());
  EXPECT_EQ(claim_as({"gpu", "x"}), std::vector{gpu});
  EXPECT_EQ(claim_as({"gpu"}, {"q"}), std::vector{queued});
  EXPECT_EQ(claim_as({"a100", "gpu", "x"}), std::vector{both});
  EXPECT_EQ(store_.story(both)->options.queue, "") << "its queue is called as it was";
  EXPECT_EQ(store_.story(queued)->options.queue, "q");
  EXPECT_EQ(store_->counters().queued, 0u);
}

TEST_P(Labels, WhatComesBackAsksForTheSame) {
  const TaskId id = submit_for("gpu");
  ClaimRequest request = store_.request(session_, ++call_, 1);
  request.labels = {"gpu"};
  const auto given = store_.claim(request).attempts;
  ASSERT_EQ(given.size(), 1u);
  EXPECT_EQ(store_.requeue(session_, given[0], GiveBack::Unstarted), RequeueAnswer::Queued);
  EXPECT_TRUE(claim_as({}).empty());
  EXPECT_EQ(claim_as({"gpu"}), std::vector{id});
}

TEST_P(Labels, ADelayedOneAsksForTheSame) {
  Submission s = store_.submission(function_);
  s.options.more = core::to_text({}, {}, {.labels = "gpu"});
  s.delay_ms = 50;
  const TaskId id = store_.submit_one(std::move(s));
  store_.turn_for(100ms);
  EXPECT_TRUE(claim_as({}).empty());
  EXPECT_EQ(claim_as({"gpu"}), std::vector{id});
}

TEST_P(Labels, AHigherPriorityGoesFirstWhateverItAsksFor) {
  store_.keep_together();
  submit_for("gpu", "", 1);
  const TaskId high = submit_for("", "", 9);
  submit_for("");
  ClaimRequest request = store_.request(session_, ++call_, 3);
  request.labels = {"gpu"};
  const auto given = store_.claim(request).attempts;
  ASSERT_EQ(given.size(), 3u);
  if (!store_.is_redis()) {
    EXPECT_EQ(given[0].task, high);
  }
  EXPECT_NE(given[2].task, high);
}

// ---- retention ----

TEST_P(Options, RecordAndResultAreGoneWhenTheirTimeIsOver) {
  Submission s = store_.submission(store_.function());
  s.options.more = core::to_text({}, {}, {.keep_ms = 200});
  s.idempotency_scope = "scope";
  s.idempotency_key = "key";
  const TaskId id = store_.submit_one(s);
  const TaskId other = store_.submit_one(store_.submission(s.function));
  const SessionId session = store_.session();
  for (const core::Attempt& a : store_.claim(store_.request(session, 1, 2)).attempts)
    EXPECT_EQ(store_.finish(session, a, std::string(400'000, 'r')), FinishAnswer::Applied);
  EXPECT_EQ(store_.view(id)->result.bytes.size(), 400'000u);
  store_.turn_for(250ms);
  EXPECT_EQ(store_.view(id).error().code, Code::NotFound);
  EXPECT_EQ(store_.story(id).error().code, Code::NotFound);
  EXPECT_EQ(store_.view(other)->state, TaskState::Completed) << "others stay";
  if (store_.is_redis()) {
    EXPECT_EQ(store_.redis_cli({"KEYS", "*" + to_string(id) + "*"}).items.size(), 0u);
  }
  bool again = false;  // its key is free: at once, or when the table has been swept
  store_.turn_until([&] {
    s.id = TaskId(Uuid{runtime::os_random(), runtime::os_random()});
    std::vector<Submission> batch{s};
    const auto answers = store_.submit(std::move(batch));
    again = answers && (*answers)[0] && !(*answers)[0]->duplicate;
    return again;
  });
  EXPECT_TRUE(again);
}

}  // namespace
}  // namespace treadle::store::contract

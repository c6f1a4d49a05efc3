// Limits, repeated calls, retries and filters, on every engine alike.
#include "engine.h"

namespace treadle::store::contract {
namespace {

using core::Delivery;
using core::ErrorKind;
using core::GiveBack;
using core::TaskState;

class Promises : public ::testing::TestWithParam<const char*> {
 protected:
  Promises() { store_.keep_together(); }
  std::vector<Submission> batch_of(FunctionId f, int n, std::string args = "args") {
    std::vector<Submission> batch;
    for (int i = 0; i < n; ++i) batch.push_back(store_.submission(f, args));
    return batch;
  }
  Engine store_{GetParam(), [](SqliteConfig& config) {
                  config.store.ledger.max_queued = 4;
                  config.store.ledger.max_queued_bytes = 1000;
                  config.store.max_waiters = 2;
                }};
};
INSTANTIATE_TEST_SUITE_P(Engines, Promises, ::testing::Values("memory", "strict", "fast", "redis", "redis4"),
                         [](const auto& info) { return std::string(info.param); });

// ---- limits ----

TEST_P(Promises, ABatchOverTheQueueLimitIsRefusedWholeAndRoomComesBack) {
  const FunctionId f = store_.function();
  const auto refused = store_.submit(batch_of(f, 5));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Full);
  EXPECT_EQ(store_->counters().queued, 0u);
  ASSERT_TRUE(store_.submit(batch_of(f, 4)));
  EXPECT_EQ(store_.submit(batch_of(f, 1)).error().code, Code::Full);
  const SessionId session = store_.session();
  const core::Attempt a = store_.claim_one(session);
  ASSERT_TRUE(store_.submit(batch_of(f, 1)));
  EXPECT_EQ(store_.requeue(session, a, GiveBack::Unstarted), RequeueAnswer::Queued) << "giving back is never refused";
  EXPECT_EQ(store_->counters().queued, 5u);
}

TEST_P(Promises, TooManyBytesOfArgumentsAreRefused) {
  const FunctionId f = store_.function();
  ASSERT_TRUE(store_.submit(batch_of(f, 1, std::string(900, 'x'))));
  EXPECT_EQ(store_.submit(batch_of(f, 1, std::string(200, 'x'))).error().code, Code::Full);
  const SessionId session = store_.session();
  store_.finish(session, store_.claim_one(session));
  EXPECT_EQ(store_->counters().queued_bytes, 0u);
  EXPECT_TRUE(store_.submit(batch_of(f, 1, std::string(200, 'x'))));
}

TEST_P(Promises, WaitersAreLimited) {
  const TaskId id = store_.submit_one(store_.submission(store_.function()));
  int woken = 0;
  for (int i = 0; i < 2; ++i)
    store_->wait(id, store_.now() + 20s, [&](Result<TaskView> view) { woken += view.has_value(); });
  const auto third =
      store_.ask<Result<TaskView>>([&](auto done) { store_->wait(id, store_.now() + 20s, std::move(done)); });
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, Code::Full);
  EXPECT_EQ(store_->counters().waiters, 2u);
  store_.cancel(id);
  EXPECT_EQ(woken, 2);
  EXPECT_EQ(store_->counters().waiters, 0u);
}

// ---- the same call again, since its answer was lost ----

TEST_P(Promises, EveryCallMayBeRepeated) {
  const FunctionId f = store_.function();
  Submission s = store_.submission(f, "once");
  s.options.delivery = Delivery::AtMostOnce;
  for (int i = 0; i < 2; ++i) EXPECT_EQ(store_.submit_one(s), s.id);
  EXPECT_EQ(store_->counters().queued, 1u);
  EXPECT_EQ(store_->counters().submitted, 1u);

  const SessionId session = store_.session();
  EXPECT_TRUE(store_.ask<Result<void>>([&](auto done) { store_->open_session(session, "test", std::move(done)); }));
  const ClaimRequest request = store_.request(session, 1, 3);
  std::vector<ClaimAnswer> claims;
  for (int i = 0; i < 2; ++i) claims.push_back(store_.claim(request));
  for (const ClaimAnswer& answer : claims) {
    ASSERT_EQ(answer.attempts.size(), 1u);
    EXPECT_EQ(answer.attempts[0].token, request.tokens[0]);
    EXPECT_EQ(answer.attempts[0].number, 1u);
    EXPECT_EQ(answer.attempts[0].args.bytes.view(), "once");
  }
  const core::Attempt a = claims[0].attempts[0];
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(store_.requeue(session, a, GiveBack::Unstarted), i == 0 ? RequeueAnswer::Queued : RequeueAnswer::Stale);
  }
  const core::Attempt b = store_.claim_one(session, 2);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(store_.finish(session, b, "r"), i == 0 ? FinishAnswer::Applied : FinishAnswer::Duplicate);
  }
  EXPECT_EQ(store_.submit_one(s), s.id) << "also when it has ended";
  EXPECT_EQ(store_->counters().submitted, 1u);
  EXPECT_EQ(store_->counters().completed, 1u);
  EXPECT_EQ(store_->counters().duplicate, 1u);
  EXPECT_EQ(store_->counters().queued + store_->counters().claimed + store_->counters().running, 0u);
}

TEST_P(Promises, AFunctionRegisteredTwiceWithOneIdIsOneFunction) {
  core::Function f;
  f.id = FunctionId(Uuid{5, 5});
  f.name = "f";
  f.digest.words[0] = 5;
  f.body.bytes = Buffer::of("body");
  for (int i = 0; i < 2; ++i) {
    const auto id = store_.ask<Result<FunctionId>>([&](auto done) { store_->put_function(f, std::move(done)); });
    ASSERT_TRUE(id);
    EXPECT_EQ(*id, f.id);
    store_.submit_one(store_.submission(f.id));
  }
  const auto all = store_.ask<Result<std::vector<FunctionSummary>>>([&](auto done) {
    store_->list_functions({"", "", 10}, std::move(done));
  });
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 1u);
  EXPECT_EQ((*all)[0].body_bytes, 4u);
}

TEST_P(Promises, OutcomesTwiceInOneBatchAreAppliedOnce) {
  store_.submit_one(store_.submission(store_.function()));
  const SessionId session = store_.session();
  const core::Attempt a = store_.claim_one(session);
  FinishItem first{a.task, a.token, {}}, second{a.task, a.token, {}};
  first.outcome.result.bytes = Buffer::of("first");
  second.outcome.result.bytes = Buffer::of("second");
  const auto answers = store_.ask<Result<std::vector<FinishAnswer>>>([&](auto done) {
    store_->finish(session, {first, second}, std::move(done));
  });
  ASSERT_TRUE(answers);
  EXPECT_EQ(*answers, (std::vector{FinishAnswer::Applied, FinishAnswer::Duplicate}));
  EXPECT_EQ(store_.view(a.task)->result.bytes.view(), "first");
}

// ---- attempts ----

TEST_P(Promises, RetriesThatAFunctionAsksForAreCountedAndDelayed) {
  Submission s = store_.submission(store_.function());
  s.options.retries = 1;
  const TaskId id = store_.submit_one(std::move(s));
  const SessionId session = store_.session();
  const core::Attempt first = store_.claim_one(session, 1);
  EXPECT_EQ(first.retries_left, 1u);
  const Instant begun = store_.now();
  EXPECT_EQ(store_.requeue(session, first, GiveBack::Retry, 60ms), RequeueAnswer::Queued);
  EXPECT_EQ(store_->counters().delayed, 1u);
  std::uint64_t call = 1;
  ClaimAnswer again;
  store_.turn_until([&] {
    if (again.attempts.empty()) again = store_.claim(store_.request(session, ++call, 1));
    return !again.attempts.empty();
  });
  ASSERT_EQ(again.attempts.size(), 1u);
  EXPECT_GE(store_.now() - begun, 60ms);
  EXPECT_EQ(again.attempts[0].retries_left, 0u);
  EXPECT_EQ(store_.requeue(session, again.attempts[0], GiveBack::Retry), RequeueAnswer::Failed);
  EXPECT_EQ(store_.view(id)->state, TaskState::Failed);
  EXPECT_EQ(store_.story(id)->losses, 0u) << "an exception is no loss";
}

TEST_P(Promises, ASuspectRunsOnceMoreAloneAndIsNotCounted) {
  const TaskId id = store_.submit_one(store_.submission(store_.function()));
  const SessionId session = store_.session();
  const core::Attempt first = store_.claim_one(session, 1);
  EXPECT_FALSE(first.suspect);
  EXPECT_EQ(store_.requeue(session, first, GiveBack::Suspect), RequeueAnswer::Queued);
  EXPECT_TRUE(store_.claim_one(session, 2).suspect);
  EXPECT_EQ(store_.story(id)->losses + store_.story(id)->kills, 0u);
}

TEST_P(Promises, TheStoryKnowsAClaimThatIsKeptInMemoryAndTheWorkerOfAShortTask) {
  Submission s = store_.submission(store_.function());
  s.delay_ms = 1;
  const TaskId id = store_.submit_one(std::move(s));
  auto story = store_.story(id);
  ASSERT_TRUE(story);
  EXPECT_EQ(story->not_before.ms, story->accepted.ms + 1);
  EXPECT_EQ(story->claimed.ms, 0);
  const SessionId session = store_.session();
  core::Attempt a;
  std::uint64_t call = 0;
  store_.turn_until([&] {
    ClaimAnswer answer = store_.claim(store_.request(session, ++call, 1));
    if (answer.attempts.empty()) return false;
    a = std::move(answer.attempts[0]);
    return true;
  });
  ASSERT_EQ(a.task, id);
  story = store_.story(id);
  EXPECT_EQ(story->view.state, TaskState::Claimed);
  EXPECT_GE(story->claimed.ms, story->accepted.ms);
  EXPECT_EQ(story->started.ms, 0);
  EXPECT_EQ(store_.requeue(session, a, GiveBack::WorkerLost), RequeueAnswer::Queued);
  EXPECT_EQ(store_.story(id)->claimed.ms, 0) << "nobody holds it";
  a = store_.claim_one(session, ++call);
  const WorkerId worker(Uuid{7, 7});
  FinishItem item{a.task, a.token, {}, worker};
  item.outcome.result.bytes = Buffer::of("result");
  ASSERT_TRUE(store_.ask<Result<std::vector<FinishAnswer>>>(
      [&](auto done) { store_->finish(session, {item}, std::move(done)); }));
  story = store_.story(id);
  EXPECT_EQ(story->worker, to_string(worker)) << "its start was never reported";
  EXPECT_EQ(story->result_bytes, 6u);
  EXPECT_TRUE(story->view.result.bytes.empty()) << "a story does not read the result";
  EXPECT_GE(story->claimed.ms, story->accepted.ms);
}

TEST_P(Promises, TheStoryTellsHowATaskEnded) {
  Submission s = store_.submission(store_.function());
  s.group = "g";
  const TaskId id = store_.submit_one(std::move(s));
  const SessionId session = store_.session();
  EXPECT_EQ(store_.requeue(session, store_.claim_one(session, 1), GiveBack::WorkerLost), RequeueAnswer::Queued);
  const core::Attempt a = store_.claim_one(session, 2);
  store_.start(a);
  FinishItem item{a.task, a.token, {}};
  item.outcome.kind = ErrorKind::Crashed;
  item.outcome.result.bytes = Buffer::of("object");
  item.outcome.error_type = "Crashed";
  item.outcome.error_message = "signal 11";
  item.outcome.traceback = "here";
  item.outcome.output = "last words";
  item.outcome.measures.signal = 11;
  item.outcome.measures.peak_rss = 1 << 20;
  ASSERT_TRUE(store_.ask<Result<std::vector<FinishAnswer>>>(
      [&](auto done) { store_->finish(session, {item}, std::move(done)); }));
  const auto story = store_.story(id);
  ASSERT_TRUE(story);
  EXPECT_EQ(story->view.error_kind, ErrorKind::Crashed);
  EXPECT_EQ(story->view.attempt, 2u);
  EXPECT_EQ(story->losses, 1u);
  EXPECT_EQ(story->last_error, "because");
  EXPECT_EQ(story->error_message, "signal 11");
  EXPECT_EQ(story->traceback, "here");
  EXPECT_EQ(story->output, "last words");
  EXPECT_EQ(story->measures.signal, 11);
  EXPECT_EQ(story->measures.peak_rss, 1u << 20);
  EXPECT_EQ(story->worker, to_string(WorkerId(Uuid{1, 1})));
  EXPECT_EQ(story->group, "g");
  EXPECT_GT(story->started.ms, 0);
  EXPECT_GE(story->finished.ms, story->started.ms);
  EXPECT_GE(story->started.ms, story->accepted.ms);
}

// ---- queues and lists ----

TEST_P(Promises, NamedQueuesAreApartAndTakenInTheOrderAsked) {
  const FunctionId f = store_.function();
  std::vector<TaskId> ids;
  for (const char* queue : {"", "gpu", "default"}) {
    Submission s = store_.submission(f);
    s.options.queue = queue;
    ids.push_back(store_.submit_one(std::move(s)));
  }
  const SessionId session = store_.session();
  ClaimRequest request = store_.request(session, 1, 10);
  request.queues = {"gpu"};
  const auto gpu = store_.claim(request);
  ASSERT_EQ(gpu.attempts.size(), 1u);
  EXPECT_EQ(gpu.attempts[0].task, ids[1]);
  EXPECT_FALSE(gpu.more);
  const auto rest = store_.claim(store_.request(session, 2, 1));
  ASSERT_EQ(rest.attempts.size(), 1u);
  EXPECT_EQ(rest.attempts[0].task, ids[0]);
  EXPECT_TRUE(rest.more);
  EXPECT_EQ(store_.claim_one(session, 3).task, ids[2]) << "\"default\" and \"\" are one queue";
}

TEST_P(Promises, WorkIsHintedOnceWhenAQueueFoundEmptyHasSome) {
  int hints = 0;
  store_->on_work([&] { ++hints; });
  const SessionId session = store_.session();
  EXPECT_TRUE(store_.claim(store_.request(session, 1, 1)).attempts.empty());
  const FunctionId f = store_.function();
  store_.submit_one(store_.submission(f));
  store_.submit_one(store_.submission(f));
  store_.turn_for(20ms);
  EXPECT_EQ(hints, 1);
}

TEST_P(Promises, ListsAreFiltered) {
  const FunctionId f = store_.function(), g = store_.function();
  const TaskId one = store_.submit_one(store_.submission(f));
  Submission grouped = store_.submission(g);
  grouped.group = "g";
  const TaskId two = store_.submit_one(std::move(grouped));
  const SessionId session = store_.session();
  store_.finish(session, store_.claim_one(session));
  const auto list = [&](ListFilter filter) {
    const auto page = store_.ask<Result<TaskPage>>([&](auto done) { store_->list(filter, std::move(done)); });
    std::vector<TaskId> ids;
    for (const auto& view : page->tasks) ids.push_back(view.id);
    return ids;
  };
  EXPECT_EQ(list({.state = TaskState::Completed}), std::vector{one});
  EXPECT_EQ(list({.state = TaskState::Queued}), std::vector{two});
  EXPECT_EQ(list({.function = g}), std::vector{two});
  EXPECT_EQ(list({.group = "g"}), std::vector{two});
  EXPECT_EQ(list({.group = "h"}), std::vector<TaskId>{});
  const auto bad = store_.ask<Result<TaskPage>>([&](auto done) { store_->list({.cursor = "x"}, std::move(done)); });
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Code::Invalid);
}

TEST_P(Promises, AClosedStoreTakesNothingMore) {
  const FunctionId f = store_.function();
  store_->close();
  EXPECT_EQ(store_.submit(batch_of(f, 1)).error().code, Code::Unavailable);
}

}  // namespace
}  // namespace treadle::store::contract

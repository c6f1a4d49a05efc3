// Groups, queues, and calls that are submitted again, on every engine alike.
#include <algorithm>

#include "engine.h"

namespace treadle::store::contract {
namespace {

using core::ErrorKind;
using core::TaskState;

class Groups : public ::testing::TestWithParam<const char*> {
 protected:
  Submission in_group(const std::string& group, std::string args = "args") {
    Submission s = store_.submission(function_, std::move(args));
    s.group = group;
    return s;
  }
  std::vector<TaskId> submit(const std::string& group, std::size_t n) {
    std::vector<Submission> batch;
    std::vector<TaskId> ids;
    for (std::size_t i = 0; i < n; ++i) {
      batch.push_back(in_group(group));
      ids.push_back(batch.back().id);
    }
    EXPECT_TRUE(store_.submit(std::move(batch)));
    return ids;
  }
  core::Attempt claim_one() { return store_.claim_one(session_, ++call_); }
  // Ends up to `n` tasks; returns them in the order of their ends.
  std::vector<TaskId> end_some(std::size_t n, const std::string& result = "result") {
    std::vector<TaskId> ids;
    while (ids.size() < n) {
      const ClaimAnswer given =
          store_.claim(store_.request(session_, ++call_, std::min<std::size_t>(n - ids.size(), 64)));
      if (given.attempts.empty()) break;
      for (const core::Attempt& a : given.attempts) {
        EXPECT_EQ(store_.finish(session_, a, result), FinishAnswer::Applied);
        ids.push_back(a.task);
      }
    }
    return ids;
  }
  Result<GroupPage> page(GroupFilter filter) {
    return store_.ask<Result<GroupPage>>([&](auto done) { store_->group_ends(filter, std::move(done)); });
  }
  GroupPage first_page(const std::string& group) {
    GroupFilter filter;
    filter.group = group;
    auto given = page(filter);
    EXPECT_TRUE(given);
    return std::move(*given);
  }
  // All ends from `cursor` on, in pages.
  std::vector<GroupEnd> rest(GroupFilter filter) {
    std::vector<GroupEnd> all;
    for (int i = 0; i < 1000; ++i) {
      auto given = page(filter);
      EXPECT_TRUE(given);
      filter.cursor = given->cursor;
      for (GroupEnd& end : given->ends) all.push_back(std::move(end));
      if (!given->more) break;
    }
    return all;
  }
  Result<Submission> submission(TaskId id) {
    return store_.ask<Result<Submission>>([&](auto done) { store_->submission(id, std::move(done)); });
  }
  QueueReport queue(const std::string& name) {
    const auto all = store_.ask<Result<std::vector<QueueReport>>>([&](auto done) { store_->queues(std::move(done)); });
    EXPECT_TRUE(all);
    for (const QueueReport& one : *all)
      if (one.name == name) return one;
    return {};
  }
  void pause(const std::string& name, bool paused) {
    EXPECT_TRUE(store_.ask<Result<void>>([&](auto done) { store_->pause_queue(name, paused, std::move(done)); }));
  }
  std::size_t claimed(std::vector<std::string> queues) {
    ClaimRequest request = store_.request(session_, ++call_, 8);
    request.queues = std::move(queues);
    const ClaimAnswer answer = store_.claim(request);
    if (answer.attempts.empty()) {
      EXPECT_FALSE(answer.more);
    }
    return answer.attempts.size();
  }
  std::vector<TaskId> listed(ListFilter filter) {
    std::vector<TaskId> ids;
    for (int i = 0; i < 1000; ++i) {
      const auto given = store_.ask<Result<TaskPage>>([&](auto done) { store_->list(filter, std::move(done)); });
      EXPECT_TRUE(given);
      for (const TaskView& view : given->tasks) ids.push_back(view.id);
      filter.cursor = given->next_cursor;
      if (filter.cursor.empty()) break;
    }
    std::sort(ids.begin(), ids.end());
    return ids;
  }
  static std::vector<TaskId> sorted(std::vector<TaskId> ids) {
    std::sort(ids.begin(), ids.end());
    return ids;
  }
  static std::vector<TaskId> ids_of(const std::vector<GroupEnd>& ends) {
    std::vector<TaskId> ids;
    for (const GroupEnd& end : ends) ids.push_back(end.view.id);
    return ids;
  }

  Engine store_{GetParam()};
  FunctionId function_ = store_.function();
  SessionId session_ = store_.session();
  std::uint64_t call_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Engines, Groups, ::testing::Values("memory", "strict", "fast", "redis", "redis4"),
                         [](const auto& info) { return std::string(info.param); });

// ---- groups ----

TEST_P(Groups, TellTheirEndsInOrderWithResultsAndErrors) {
  store_.keep_together();
  EXPECT_FALSE(first_page("night").known);
  submit("night", 3);
  submit("other", 2);
  GroupPage none = first_page("night");
  EXPECT_TRUE(none.known && none.open && none.ends.empty());
  EXPECT_FALSE(none.more);
  const core::Attempt a = claim_one(), b = claim_one(), c = claim_one();
  EXPECT_EQ(store_.finish(session_, c, "of c"), FinishAnswer::Applied);
  FinishItem item{a.task, a.token, {}};
  item.outcome.kind = ErrorKind::FunctionFailed;
  item.outcome.result.bytes = Buffer::of("an exception");
  item.outcome.error_type = "ValueError";
  item.outcome.error_message = "no luck";
  ASSERT_TRUE(store_.ask<Result<std::vector<FinishAnswer>>>(
      [&](auto done) { store_->finish(session_, {item}, std::move(done)); }));
  const GroupPage some = first_page("night");
  ASSERT_EQ(ids_of(some.ends), (std::vector<TaskId>{c.task, a.task}));
  EXPECT_TRUE(some.open);
  EXPECT_EQ(some.ends[0].view.state, TaskState::Completed);
  EXPECT_EQ(some.ends[0].view.result.bytes.view(), "of c");
  EXPECT_EQ(some.ends[0].result_bytes, 4u);
  EXPECT_EQ(some.ends[1].view.error_kind, ErrorKind::FunctionFailed);
  EXPECT_EQ(some.ends[1].error_type, "ValueError");
  EXPECT_EQ(some.ends[1].error_message, "no luck");
  EXPECT_EQ(some.ends[1].view.result.bytes.view(), "an exception");
  EXPECT_GT(some.ends[1].finished.ms, 0);
  EXPECT_EQ(store_.finish(session_, b), FinishAnswer::Applied);
  GroupFilter after;
  after.group = "night";
  after.cursor = some.cursor;
  const auto last = page(after);
  ASSERT_TRUE(last);
  EXPECT_EQ(ids_of(last->ends), std::vector<TaskId>{b.task});
  EXPECT_FALSE(last->open || last->more);
  EXPECT_TRUE(last->known);
  after.cursor = some.ends[0].cursor;
  EXPECT_EQ(ids_of(rest(after)), (std::vector<TaskId>{a.task, b.task}));
}

TEST_P(Groups, EveryEndIsToldOnceHoweverPagesAreCut) {
  const auto ids = submit("many", 300);
  ASSERT_EQ(end_some(150).size(), 150u);
  bool all_ended = false;
  GroupFilter filter;
  filter.group = "many";
  filter.limit = 40;
  std::vector<TaskId> told;
  for (int i = 0; i < 1000; ++i) {
    const auto given = page(filter);
    ASSERT_TRUE(given);
    ASSERT_LE(given->ends.size(), 64u);
    for (const GroupEnd& end : given->ends) told.push_back(end.view.id);
    filter.cursor = given->ends.empty() ? given->cursor : given->ends.back().cursor;
    if (!given->more && !given->open) break;
    if (!all_ended && told.size() >= 100) all_ended = end_some(150).size() == 150;  // while somebody reads
  }
  EXPECT_TRUE(all_ended);
  EXPECT_EQ(sorted(told), sorted(ids));
}

TEST_P(Groups, PagesHoldABoundedAmountOfResults) {
  store_.keep_together();
  const auto ids = submit("large", 8);
  end_some(6, std::string(60'000, 'x'));
  GroupFilter filter;
  filter.group = "large";
  filter.max_bytes = 100'000;
  auto given = page(filter);
  ASSERT_TRUE(given);
  EXPECT_GE(given->ends.size(), 1u);
  EXPECT_LE(given->ends.size(), 3u);
  EXPECT_TRUE(given->more);
  EXPECT_EQ(rest(filter).size(), 6u);
  end_some(1, std::string(core::limits::kInline + 1, 'y'));
  const GroupEnd big = rest(filter).back();
  EXPECT_EQ(big.result_bytes, core::limits::kInline + 1);
  EXPECT_EQ(big.view.result.bytes.size(), 0u) << "it stays where it is";
  EXPECT_EQ(store_.cancel(ids[7]), CancelAnswer::Cancelled);
  const GroupEnd cancelled = rest(filter).back();
  EXPECT_EQ(cancelled.view.error_kind, ErrorKind::Cancelled);
  EXPECT_EQ(cancelled.view.result.bytes.view(), "failure Cancelled");
  EXPECT_FALSE(first_page("large").open);
}

TEST_P(Groups, SurviveARestart) {
  if (std::string(GetParam()) == "memory") GTEST_SKIP() << "nothing of it survives";
  const auto ids = submit("kept", 4);
  const auto before = end_some(2);
  const GroupPage told = first_page("kept");
  store_.reopen();
  session_ = store_.session();
  call_ = 0;
  const auto after = end_some(4);
  ASSERT_EQ(after.size(), 2u);
  GroupFilter filter;
  filter.group = "kept";
  filter.cursor = told.cursor;
  EXPECT_EQ(sorted(ids_of(rest(filter))), sorted(after));
  filter.cursor = "";
  EXPECT_EQ(sorted(ids_of(rest(filter))), sorted(ids));
}

TEST_P(Groups, RefuseAForeignCursor) {
  GroupFilter filter;
  filter.group = "night";
  filter.cursor = "x";
  const auto given = page(filter);
  ASSERT_FALSE(given);
  EXPECT_EQ(given.error().code, Code::Invalid);
}

TEST_P(Groups, AHintTellsThatTasksHaveEnded) {
  int hints = 0;
  store_->on_end([&] { ++hints; });
  store_.turn_for(50ms);
  const int before = hints;
  submit("night", 1);
  end_some(1);
  store_.turn_until([&] { return hints > before; });
  EXPECT_GT(hints, before);
  store_->on_end({});
  const int then = hints;
  submit("night", 1);
  end_some(1);
  store_.turn_for(20ms);
  EXPECT_EQ(hints, then);
}

// ---- to submit again ----

TEST_P(Groups, AFailedCallCanBeHadAsItWasSubmitted) {
  Submission s = in_group("night", std::string(core::limits::kInline + 9, 'a'));
  s.options.priority = 7;
  s.options.retries = 2;
  s.options.queue = "gpu";
  s.options.time_limit_ms = 5000;
  const TaskId id = store_.submit_one(std::move(s));
  EXPECT_EQ(submission(id).error().code, Code::Conflict) << "it has not ended";
  EXPECT_EQ(store_.cancel(id), CancelAnswer::Cancelled);
  const auto call = submission(id);
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->function, function_);
  EXPECT_EQ(call->args.bytes.size(), core::limits::kInline + 9);
  EXPECT_EQ(call->group, "night");
  EXPECT_EQ(call->options.priority, 7);
  EXPECT_EQ(call->options.retries, 2);
  EXPECT_EQ(call->options.queue, "gpu");
  EXPECT_EQ(call->options.time_limit_ms, 5000u);
  EXPECT_TRUE(call->id.is_nil() && call->idempotency_key.empty());
  const TaskId small = store_.submit_one(in_group("night", "small"));
  store_.finish(session_, claim_one());
  EXPECT_EQ(submission(small).error().code, Code::Conflict) << "it has completed";
  EXPECT_EQ(submission(TaskId(Uuid{1, 2})).error().code, Code::NotFound);
}

// ---- lists ----

TEST_P(Groups, ListsFilterByWhatIsAsked) {
  store_.keep_together();
  const auto ids = submit("night", 6);
  submit("other", 3);
  const auto ended = end_some(2);
  Submission s = in_group("night");
  s.options.queue = "gpu";
  const TaskId gpu = store_.submit_one(std::move(s));
  EXPECT_EQ(ended, (std::vector<TaskId>{ids[0], ids[1]}));
  ListFilter filter;
  filter.group = "night";
  filter.live = true;
  filter.limit = 2;
  const auto live = sorted({ids[2], ids[3], ids[4], ids[5], gpu});
  EXPECT_EQ(listed(filter), live);
  filter.any_order = true;
  EXPECT_EQ(listed(filter), live);
  filter = {};
  filter.queue = "gpu";
  EXPECT_EQ(listed(filter), std::vector<TaskId>{gpu});
  filter.queue = "default";
  EXPECT_EQ(listed(filter).size(), 9u);
  store_.cancel(gpu);
  filter = {};
  filter.group = "night";
  filter.state = TaskState::Failed;
  filter.any_order = true;
  EXPECT_EQ(listed(filter), std::vector<TaskId>{gpu});
  filter = {};
  const WallMs accepted = store_.story(gpu)->accepted;
  filter.accepted_before = {accepted.ms + 1};
  EXPECT_EQ(listed(filter).size(), 10u);
  filter.accepted_before = {accepted.ms - 60'000};
  EXPECT_TRUE(listed(filter).empty());
  filter = {};
  filter.accepted_from = {accepted.ms + 60'000};
  EXPECT_TRUE(listed(filter).empty());
  filter.accepted_from = {accepted.ms - 60'000};
  EXPECT_EQ(listed(filter).size(), 10u);
}

// ---- queues ----

TEST_P(Groups, QueuesTellWhatWaitsAndRuns) {
  store_.keep_together();
  const auto put = [&](const std::string& queue, int n) {
    for (int i = 0; i < n; ++i) {
      Submission s = store_.submission(function_);
      s.options.queue = queue;
      store_.submit_one(std::move(s));
    }
  };
  put("", 3);
  put("gpu", 2);
  EXPECT_EQ(queue("gpu").queued, 2u);
  EXPECT_GT(queue("gpu").oldest.ms, 0);
  EXPECT_LE(queue("default").oldest.ms, queue("gpu").oldest.ms);
  claim_one();
  EXPECT_EQ(queue("default").queued, 2u);
  EXPECT_EQ(queue("default").running, 1u);
  EXPECT_EQ(queue("gpu").running, 0u);
  EXPECT_EQ(claimed({"gpu"}), 2u);
  EXPECT_EQ(queue("gpu").queued, 0u);
  EXPECT_EQ(queue("gpu").running, 2u);
  EXPECT_EQ(queue("gpu").oldest.ms, 0);
  EXPECT_FALSE(queue("gpu").paused);
}

TEST_P(Groups, APausedQueueGivesOutNothingUntilItIsResumed) {
  store_.keep_together();
  Submission s = store_.submission(function_);
  s.options.queue = "gpu";
  const TaskId held = store_.submit_one(std::move(s));
  pause("gpu", true);
  pause("gpu", true);
  EXPECT_TRUE(queue("gpu").paused);
  EXPECT_EQ(queue("gpu").queued, 1u);
  EXPECT_EQ(claimed({"gpu"}), 0u);
  store_.submit_one(store_.submission(function_));
  EXPECT_EQ(claimed({"gpu", ""}), 1u) << "others go on";
  if (std::string(GetParam()) != "memory") {
    store_.reopen();
    session_ = store_.session();
    call_ = 0;
    EXPECT_TRUE(queue("gpu").paused);
  }
  EXPECT_EQ(claimed({"gpu"}), 0u);
  int hints = 0;
  store_->on_work([&] { ++hints; });
  store_.turn_for(50ms);
  EXPECT_EQ(claimed({"gpu"}), 0u);
  const int before = hints;
  pause("gpu", false);
  store_.turn_until([&] { return hints > before; });
  EXPECT_GT(hints, before) << "whoever found it empty is told";
  EXPECT_EQ(claimed({"gpu"}), 1u);
  EXPECT_EQ(core::is_terminal(store_.view(held)->state), false);
  EXPECT_FALSE(queue("gpu").paused);
  store_->on_work({});
}

TEST_P(Groups, TheDefaultQueueCanBePausedByItsName) {
  store_.submit_one(store_.submission(function_));
  pause("default", true);
  EXPECT_EQ(claimed({}), 0u);
  EXPECT_TRUE(queue("default").paused);
  pause("default", false);
  for (int i = 0; i < 20 && claimed({}) == 0; ++i) store_.turn_for(5ms);
  EXPECT_EQ(queue("default").running, 1u);
}

}  // namespace
}  // namespace treadle::store::contract

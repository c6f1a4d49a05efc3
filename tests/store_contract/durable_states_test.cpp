// What may be said when: a store whose commits become durable only when the test says so.
#include <gtest/gtest.h>

#include <optional>

#include "engine.h"

namespace treadle::store::contract {
namespace {

using core::TaskState;

class ManualClock final : public Clock {
 public:
  Instant now() const override { return now_; }
  WallMs wall() const override { return {1'700'000'000'000 + now_.ns / 1'000'000}; }
  Instant now_{1'000'000'000};
};

class Held : public ::testing::Test {
 protected:
  Held() : store_(clock_, failure_bytes, MemoryOptions{.manual_commit = true}) {
    core::Function f;
    f.id = function_;
    f.digest.words[0] = 1;
    f.body.bytes = Buffer::of("body");
    store_.put_function(f, [](Result<FunctionId> id) { EXPECT_TRUE(id); });
    commit();
    open_session();
  }
  void commit() {
    store_.commit_all();
    turn();
  }
  void turn() {
    while (store_.turn(clock_.now_)) continue;
  }
  void open_session() {
    store_.open_session(session_, "d", [](Result<void> answer) { EXPECT_TRUE(answer); });
  }
  TaskId submit(core::Delivery delivery = core::Delivery::AtLeastOnce) {
    Submission s;
    s.id = TaskId(Uuid{1, ++numbers_});
    s.function = function_;
    s.args.bytes = Buffer::of("args");
    s.options.delivery = delivery;
    std::vector<Submission> batch;
    batch.push_back(s);
    store_.submit(std::move(batch), [this](auto answers) { accepted_ += answers && (*answers)[0]; });
    turn();
    return s.id;
  }
  std::vector<core::Attempt> claim() {
    std::vector<core::Attempt> got;
    store_.claim({session_, ++calls_, {Token{++numbers_}}, {}, {}},
                 [&](Result<ClaimAnswer> answer) { got = answer->attempts; });
    turn();
    return got;
  }
  void finish(const core::Attempt& a) {
    FinishItem item{a.task, a.token, {}};
    item.outcome.result.bytes = Buffer::of("result");
    store_.finish(session_, {item},
                  [this](Result<std::vector<FinishAnswer>> answer) { finished_.push_back(answer->at(0)); });
    turn();
  }
  std::optional<TaskState> state(TaskId id) {
    std::optional<TaskState> seen;
    store_.get({id}, true, [&](std::vector<Result<TaskView>> views) {
      if (views[0]) seen = views[0]->state;
    });
    return seen;
  }

  ManualClock clock_;
  MemoryStore store_;
  FunctionId function_{Uuid{3, 3}};
  SessionId session_{Uuid{4, 4}};
  std::uint64_t numbers_ = 0, calls_ = 0;
  int accepted_ = 0;
  std::vector<FinishAnswer> finished_;
};

TEST_F(Held, ASubmitIsNeitherAnsweredNorSeenNorClaimableBeforeItsCommit) {
  const TaskId id = submit();
  EXPECT_EQ(accepted_, 0);
  EXPECT_EQ(state(id), std::nullopt);
  EXPECT_TRUE(claim().empty());
  commit();
  EXPECT_EQ(accepted_, 1);
  EXPECT_EQ(state(id), TaskState::Queued);
  EXPECT_EQ(claim().size(), 1u);
}

// A call that is repeated while its first one waits for the disk does not know yet whose the key is.
TEST_F(Held, ARepeatedSubmitIsAnsweredWithTheTaskThatHasTheKey) {
  std::vector<TaskId> told;
  const auto send = [&](std::uint64_t id, std::uint64_t body) {
    Submission s;
    s.id = TaskId(Uuid{1, id});
    s.function = function_;
    s.args.bytes = Buffer::of("args");
    s.idempotency_key = "key";
    s.body_digest.words[0] = body;
    store_.submit({s}, [&](Result<std::vector<Result<SubmitAnswer>>> answers) {
      ASSERT_TRUE(answers);
      told.push_back(answers->at(0) ? answers->at(0)->id : TaskId{});
    });
  };
  const TaskId first(Uuid{1, 101});
  send(101, 1);
  send(102, 1);
  send(102, 1);
  send(103, 2);  // another body: a conflict, however often it is asked
  send(103, 2);
  EXPECT_TRUE(told.empty());
  commit();
  EXPECT_EQ(told, (std::vector<TaskId>{first, first, first, TaskId{}, TaskId{}}));
  EXPECT_EQ(state(TaskId(Uuid{1, 102})), std::nullopt);
}

TEST_F(Held, AnOutcomeIsNeitherAnsweredNorSeenNorWokenForBeforeItsCommit) {
  const TaskId id = submit();
  commit();
  const auto attempts = claim();
  ASSERT_EQ(attempts.size(), 1u) << "an at-least-once attempt waits for no commit";
  bool woken = false;
  store_.wait(id, clock_.now_ + 60s,
              [&](Result<TaskView> view) { woken = view && view->state == TaskState::Completed; });
  finish(attempts[0]);
  finish(attempts[0]);  // repeated before the first is durable
  EXPECT_TRUE(finished_.empty());
  EXPECT_FALSE(woken);
  EXPECT_EQ(state(id), TaskState::Claimed);
  commit();
  EXPECT_EQ(finished_, (std::vector{FinishAnswer::Applied, FinishAnswer::Duplicate}));
  EXPECT_TRUE(woken);
  EXPECT_EQ(state(id), TaskState::Completed);
}

TEST_F(Held, AnAtMostOnceAttemptIsGivenOnlyWhenItsClaimIsDurable) {
  submit(core::Delivery::AtMostOnce);
  commit();
  std::vector<core::Attempt> got;
  const ClaimRequest request{session_, ++calls_, {Token{99}}, {}, {}};
  for (int i = 0; i < 2; ++i) {  // the repeated call waits as well
    store_.claim(request, [&](Result<ClaimAnswer> answer) {
      got.insert(got.end(), answer->attempts.begin(), answer->attempts.end());
    });
  }
  turn();
  EXPECT_TRUE(got.empty());
  commit();
  EXPECT_EQ(got.size(), 2u);
}

TEST_F(Held, ACancelIsAnsweredWhenItIsDurable) {
  const TaskId id = submit();
  commit();
  std::vector<CancelAnswer> answers;
  for (int i = 0; i < 2; ++i)
    store_.cancel(id, "asked", [&](Result<CancelAnswer> answer) { answers.push_back(*answer); });
  EXPECT_TRUE(answers.empty());
  EXPECT_EQ(state(id), TaskState::Queued);
  EXPECT_TRUE(claim().empty()) << "it is decided";
  commit();
  EXPECT_EQ(answers, (std::vector{CancelAnswer::Cancelled, CancelAnswer::Terminal}));
  EXPECT_EQ(state(id), TaskState::Failed);
}

TEST_F(Held, ACancelThatIsRepeatedIsAnsweredNoSoonerThanTheFirst) {
  const TaskId id = submit();
  commit();
  ASSERT_EQ(claim().size(), 1u);
  std::vector<CancelAnswer> answers;
  for (int i = 0; i < 2; ++i)
    store_.cancel(id, "no more", [&](Result<CancelAnswer> answer) { answers.push_back(answer.value()); });
  turn();
  EXPECT_TRUE(answers.empty());
  commit();
  EXPECT_EQ(answers, (std::vector<CancelAnswer>{CancelAnswer::Requested, CancelAnswer::Requested}));
}

TEST_F(Held, ACrashForgetsWhatHadNoTicketAndNothingElse) {
  const TaskId kept = submit(), run = submit();
  commit();
  const TaskId lost = submit();
  const auto attempts = claim();
  ASSERT_EQ(attempts.size(), 1u);
  finish(attempts[0]);
  store_.crash();
  turn();
  EXPECT_EQ(accepted_, 2);
  EXPECT_TRUE(finished_.empty());
  EXPECT_EQ(state(lost), std::nullopt);
  EXPECT_EQ(state(kept), TaskState::Queued) << "its outcome was not durable";
  EXPECT_EQ(state(run), TaskState::Queued);
  calls_ = 0;
  open_session();
  const auto again = claim();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].task, kept);
  EXPECT_NE(again[0].token, attempts[0].token);
  finish(attempts[0]);
  commit();
  EXPECT_EQ(finished_, std::vector{FinishAnswer::Stale});
}

TEST_F(Held, ARecordedAtMostOnceClaimIsNotRunAgainAfterACrash) {
  const TaskId id = submit(core::Delivery::AtMostOnce);
  commit();
  store_.claim({session_, ++calls_, {Token{99}}, {}, {}}, [](auto) {});
  commit();
  store_.crash();
  commit();
  EXPECT_EQ(state(id), TaskState::Failed);
  EXPECT_EQ(store_.terminal_twice(), 0u);
}

}  // namespace
}  // namespace treadle::store::contract

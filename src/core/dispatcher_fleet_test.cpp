// What must hold, and must not slow down, when there are many workers.
#include "core/dispatcher_rig.h"

namespace treadle::core {
namespace {

using namespace testing_rig;

std::vector<WorkerId> receivers(Bench& b) {
  std::vector<WorkerId> to;
  for (const auto& send : b.take<effect::Send>()) to.insert(to.end(), send.message.attempts.size(), send.worker);
  return to;
}

TEST(DispatcherFleet, AFreeSlotIsTakenBeforeAPlaceToWait) {
  Bench b;
  b.register_worker(worker_id(2), 2);
  b.answer_claim({1});
  b.sent_to(worker_id(2));
  b.receive_all(worker_id(2));
  b.register_worker(worker_id(1), 4);
  // Holds nothing, but none of its slots is free now (its executors start): less load, and only room to wait.
  b.say(event::WorkerSaid{b.message(worker_id(1), 0, 2)});
  b.say(event::WorkerSaid{b.message(worker_id(2), 1)});
  b.say(event::WorkHint{});
  b.answer_claim({2, 3});
  std::unordered_map<TaskId, WorkerId> place;
  for (const auto& send : b.take<effect::Send>()) {
    for (const Attempt& attempt : send.message.attempts) place[attempt.task] = send.worker;
  }
  EXPECT_EQ(place.at(task(2)), worker_id(2));
  EXPECT_EQ(place.at(task(3)), worker_id(1));
}

TEST(DispatcherFleet, AtMostOnceGoesOnlyToAFreeSlotHoweverManyLetWait) {
  Bench b;
  for (std::uint64_t n = 1; n <= 50; ++n) {
    b.register_worker(worker_id(n), 1);
    b.say(event::WorkerSaid{b.message(worker_id(n), 0, 5)});
  }
  b.register_worker(worker_id(51), 1);
  b.take<effect::Send>();
  b.answer_claim({});
  b.say(event::WorkHint{});
  b.answer_claim({1, 2}, Delivery::AtMostOnce);
  EXPECT_EQ(receivers(b), std::vector{worker_id(51)});
  EXPECT_EQ(b.dispatcher_.figures().unplaced, 1u);
}

TEST(DispatcherFleet, AttemptsThatFindNoSlotDoNotPileUp) {
  Bench b;
  for (std::uint64_t n = 1; n <= 10; ++n) {
    b.register_worker(worker_id(n), 1);
    b.say(event::WorkerSaid{b.message(worker_id(n), 0, 64)});  // room for 640 to wait
  }
  b.answer_claim({});
  std::size_t claims = 0;
  for (std::uint64_t next = 1; claims < 10; ++claims) {
    b.say(event::WorkHint{});
    auto asked = b.take<effect::Claim>();
    if (asked.empty()) break;
    ClaimAnswer answer;
    for (const Token token : asked[0].request.tokens) {
      Attempt attempt;
      attempt.task = task(next++);
      attempt.token = token;
      attempt.delivery = Delivery::AtMostOnce;
      answer.attempts.push_back(attempt);
    }
    b.say(event::Claimed{asked[0].request.call, std::move(answer)});
  }
  EXPECT_EQ(claims, 1u);
  EXPECT_EQ(b.dispatcher_.figures().unplaced, limits::kBatch);
  EXPECT_GT(b.dispatcher_.next_deadline(), b.now_);  // no turn after turn for nothing
  b.pass(limits::kWaitForSlot);
  std::size_t back = 0;
  for (const auto& requeue : b.take<effect::Requeue>()) back += requeue.items.size();
  EXPECT_EQ(back, limits::kBatch);
}

TEST(DispatcherFleet, EachWorkerIsLookedAtInItsOwnTime) {
  Bench b;
  for (std::uint64_t n = 1; n <= 4; ++n) {
    b.register_worker(worker_id(n), 1);
    b.pass(300ms);
  }
  const Instant begun = b.now_ - 1200ms;  // when the first one spoke, and then no more
  std::unordered_map<WorkerId, Instant> gone;
  for (Instant end = b.now_ + 12s; b.now_ < end;) {
    b.pass(50ms);
    b.say(event::WorkerSaid{b.message(worker_id(4), 1)});
    for (const auto& forget : b.take<effect::Forget>()) gone[forget.worker] = b.now_;
  }
  ASSERT_EQ(gone.size(), 3u);
  for (std::uint64_t n = 1; n <= 3; ++n) {
    const Duration silent = gone[worker_id(n)] - begun - (n - 1) * 300ms;
    EXPECT_GT(silent, limits::kWorkerLease) << n;
    EXPECT_LE(silent, limits::kWorkerLease + 100ms) << n;
  }
  EXPECT_EQ(b.dispatcher_.worker_count(), 1u);
}

TEST(DispatcherFleet, ALostConnectionIsLookedAtBeforeTheLease) {
  Bench b;
  b.register_worker(worker_id(1), 1);
  b.register_worker(worker_id(2), 1);
  b.pass(200ms);
  b.say(event::WorkerUnroutable{worker_id(1)});
  b.say(event::WorkerUnroutable{worker_id(2)});
  b.pass(500ms);
  b.say(event::WorkerSaid{b.message(worker_id(2), 1)});  // it is back
  b.pass(400ms);
  EXPECT_EQ(b.dispatcher_.worker_count(), 2u);
  b.pass(200ms);
  EXPECT_EQ(b.dispatcher_.worker_count(), 1u);
  ASSERT_EQ(b.dispatcher_.lost_workers().size(), 1u);
  EXPECT_EQ(b.dispatcher_.lost_workers()[0].worker, worker_id(1));
}

TEST(DispatcherFleet, OnlyASilentWorkerIsPinged) {
  Bench b;
  b.register_worker(worker_id(1), 1);
  b.register_worker(worker_id(2), 1);
  b.take<effect::Send>();
  std::unordered_map<WorkerId, int> pings;
  for (int i = 0; i < 40; ++i) {  // 2 s
    b.pass(50ms);
    b.say(event::WorkerSaid{b.message(worker_id(2), 1)});
    for (const auto& send : b.take<effect::Send>()) pings[send.worker] += send.message.ping ? 1 : 0;
  }
  EXPECT_EQ(pings[worker_id(1)], 3);  // after each half heartbeat: our own pings count as words too
  EXPECT_EQ(pings[worker_id(2)], 0);
}

TEST(DispatcherFleet, ManyWantTheSameBodyAndEachGetsItOnce) {
  Bench b;
  Digest digest;
  digest.words[0] = 3;
  for (std::uint64_t n = 1; n <= 100; ++n) b.register_worker(worker_id(n), 1);
  b.take<effect::Send>();
  for (int twice = 0; twice < 2; ++twice) {
    for (std::uint64_t n = 1; n <= 100; ++n) {
      WorkerMessage m = b.message(worker_id(n), 1);
      m.wants = {digest};
      b.say(event::WorkerSaid{m});
    }
  }
  EXPECT_EQ(b.take<effect::FetchBody>().size(), 1u);
  EXPECT_EQ(b.dispatcher_.figures().bodies_wanted, 1u);
  b.say(event::BodyFetched{digest, Payload{}});
  std::unordered_map<WorkerId, std::size_t> got;
  for (const auto& send : b.take<effect::Send>()) got[send.worker] += send.message.functions.size();
  EXPECT_EQ(got.size(), 100u);
  EXPECT_TRUE(std::ranges::all_of(got, [](const auto& one) { return one.second == 1; }));
}

TEST(DispatcherFleet, NewsForAWorkerThatDoesNotAskWaitsForItsNextRequest) {
  Bench b(Mode::Pull);
  const WorkerId w = worker_id(1);
  b.register_worker(w, 2);
  b.sent_to(w);
  b.receive_all(w);
  b.say(event::DrainAsked{});
  b.pass(100ms);
  EXPECT_TRUE(b.sent_to(w).empty());
  b.say(event::WorkerSaid{b.message(w, 2)});
  const auto answers = b.sent_to(w);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_TRUE(answers[0].drain);
  b.receive_all(w);
  b.say(event::WorkerSaid{b.message(w, 2)});
  EXPECT_TRUE(b.sent_to(w).empty());  // told already: this request waits
}

TEST(DispatcherFleet, OutcomesThatTheStoreRefusedAreSaidAgainEachInItsTime) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 3);
  const auto attempts = b.answer_claim({1, 2, 3});
  b.sent_to(w);
  b.receive_all(w);
  std::vector<std::uint64_t> batches;
  for (const Attempt& attempt : attempts) {
    WorkerMessage m = b.message(w, 3);
    m.outcomes = {completed(attempt)};
    b.say(event::WorkerSaid{m});
    const auto finishes = b.take<effect::Finish>();
    ASSERT_EQ(finishes.size(), 1u);  // those under way are not said again
    batches.push_back(finishes[0].batch);
  }
  const auto away = [] { return Result<std::vector<FinishAnswer>>(fail(Code::StoreAway, "away")); };
  b.say(event::Finished{batches[0], away()});
  b.pass(50ms);
  b.say(event::Finished{batches[2], away()});
  EXPECT_TRUE(b.take<effect::Finish>().empty());
  b.pass(50ms);
  auto again = b.take<effect::Finish>();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].batch, batches[0]);
  b.pass(50ms);
  again = b.take<effect::Finish>();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].batch, batches[2]);
}

}  // namespace
}  // namespace treadle::core

// Options that the dispatcher acts on: when an attempt must begin, which failures are tried again.
#include "core/dispatcher_rig.h"

namespace treadle::core {
namespace {

using namespace testing_rig;

// Answers the claim under way with one attempt, changed by the test.
template <class Change>
Attempt claim_one(Bench& b, std::uint64_t task_number, Change change) {
  auto claims = b.take<effect::Claim>();
  EXPECT_EQ(claims.size(), 1u);
  Attempt attempt;
  attempt.task = task(task_number);
  attempt.token = claims.at(0).request.tokens.at(0);
  attempt.number = 1;
  change(attempt);
  ClaimAnswer answer;
  answer.attempts = {attempt};
  b.say(event::Claimed{claims[0].request.call, std::move(answer)});
  return attempt;
}

void expect_unstarted(Bench& b, const Attempt& attempt) {
  const auto requeues = b.take<effect::Requeue>();
  ASSERT_EQ(requeues.size(), 1u);
  EXPECT_EQ(requeues[0].items.at(0).token, attempt.token);
  EXPECT_EQ(requeues[0].items[0].why, GiveBack::Unstarted);
}

OutcomeReport raised(const Attempt& a, const char* type, const char* classes) {
  OutcomeReport report{held(a), Outcome{}};
  report.outcome.kind = ErrorKind::FunctionFailed;
  report.outcome.error_type = type;
  report.outcome.error_classes = classes;
  return report;
}

TEST(DispatcherOptions, AnAttemptSaidAgainHasLessTimeToStart) {
  Bench b(Mode::Pull);
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  b.sent_to(w);
  b.receive_all(w);
  b.say(event::WorkerSaid{b.message(w, 1)});  // the first request was used up by the answer to its registration
  claim_one(b, 1, [](Attempt& a) { a.start_within = 300ms; });
  auto first = b.sent_to(w);
  ASSERT_EQ(first.size(), 1u);
  ASSERT_EQ(first[0].attempts.size(), 1u);
  EXPECT_EQ(first[0].attempts[0].start_within, 300ms);
  b.pass(200ms);
  b.say(event::WorkerSaid{b.message(w, 1)});  // its ack is short of the reply: it did not see it
  auto again = b.sent_to(w);
  ASSERT_EQ(again.size(), 1u);
  ASSERT_EQ(again[0].attempts.size(), 1u);
  EXPECT_EQ(again[0].attempts[0].start_within, 100ms);
  b.pass(200ms);
  b.say(event::WorkerSaid{b.message(w, 1)});
  again = b.sent_to(w);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].attempts.at(0).start_within, 1ms) << "its worker gives it back: 0 would mean whenever";
}

TEST(DispatcherOptions, WhatIsNotPlacedInTimeGoesBack) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  b.say(event::WorkerSaid{b.message(w, 0)});
  const Attempt a = claim_one(b, 1, [](Attempt& a) { a.start_within = 20ms; });
  EXPECT_TRUE(b.take<effect::Requeue>().empty());
  b.pass(25ms);
  expect_unstarted(b, a);
}

TEST(DispatcherOptions, OnlyListedFailuresAreTriedAgain) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  const auto list = [](Attempt& a) {
    a.retries_left = 3;
    a.retry_delay = 40ms;
    a.retry_on = "OSError demo.Busy";
  };
  const Attempt first = claim_one(b, 1, list);
  WorkerMessage m = b.message(w, 1);
  m.outcomes = {raised(first, "ConnectionResetError", "ConnectionResetError ConnectionError OSError Exception")};
  b.say(event::WorkerSaid{m});
  const auto requeues = b.take<effect::Requeue>();
  ASSERT_EQ(requeues.size(), 1u);
  EXPECT_EQ(requeues[0].items.at(0).why, GiveBack::Retry);
  EXPECT_EQ(requeues[0].items[0].delay, 40ms);
  EXPECT_TRUE(b.take<effect::Finish>().empty());
  b.say(event::Requeued{requeues[0].batch, std::vector{RequeueAnswer::Queued}});
  b.sent_to(w);
  b.receive_all(w);
  b.say(event::WorkerSaid{b.message(w, 1)});

  const Attempt second = claim_one(b, 2, list);
  m = b.message(w, 1);
  m.outcomes = {raised(second, "KeyError", "KeyError LookupError Exception")};
  b.say(event::WorkerSaid{m});
  EXPECT_TRUE(b.take<effect::Requeue>().empty());
  const auto finishes = b.take<effect::Finish>();
  ASSERT_EQ(finishes.size(), 1u) << "it is final";
  EXPECT_EQ(finishes[0].items.at(0).outcome.error_type, "KeyError");
}

// ---- kinds of workers ----

void register_kind(Bench& b, WorkerId id, std::uint32_t slots, std::vector<std::string> queues,
                   std::vector<std::string> labels) {
  b.boots_[id] = 1;
  WorkerMessage m = b.message(id, slots);
  m.registers = true;
  m.info.slots = slots;
  m.info.queues = std::move(queues);
  m.info.labels = std::move(labels);
  b.say(event::WorkerSaid{m});
}

Attempt answer(Bench& b, const effect::Claim& claim, std::uint64_t task_number) {
  Attempt attempt;
  attempt.task = task(task_number);
  attempt.token = claim.request.tokens.at(0);
  attempt.number = 1;
  ClaimAnswer answer;
  answer.attempts = {attempt};
  b.say(event::Claimed{claim.request.call, std::move(answer)});
  return attempt;
}

TEST(DispatcherOptions, ClaimsForOneKindOfWorkersAtATimeAndGivesItWhatItClaimed) {
  Bench b;
  register_kind(b, worker_id(1), 2, {}, {});
  register_kind(b, worker_id(2), 3, {"", "big"}, {"gpu", "a100"});
  register_kind(b, worker_id(3), 1, {"", "big"}, {"a100", "gpu"});
  std::map<std::vector<std::string>, std::size_t> asked;
  for (std::uint64_t n = 1; n <= 2; ++n) {
    const auto claims = b.take<effect::Claim>();
    ASSERT_EQ(claims.size(), 1u) << "one is under way at a time";
    const ClaimRequest& request = claims[0].request;
    asked[request.labels] = request.tokens.size();
    EXPECT_EQ(request.queues.size(), request.labels.empty() ? 0u : 2u);
    const Attempt a = answer(b, claims[0], n);
    std::vector<WorkerId> got;
    for (const auto& send : b.take<effect::Send>())
      for (const Attempt& sent : send.message.attempts)
        if (sent.token == a.token) got.push_back(send.worker);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0] == worker_id(1), request.labels.empty());
  }
  EXPECT_EQ(asked.at({}), 2u);
  EXPECT_EQ(asked.at({"a100", "gpu"}), 4u) << "the order in which labels are named is none of theirs";
}

TEST(DispatcherOptions, WhatWasClaimedForAKindThatIsGoneGoesBack) {
  Bench b;
  const WorkerId w = worker_id(1);
  register_kind(b, w, 1, {}, {"gpu"});
  const auto claims = b.take<effect::Claim>();
  ASSERT_EQ(claims.size(), 1u);
  WorkerMessage m = b.message(w, 0);
  m.goodbye = true;
  b.say(event::WorkerSaid{m});
  register_kind(b, worker_id(2), 1, {}, {});
  const Attempt a = answer(b, claims[0], 1);
  for (const auto& send : b.take<effect::Send>()) EXPECT_TRUE(send.message.attempts.empty());
  b.pass(60ms);
  expect_unstarted(b, a);
}

TEST(DispatcherOptions, AWorkerThatRegistersWithOtherLabelsIsOfAnotherKind) {
  Bench b;
  const WorkerId w = worker_id(1);
  register_kind(b, w, 2, {}, {"gpu"});
  b.answer_claim({});
  register_kind(b, w, 2, {}, {"cpu"});
  const auto claims = b.take<effect::Claim>();
  ASSERT_EQ(claims.size(), 1u);
  EXPECT_EQ(claims[0].request.labels, std::vector<std::string>{"cpu"});
  EXPECT_EQ(claims[0].request.tokens.size(), 2u);
  EXPECT_EQ(b.dispatcher_.figures().credit, 2u) << "it is counted once";
}

// Answers the claim under way with nothing, and tells for which label it was.
std::string refuse(Bench& b, bool more = false) {
  const auto claims = b.take<effect::Claim>();
  if (claims.size() != 1) return "no claim, or several";
  ClaimAnswer nothing;
  nothing.more = more;
  const auto labels = claims[0].request.labels;
  b.say(event::Claimed{claims[0].request.call, std::move(nothing)});
  return labels.at(0);
}

TEST(DispatcherOptions, EachKindIsAskedForInItsTurnHoweverManyThereAre) {
  Bench b;
  std::vector<std::string> names;
  for (std::uint64_t n = 0; n < 300; ++n) {
    names.push_back("host=" + std::to_string(n));
    register_kind(b, worker_id(n + 1), 1, {}, {names.back()});
  }
  std::vector<std::string> asked;
  for (std::size_t i = 0; i < names.size(); ++i) asked.push_back(refuse(b));
  EXPECT_EQ(asked, names) << "those that were never asked for, in the order of their coming";
  EXPECT_TRUE(b.take<effect::Claim>().empty()) << "nothing says that there is work";
  b.say(event::WorkHint{});
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(refuse(b), names[i]);
  b.say(event::WorkHint{});
  EXPECT_EQ(refuse(b), names[10]) << "another hint does not begin anew";
  for (std::size_t i = 1; i < names.size(); ++i) EXPECT_EQ(refuse(b), names[(i + 10) % names.size()]);
  EXPECT_EQ(refuse(b), names[10]) << "its claim was under way when the hint came";
  EXPECT_TRUE(b.take<effect::Claim>().empty());
}

TEST(DispatcherOptions, AKindThatTheStoreHasMoreForIsAskedForAgainAndLetsOthersPass) {
  Bench b;
  register_kind(b, worker_id(1), 1, {}, {"busy"});
  register_kind(b, worker_id(2), 1, {}, {"idle"});
  EXPECT_EQ(refuse(b, true), "busy");
  EXPECT_EQ(refuse(b), "idle");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(refuse(b, true), "busy");
  b.say(event::WorkHint{});
  EXPECT_EQ(refuse(b, true), "busy") << "it was under way";
  EXPECT_EQ(refuse(b), "idle");
  EXPECT_EQ(refuse(b), "busy");
  EXPECT_TRUE(b.take<effect::Claim>().empty());
  b.pass(limits::kHintPoll + 50ms);
  EXPECT_EQ(refuse(b), "idle") << "without a hint, too";
}

TEST(DispatcherOptions, AKindWithoutAFreePlaceIsNotAskedForAndIsWhenOneIsFree) {
  Bench b;
  const WorkerId w = worker_id(1);
  register_kind(b, w, 1, {}, {"gpu"});
  const auto claims = b.take<effect::Claim>();
  ASSERT_EQ(claims.size(), 1u);
  const Attempt a = answer(b, claims[0], 1);
  b.say(event::WorkHint{});
  b.pass(limits::kHintPoll + 50ms);
  EXPECT_TRUE(b.take<effect::Claim>().empty());
  EXPECT_EQ(b.dispatcher_.figures().credit, 0u);
  b.sent_to(w);
  b.receive_all(w);
  WorkerMessage m = b.message(w, 1);
  m.outcomes = {completed(a)};
  b.say(event::WorkerSaid{m});
  EXPECT_EQ(refuse(b), "gpu");
}

}  // namespace
}  // namespace treadle::core

#include "core/dispatcher_rig.h"

namespace treadle::core {
namespace {

using namespace testing_rig;

TEST(Dispatcher, ClaimsOnlyForFreeSlots) {
  Bench b;
  EXPECT_TRUE(b.take<effect::Claim>().empty());
  b.register_worker(worker_id(1), 3);
  const auto claims = b.take<effect::Claim>();
  ASSERT_EQ(claims.size(), 1u);
  EXPECT_EQ(claims[0].request.tokens.size(), 3u);
  EXPECT_EQ(claims[0].request.call, 1u);
}

TEST(Dispatcher, SpreadsAttemptsOverTheLeastLoaded) {
  Bench b;
  b.register_worker(worker_id(1), 2);
  b.answer_claim({});  // nothing yet
  b.register_worker(worker_id(2), 2);
  b.say(event::WorkHint{});
  b.answer_claim({1, 2, 3, 4});
  std::unordered_map<WorkerId, std::size_t> got;
  for (const auto& send : b.take<effect::Send>()) got[send.worker] += send.message.attempts.size();
  EXPECT_EQ(got[worker_id(1)], 2u);
  EXPECT_EQ(got[worker_id(2)], 2u);
}

TEST(Dispatcher, OutcomeIsSettledOnlyWhenItIsDurable) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  const auto attempts = b.answer_claim({1});
  b.sent_to(w);
  b.receive_all(w);
  WorkerMessage m = b.message(w, 1);
  m.outcomes = {completed(attempts[0])};
  b.say(event::WorkerSaid{m});
  const auto finishes = b.take<effect::Finish>();
  ASSERT_EQ(finishes.size(), 1u);
  EXPECT_EQ(finishes[0].items[0].token, attempts[0].token);
  for (const auto& message : b.sent_to(w)) EXPECT_TRUE(message.settled.empty());
  b.say(event::Finished{finishes[0].batch, std::vector{FinishAnswer::Applied}});
  const auto messages = b.sent_to(w);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].settled, std::vector{held(attempts[0])});
  EXPECT_EQ(b.dispatcher_.attempts_held(), 0u);
}

TEST(Dispatcher, OutcomeIsRepeatedToAStoreThatWasAway) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  const auto attempts = b.answer_claim({1});
  WorkerMessage m = b.message(w, 1);
  m.outcomes = {completed(attempts[0])};
  b.say(event::WorkerSaid{m});
  const auto first = b.take<effect::Finish>();
  ASSERT_EQ(first.size(), 1u);
  b.say(event::Finished{first[0].batch, Result<std::vector<FinishAnswer>>(fail(Code::StoreAway, "gone"))});
  EXPECT_TRUE(b.take<effect::Finish>().empty());
  b.pass(150ms);
  const auto again = b.take<effect::Finish>();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].items[0].token, attempts[0].token);
}

TEST(Dispatcher, RepeatedOutcomeIsFinishedOnce) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 2);
  const auto attempts = b.answer_claim({1});
  WorkerMessage m = b.message(w, 2);
  m.outcomes = {completed(attempts[0])};
  b.say(event::WorkerSaid{m});
  b.say(event::WorkerSaid{m});  // the same message again
  WorkerMessage again = b.message(w, 2);
  again.outcomes = m.outcomes;
  b.say(event::WorkerSaid{again});
  std::size_t items = 0;
  for (const auto& finish : b.take<effect::Finish>()) items += finish.items.size();
  EXPECT_EQ(items, 1u);
}

TEST(Dispatcher, UnnamedAttemptIsDroppedOnlyAfterItsMessageWasAcknowledged) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  const auto attempts = b.answer_claim({1});
  b.sent_to(w);
  WorkerMessage early = b.message(w, 1);  // written before the batch arrived
  early.names_held = true;
  b.say(event::WorkerSaid{early});
  EXPECT_TRUE(b.take<effect::Requeue>().empty());
  b.receive_all(w);
  WorkerMessage late = b.message(w, 1);
  late.names_held = true;
  b.say(event::WorkerSaid{late});
  const auto requeues = b.take<effect::Requeue>();
  ASSERT_EQ(requeues.size(), 1u);
  EXPECT_EQ(requeues[0].items[0].token, attempts[0].token);
  EXPECT_EQ(requeues[0].items[0].why, GiveBack::Unstarted);
}

TEST(Dispatcher, SilentWorkerIsRemovedAndItsStartedAttemptBurnt) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 2);
  const auto attempts = b.answer_claim({1, 2});
  b.sent_to(w);
  b.receive_all(w);
  WorkerMessage m = b.message(w, 0);
  m.started = {held(attempts[0])};
  b.say(event::WorkerSaid{m});
  ASSERT_EQ(b.take<effect::Started>().size(), 1u);
  b.pass(limits::kWorkerLease - 100ms);
  EXPECT_EQ(b.dispatcher_.workers().size(), 1u);
  b.pass(1s);
  EXPECT_TRUE(b.dispatcher_.workers().empty());
  std::unordered_map<Token, GiveBack> why;
  for (const auto& requeue : b.take<effect::Requeue>()) {
    for (const auto& item : requeue.items) why[item.token] = item.why;
  }
  EXPECT_EQ(why[attempts[0].token], GiveBack::WorkerLost);
  EXPECT_EQ(why[attempts[1].token], GiveBack::Unstarted);
}

TEST(Dispatcher, OwnStallIsNotTheWorkersSilence) {
  Bench b;
  b.register_worker(worker_id(1), 1);
  b.now_ = b.now_ + 60s;  // no turn in between: SIGSTOP
  b.tick();
  EXPECT_EQ(b.dispatcher_.workers().size(), 1u);
}

TEST(Dispatcher, UnroutableWorkerIsRemovedAfterTheGrace) {
  Bench b;
  b.register_worker(worker_id(1), 1);
  b.say(event::WorkerUnroutable{worker_id(1)});
  b.pass(900ms);
  EXPECT_EQ(b.dispatcher_.workers().size(), 1u);
  b.pass(600ms);
  EXPECT_TRUE(b.dispatcher_.workers().empty());
}

TEST(Dispatcher, UnknownPeerIsAskedToRegister) {
  Bench b;
  b.boots_[worker_id(3)] = 1;
  b.say(event::WorkerSaid{b.message(worker_id(3), 1)});
  const auto messages = b.sent_to(worker_id(3));
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_TRUE(messages[0].reregister);
}

TEST(Dispatcher, AnnouncedAttemptIsAdoptedOrRevoked) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 2, {{task(1), Token{11}}, {task(2), Token{22}}});
  const auto adopts = b.take<effect::Adopt>();
  ASSERT_EQ(adopts.size(), 1u);
  ASSERT_EQ(adopts[0].items.size(), 2u);
  b.sent_to(w);
  b.say(event::Adopted{adopts[0].batch, std::vector{AdoptAnswer::Adopted, AdoptAnswer::Refused}});
  EXPECT_EQ(b.dispatcher_.attempts_held(), 1u);
  const auto messages = b.sent_to(w);
  ASSERT_EQ(messages.size(), 1u);
  ASSERT_EQ(messages[0].revokes.size(), 1u);
  EXPECT_EQ(messages[0].revokes[0].attempt.token, Token{22});
  EXPECT_TRUE(messages[0].revokes[0].kill);
}

// Seed 20178 of the simulator: a worker that stood still, and whose connection was replaced meanwhile, read an
// at-most-once attempt of the old one and began it when its task had FAILED.
TEST(Dispatcher, UnroutableWorkerKeepsWhatItMayYetBegin) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 2);
  auto attempts = b.answer_claim({1}, Delivery::AtMostOnce);
  b.say(event::WorkHint{});
  attempts.push_back(b.answer_claim({2}).at(0));
  b.sent_to(w);
  b.say(event::WorkerUnroutable{w});
  b.pass(limits::kDisconnectGrace + 500ms);
  auto requeues = b.take<effect::Requeue>();
  ASSERT_EQ(requeues.size(), 1u);
  ASSERT_EQ(requeues[0].items.size(), 1u);
  EXPECT_EQ(requeues[0].items[0].token, attempts[1].token);
  EXPECT_EQ(b.dispatcher_.workers().size(), 1u);
  b.say(event::Requeued{requeues[0].batch, std::vector<RequeueAnswer>{RequeueAnswer::Queued}});
  b.pass(limits::kStartFreshness - 1s);
  EXPECT_TRUE(b.take<effect::Requeue>().empty());
  b.pass(2s);
  requeues = b.take<effect::Requeue>();
  ASSERT_EQ(requeues.size(), 1u);
  EXPECT_EQ(requeues[0].items[0].token, attempts[0].token);
  EXPECT_EQ(requeues[0].items[0].why, GiveBack::WorkerLost);
  EXPECT_TRUE(b.dispatcher_.workers().empty());
}

TEST(Dispatcher, UnroutableWorkerLosesAtOnceWhatHadBegun) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  const auto attempts = b.answer_claim({1}, Delivery::AtMostOnce);
  b.sent_to(w);
  WorkerMessage m = b.message(w, 0);
  m.started = {held(attempts[0])};
  b.say(event::WorkerSaid{m});
  b.say(event::WorkerUnroutable{w});
  b.pass(limits::kDisconnectGrace + 500ms);
  const auto requeues = b.take<effect::Requeue>();
  ASSERT_EQ(requeues.size(), 1u);
  EXPECT_EQ(requeues[0].items[0].why, GiveBack::WorkerLost);
  EXPECT_TRUE(b.dispatcher_.workers().empty());
}

TEST(Dispatcher, RestartedWorkerLosesWhatItHeld) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  const auto attempts = b.answer_claim({1});
  b.seqs_[w] = 0;
  b.register_worker(w, 1, {}, 2);
  const auto requeues = b.take<effect::Requeue>();
  ASSERT_EQ(requeues.size(), 1u);
  EXPECT_EQ(requeues[0].items[0].token, attempts[0].token);
}

TEST(Dispatcher, TimeLimitOfTheDispatcherBoundsEveryAttemptAndHasABackstop) {
  Bench b(Mode::Push, 3s);
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  const auto attempts = b.answer_claim({1});
  const auto messages = b.sent_to(w);
  const auto with_attempt = std::ranges::find_if(messages, [](const auto& m) { return !m.attempts.empty(); });
  ASSERT_NE(with_attempt, messages.end());
  EXPECT_EQ(with_attempt->attempts[0].time_limit, 3s);
  b.receive_all(w);
  for (int i = 0; i < 29; ++i) {  // it goes on saying that it runs
    WorkerMessage m = b.message(w, 0);
    m.names_held = true;
    m.held = {held(attempts[0])};
    if (i == 0) m.started = m.held;
    b.say(event::WorkerSaid{m});
    b.pass(500ms);
  }
  EXPECT_TRUE(b.take<effect::Finish>().empty());
  b.pass(1s);
  const auto finishes = b.take<effect::Finish>();
  ASSERT_EQ(finishes.size(), 1u);
  EXPECT_EQ(finishes[0].items[0].outcome.kind, ErrorKind::Timeout);
}

TEST(Dispatcher, PullAnswersOnlyRequestsAndRepeatsAReplyThatWasNotSeen) {
  Bench b(Mode::Pull);
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  b.sent_to(w);  // ACK of the registration
  b.receive_all(w);
  b.say(event::WorkerSaid{b.message(w, 1)});
  b.answer_claim({1});
  const auto first = b.sent_to(w);
  ASSERT_EQ(first.size(), 1u);
  ASSERT_EQ(first[0].attempts.size(), 1u);
  b.say(event::WorkHint{});
  EXPECT_TRUE(b.sent_to(w).empty());      // no request, no message
  WorkerMessage again = b.message(w, 1);  // its ack says that the reply was not seen
  b.say(event::WorkerSaid{again});
  const auto second = b.sent_to(w);
  ASSERT_EQ(second.size(), 1u);
  ASSERT_EQ(second[0].attempts.size(), 1u);
  EXPECT_EQ(second[0].attempts[0].token, first[0].attempts[0].token);
}

TEST(Dispatcher, FunctionBodyIsFetchedOnceForAllThatWantIt) {
  Bench b;
  const Digest digest{{1, 2, 3, 4}};
  for (const std::uint64_t n : {1, 2}) {
    b.register_worker(worker_id(n), 1);
    WorkerMessage m = b.message(worker_id(n), 1);
    m.wants = {digest};
    b.say(event::WorkerSaid{m});
  }
  ASSERT_EQ(b.take<effect::FetchBody>().size(), 1u);
  b.effects_.clear();
  b.say(event::BodyFetched{digest, Payload{Buffer::of("body"), {}}});
  std::size_t bodies = 0;
  for (const auto& send : b.take<effect::Send>()) {
    for (const auto& body : send.message.functions) bodies += body.body.bytes.view() == "body" ? 1 : 0;
  }
  EXPECT_EQ(bodies, 2u);
}

TEST(Dispatcher, TaskClaimedAgainBeforeItsGiveBackWasAnsweredBelongsToItsNewWorkerAlone) {
  Bench b;
  const WorkerId first = worker_id(1), second = worker_id(2);
  b.register_worker(first, 1);
  const auto old = b.answer_claim({1});
  WorkerMessage m = b.message(first, 0);
  m.draining = true;
  m.given_back = {{held(old[0]), GiveBack::Unstarted, {}, {}}};
  b.say(event::WorkerSaid{m});
  const auto requeues = b.take<effect::Requeue>();
  ASSERT_EQ(requeues.size(), 1u);
  b.register_worker(second, 1);
  b.say(event::WorkHint{});
  const auto again = b.answer_claim({1});
  ASSERT_EQ(again.size(), 1u);
  b.say(event::Requeued{requeues[0].batch, std::vector{RequeueAnswer::Queued}});
  b.say(event::WorkerUnroutable{first});
  b.pass(2s);  // the first worker goes; what the second holds is not its to lose
  EXPECT_TRUE(b.take<effect::Requeue>().empty());
  EXPECT_EQ(b.dispatcher_.attempts_held(), 1u);
}

TEST(Dispatcher, RetryOfARaisedExceptionIsOneRequeue) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  auto claims = b.take<effect::Claim>();
  ASSERT_EQ(claims.size(), 1u);
  Attempt attempt;
  attempt.task = task(1);
  attempt.token = claims[0].request.tokens[0];
  attempt.retries_left = 1;
  attempt.retry_delay = 250ms;
  b.say(event::Claimed{claims[0].request.call, ClaimAnswer{.attempts = {attempt}, .no_session = false, .more = false}});
  WorkerMessage m = b.message(w, 1);
  OutcomeReport report = completed(attempt);
  report.outcome.kind = ErrorKind::FunctionFailed;
  m.outcomes = {report};
  b.say(event::WorkerSaid{m});
  EXPECT_TRUE(b.take<effect::Finish>().empty());
  const auto requeues = b.take<effect::Requeue>();
  ASSERT_EQ(requeues.size(), 1u);
  EXPECT_EQ(requeues[0].items[0].why, GiveBack::Retry);
  EXPECT_EQ(requeues[0].items[0].delay, 250ms);
}

// It names what was held when it was said first: attempts that came since are not dropped.
TEST(Dispatcher, ARegistrationThatArrivesTwiceIsAnsweredAgainAndNotJudged) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.boots_[w] = 1;
  WorkerMessage registration = b.message(w, 1);
  registration.registers = true;
  registration.info.slots = 1;
  b.say(event::WorkerSaid{registration});
  const auto attempts = b.answer_claim({1}, Delivery::AtMostOnce);
  ASSERT_EQ(attempts.size(), 1u);
  b.sent_to(w);
  b.receive_all(w);
  WorkerMessage beat = b.message(w, 0);
  beat.names_held = true;
  beat.held = {held(attempts[0])};
  b.say(event::WorkerSaid{beat});
  b.say(event::WorkerSaid{registration});
  EXPECT_TRUE(b.take<effect::Requeue>().empty());
  const auto messages = b.sent_to(w);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_TRUE(messages[0].registered);
}

TEST(Dispatcher, PassesOnWhatRunningTasksShow) {
  Bench b;
  const WorkerId w = worker_id(1);
  b.register_worker(w, 2);
  const auto attempts = b.answer_claim({1, 2});
  b.sent_to(w);
  b.say(event::FollowHint{{task(2), task(77)}});
  const auto messages = b.sent_to(w);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].follows, std::vector{held(attempts[1])});
  WorkerMessage m = b.message(w, 0);
  m.live = {{held(attempts[0]), true, {500'000, "half"}, 0, ""},
            {{task(2), Token{12345}}, false, {}, 0, "of another attempt"},
            {held(attempts[1]), false, {}, 7, "text"}};
  m.outcomes = {completed(attempts[1])};
  b.say(event::WorkerSaid{m});
  const auto live = b.take<effect::Live>();
  ASSERT_EQ(live.size(), 1u);
  ASSERT_EQ(live[0].items.size(), 2u);
  EXPECT_EQ(live[0].items[0].number, 1u);
  EXPECT_EQ(live[0].items[0].report.progress, (Progress{500'000, "half"}));
  EXPECT_EQ(live[0].items[1].report.text, "text") << "also of one that ends";
  EXPECT_EQ(live[0].items[1].report.from, 7u);
  m = b.message(w, 1);
  m.live = {{held(attempts[1]), false, {}, 11, "late"}};
  b.say(event::WorkerSaid{m});
  EXPECT_TRUE(b.take<effect::Live>().empty()) << "its end is on its way to the store";
}

}  // namespace
}  // namespace treadle::core

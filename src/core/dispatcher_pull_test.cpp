// PULL: parking, and plain clients.
#include "core/dispatcher_rig.h"

namespace treadle::core {
namespace {

using namespace testing_rig;

// A client that knows only docs/protocol.md: no numbers, no session.
class PlainClient {
 public:
  PlainClient(Bench& bench, WorkerId id) : bench_(bench), id_(id) {}

  void registers() {
    WorkerMessage m = message();
    m.registers = true;
    m.info.slots = 2;
    bench_.say(event::WorkerSaid{m});
  }
  void asks(Duration wait = Duration{0}) {
    WorkerMessage m = message();
    m.asks = true;
    m.wait = wait;
    bench_.say(event::WorkerSaid{m});
  }
  void completes(const Attempt& attempt) {
    WorkerMessage m = message();
    m.outcomes = {completed(attempt)};
    bench_.say(event::WorkerSaid{m});
  }
  void beats() { bench_.say(event::WorkerSaid{message()}); }

 private:
  WorkerMessage message() const {
    WorkerMessage m;
    m.worker = id_;
    return m;
  }
  Bench& bench_;
  WorkerId id_;
};

FunctionBody body_of(Bench& b) {
  const auto fetches = b.take<effect::FetchBody>();
  EXPECT_EQ(fetches.size(), 1u);
  return {fetches.empty() ? Digest{} : fetches[0].digest, Payload{Buffer::of("body"), {}}, true};
}

TEST(DispatcherPull, ParkedRequestIsAnsweredWhenItsTimeIsOver) {
  Bench b(Mode::Pull);
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  EXPECT_EQ(b.sent_to(w).size(), 1u);  // the answer to the registration
  b.receive_all(w);
  WorkerMessage m = b.message(w, 1);
  m.wait = 200ms;
  b.say(event::WorkerSaid{m});
  b.pass(150ms);
  EXPECT_TRUE(b.sent_to(w).empty());
  b.pass(100ms);
  const auto messages = b.sent_to(w);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_TRUE(messages[0].attempts.empty());
  b.pass(5s);  // nothing is asked any more, so nothing is said
  EXPECT_TRUE(b.sent_to(w).empty());
}

TEST(DispatcherPull, NobodyIsParkedLongerThanTheLimit) {
  Bench b(Mode::Pull);
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  b.sent_to(w);
  b.receive_all(w);
  WorkerMessage m = b.message(w, 1);
  m.wait = 1h;
  b.say(event::WorkerSaid{m});
  b.pass(limits::kMaxPark + 50ms);
  EXPECT_EQ(b.sent_to(w).size(), 1u);
}

// A request supersedes the one before, whose reply is then dropped by the worker's socket.
TEST(DispatcherPull, ReplyThatWasNotSeenIsSaidAgainWhole) {
  Bench b(Mode::Pull);
  const WorkerId w = worker_id(1);
  b.register_worker(w, 2);
  b.sent_to(w);
  b.receive_all(w);
  b.say(event::WorkerSaid{b.message(w, 2)});
  const auto attempts = b.answer_claim({1, 2});
  ASSERT_EQ(b.sent_to(w).size(), 1u);
  b.receive_all(w);
  WorkerMessage m = b.message(w, 1);
  m.outcomes = {completed(attempts[0])};
  m.wants = {Digest{{1}}};
  b.say(event::WorkerSaid{m});
  const auto finishes = b.take<effect::Finish>();
  ASSERT_EQ(finishes.size(), 1u);
  b.say(event::BodyFetched{Digest{{1}}, Payload{Buffer::of("body"), {}}});
  b.say(event::Finished{finishes[0].batch, std::vector{FinishAnswer::Applied}});
  std::size_t settled = 0, functions = 0;
  for (const auto& message : b.sent_to(w)) settled += message.settled.size(), functions += message.functions.size();
  EXPECT_EQ(functions, 1u);
  EXPECT_EQ(settled, 0u);                     // there was one request, and it was answered with the body
  b.say(event::WorkerSaid{b.message(w, 1)});  // as if it had not seen the reply
  const auto again = b.sent_to(w);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].settled, std::vector{held(attempts[0])});
  EXPECT_EQ(again[0].functions.size(), 1u);
  b.say(event::WorkerSaid{b.message(w, 1)});  // nor this one
  const auto third = b.sent_to(w);
  ASSERT_EQ(third.size(), 1u);
  EXPECT_EQ(third[0].settled, std::vector{held(attempts[0])});
  b.receive_all(w);
  b.say(event::WorkerSaid{b.message(w, 1)});
  EXPECT_TRUE(b.sent_to(w).empty());
}

TEST(DispatcherPull, PlainClientGetsNoTaskSoon) {
  Bench b(Mode::Pull);
  PlainClient client(b, worker_id(1));
  client.registers();
  EXPECT_EQ(b.sent_to(worker_id(1)).size(), 1u);
  client.asks(10s);
  EXPECT_TRUE(b.sent_to(worker_id(1)).empty());
  b.pass(limits::kPlainPark);
  const auto messages = b.sent_to(worker_id(1));
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_TRUE(messages[0].attempts.empty());
}

TEST(DispatcherPull, PlainClientGetsOneTaskWithItsBodyAndItRunsFromThen) {
  Bench b(Mode::Pull);
  PlainClient client(b, worker_id(1));
  client.registers();
  b.sent_to(worker_id(1));
  client.asks();
  const auto attempts = b.answer_claim({1});
  EXPECT_TRUE(b.sent_to(worker_id(1)).empty());  // the body first
  const auto started = b.take<effect::Started>();
  ASSERT_EQ(started.size(), 1u);
  EXPECT_EQ(started[0].items[0].token, attempts[0].token);
  b.say(event::BodyFetched{body_of(b).digest, Payload{Buffer::of("body"), {}}});
  const auto messages = b.sent_to(worker_id(1));
  ASSERT_EQ(messages.size(), 1u);
  ASSERT_EQ(messages[0].attempts.size(), 1u);
  ASSERT_EQ(messages[0].functions.size(), 1u);
  EXPECT_EQ(messages[0].functions[0].body.bytes.view(), "body");
}

TEST(DispatcherPull, PlainOutcomeIsAnsweredWhenItIsDurable) {
  Bench b(Mode::Pull);
  PlainClient client(b, worker_id(1));
  client.registers();
  client.asks();
  const auto attempts = b.answer_claim({1});
  b.say(event::BodyFetched{body_of(b).digest, Payload{Buffer::of("body"), {}}});
  b.sent_to(worker_id(1));
  client.completes(attempts[0]);
  const auto finishes = b.take<effect::Finish>();
  ASSERT_EQ(finishes.size(), 1u);
  b.pass(1s);
  EXPECT_TRUE(b.sent_to(worker_id(1)).empty());
  b.say(event::Finished{finishes[0].batch, std::vector{FinishAnswer::Applied}});
  const auto messages = b.sent_to(worker_id(1));
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].settled, std::vector{held(attempts[0])});
}

TEST(DispatcherPull, PlainClientMayHoldSeveralAttempts) {
  Bench b(Mode::Pull);
  PlainClient client(b, worker_id(1));
  client.registers();
  for (std::uint64_t n : {1, 2, 3}) {
    client.asks();
    b.say(event::WorkHint{});
    ASSERT_EQ(b.answer_claim({n}).size(), 1u);
    b.say(event::BodyFetched{body_of(b).digest, Payload{Buffer::of("body"), {}}});
  }
  EXPECT_EQ(b.dispatcher_.attempts_held(), 3u);
  b.pass(limits::kWorkerLease * 3);  // it never sent a heartbeat, so its silence means nothing
  EXPECT_EQ(b.dispatcher_.attempts_held(), 3u);
  EXPECT_TRUE(b.take<effect::Requeue>().empty());
}

TEST(DispatcherPull, SilenceEndsAPlainClientThatUsedToSendHeartbeats) {
  Bench b(Mode::Pull);
  PlainClient client(b, worker_id(1));
  client.registers();
  b.sent_to(worker_id(1));
  client.beats();
  EXPECT_EQ(b.sent_to(worker_id(1)).size(), 1u);  // answered at once
  client.asks();
  const auto attempts = b.answer_claim({1});
  b.say(event::BodyFetched{body_of(b).digest, Payload{Buffer::of("body"), {}}});
  b.pass(limits::kWorkerLease + 500ms);
  const auto requeues = b.take<effect::Requeue>();
  ASSERT_EQ(requeues.size(), 1u);
  EXPECT_EQ(requeues[0].items[0].token, attempts[0].token);
  EXPECT_EQ(requeues[0].items[0].why, GiveBack::WorkerLost);
  ASSERT_EQ(b.dispatcher_.lost_workers().size(), 1u);
  EXPECT_EQ(b.dispatcher_.lost_workers()[0].lost_why, "silent for one lease");
}

TEST(DispatcherPull, GoneConnectionEndsAPlainClient) {
  Bench b(Mode::Pull);
  PlainClient client(b, worker_id(1));
  client.registers();
  client.asks();
  b.answer_claim({1});
  b.say(event::BodyFetched{body_of(b).digest, Payload{Buffer::of("body"), {}}});
  b.say(event::WorkerUnroutable{worker_id(1)});
  b.pass(limits::kDisconnectGrace + 500ms);
  ASSERT_EQ(b.take<effect::Requeue>().size(), 1u);
  EXPECT_TRUE(b.dispatcher_.workers().empty());
}

TEST(DispatcherPull, PlainTaskWhoseFunctionIsGoneFails) {
  Bench b(Mode::Pull);
  PlainClient client(b, worker_id(1));
  client.registers();
  b.sent_to(worker_id(1));
  client.asks();
  const auto attempts = b.answer_claim({1});
  const Digest digest = body_of(b).digest;
  b.say(event::BodyFetched{digest, Result<Payload>(fail(Code::NotFound, "no body"))});
  const auto finishes = b.take<effect::Finish>();
  ASSERT_EQ(finishes.size(), 1u);
  EXPECT_EQ(finishes[0].items[0].token, attempts[0].token);
  EXPECT_EQ(finishes[0].items[0].outcome.kind, ErrorKind::DeserializeFailed);
  const auto messages = b.sent_to(worker_id(1));
  ASSERT_EQ(messages.size(), 1u);  // NO_TASK
  EXPECT_TRUE(messages[0].attempts.empty());
}

TEST(DispatcherPull, UnknownPlainClientIsAskedToRegister) {
  Bench b(Mode::Pull);
  PlainClient(b, worker_id(1)).asks();
  const auto messages = b.sent_to(worker_id(1));
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_TRUE(messages[0].reregister);
}

TEST(DispatcherPull, LostWorkerIsRememberedUntilItComesBack) {
  Bench b(Mode::Push);
  const WorkerId w = worker_id(1);
  b.register_worker(w, 2);
  b.say(event::WorkerUnroutable{w});
  b.pass(limits::kDisconnectGrace + 500ms);
  ASSERT_EQ(b.dispatcher_.lost_workers().size(), 1u);
  EXPECT_EQ(b.dispatcher_.lost_workers()[0].worker, w);
  EXPECT_EQ(b.dispatcher_.lost_workers()[0].info.slots, 2u);
  b.register_worker(w, 2, {}, 2);
  EXPECT_TRUE(b.dispatcher_.lost_workers().empty());
}

TEST(DispatcherPull, ARequestThatArrivesTwiceGetsTheSameAttemptsAgain) {
  Bench b(Mode::Pull);
  const WorkerId w = worker_id(1);
  b.register_worker(w, 1);
  b.sent_to(w);
  b.receive_all(w);
  const WorkerMessage request = b.message(w, 1);
  b.say(event::WorkerSaid{request});
  const auto attempts = b.answer_claim({1});
  auto messages = b.sent_to(w);
  ASSERT_EQ(messages.size(), 1u);
  ASSERT_EQ(messages[0].attempts.size(), 1u);
  b.say(event::WorkerSaid{request});
  messages = b.sent_to(w);
  ASSERT_EQ(messages.size(), 1u);
  ASSERT_EQ(messages[0].attempts.size(), 1u);
  EXPECT_EQ(messages[0].attempts[0].token, attempts[0].token);
  b.say(event::WorkerSaid{b.message(w, 1)});  // nor has the worker seen the second reply
  b.tick();
  messages = b.sent_to(w);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].attempts.size(), 1u);
}

}  // namespace
}  // namespace treadle::core

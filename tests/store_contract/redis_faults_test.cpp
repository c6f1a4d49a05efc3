// The Redis engine while its answers are lost, its data is deleted, its Redis dies, is full, or has others at work in
// it.
#include <algorithm>
#include <set>

#include "engine.h"
#include "redis/tap.h"

namespace treadle::store::contract {
namespace {

using core::ErrorKind;
using core::GiveBack;
using core::TaskState;
using redis::testing::RedisServer;
using redis::testing::ServerOptions;
using redis::testing::Tap;

ServerOptions with_aof(const char* fsync = "everysec") {
  return ServerOptions{.settings = {{"appendonly", "yes"}, {"appendfsync", fsync}}};
}

std::uint64_t held_in(Engine& store) {
  std::uint64_t held = 0;
  for (const auto& key : store.redis_cli({"KEYS", "treadle:session:*:held"}).items) {
    held += static_cast<std::uint64_t>(store.redis_cli({"HLEN", key.text}).integer);
  }
  return held;
}

std::vector<Submission> batch_of(Engine& store, FunctionId f, int n) {
  std::vector<Submission> batch;
  for (int i = 0; i < n; ++i) batch.push_back(store.submission(f, "args " + std::to_string(i)));
  return batch;
}

// Claims and finishes until nothing is left; returns what was finished.
std::vector<TaskId> drain(Engine& store, SessionId session, std::uint64_t& call) {
  std::vector<TaskId> done;
  for (;;) {
    const ClaimAnswer answer = store.claim(store.request(session, ++call, 64));
    if (answer.attempts.empty()) return done;
    for (const core::Attempt& a : answer.attempts) {
      EXPECT_EQ(store.finish(session, a, "r"), FinishAnswer::Applied);
      done.push_back(a.task);
    }
  }
}

// ---- each reply lost once ----

// Every operation at least once; ends with nothing left to do.
void live(Engine& store, std::vector<TaskId>& ids) {
  const FunctionId f = store.function();
  auto batch = batch_of(store, f, 7);
  batch[6].args.bytes = Buffer::of(std::string(400'000, 'b'));  // apart
  for (const Submission& s : batch) ids.push_back(s.id);
  const auto submitted = store.submit(batch);
  ASSERT_TRUE(submitted);
  for (const auto& one : *submitted) ASSERT_TRUE(one && !one->duplicate);
  const SessionId first = store.session(), second = store.session();
  std::uint64_t call = 0;
  const auto claimed = store.claim(store.request(first, ++call, 5)).attempts;
  ASSERT_EQ(claimed.size(), 5u);
  store.start(claimed[0]);
  EXPECT_EQ(store.finish(first, claimed[0], std::string(400'000, 'r')), FinishAnswer::Applied);
  store.requeue(first, claimed[1], GiveBack::WorkerLost);  // said again it is stale: nothing is lost by that
  EXPECT_EQ(store.cancel(claimed[2].task), CancelAnswer::Requested);
  store.renew(first, {});
  store.renew(first, {{claimed[2].task, claimed[2].token}});
  EXPECT_EQ(store.finish(first, claimed[2], "late", ErrorKind::Cancelled), FinishAnswer::Applied);
  EXPECT_EQ(store.adopt(second, {claimed[3].task, claimed[3].token}), AdoptAnswer::Adopted);
  const auto beats = store.renew(second).others;
  ASSERT_EQ(beats.size(), 1u);
  EXPECT_TRUE(store.reap(first, beats[0].beat));
  EXPECT_EQ(store.finish(second, claimed[3]), FinishAnswer::Applied);
  EXPECT_EQ(store.cancel(ids[5]), CancelAnswer::Cancelled);
  const core::Attempt again = store.claim_one(second, call = 1);
  EXPECT_EQ(store.requeue(second, again, GiveBack::Unstarted) == RequeueAnswer::Missing, false);
  EXPECT_EQ(store.reassert(second, {again.task, again.token, again.number}), AdoptAnswer::Adopted);
  EXPECT_EQ(store.finish(second, again), FinishAnswer::Applied);
  drain(store, second, call);
}

void expect_all_ended(Engine& store, const std::vector<TaskId>& ids) {
  for (const TaskId id : ids) {
    const auto view = store.view(id);
    ASSERT_TRUE(view);
    EXPECT_TRUE(core::is_terminal(view->state)) << to_string(id);
    EXPECT_FALSE(view->result.bytes.empty());
  }
  EXPECT_EQ(held_in(store), 0u) << "something is held by nobody";
  for (const auto& figure :
       store.redis_cli({"HMGET", "treadle:meta", "queued", "queued_bytes", "held", "running"}).items)
    EXPECT_EQ(figure.text, "0");
}

TEST(RedisFaults, EachReplyMayBeLostOnceAndNothingIsLostWithIt) {
  RedisServer server(with_aof());
  int commands = 0;
  for (int i = 0; i < 2; ++i) {  // the first time Redis learns the scripts
    Tap tap(server.tcp());
    Engine store(tap.address());
    store.redis_cli({"FLUSHALL"});
    const int before = tap.commands();
    std::vector<TaskId> ids;
    live(store, ids);
    commands = tap.commands() - before;
    expect_all_ended(store, ids);
  }
  ASSERT_GT(commands, 25);
  int struck = 0;
  for (int nth = 1; nth <= commands; ++nth) {
    SCOPED_TRACE("reply " + std::to_string(nth));
    Engine direct(server.tcp());
    direct.redis_cli({"FLUSHALL"});
    Tap tap(server.tcp());
    tap.drop_reply(nth);
    Engine store(tap.address());
    std::vector<TaskId> ids;
    live(store, ids);
    expect_all_ended(direct, ids);
    struck += tap.struck();
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_EQ(struck, commands);
  RecordProperty("struck", struck);
}

// ---- what operators do ----

TEST(RedisFaults, ScriptsThatRedisForgotAreGivenAgain) {
  RedisServer server;
  Engine store(server.unix_socket());
  const FunctionId f = store.function();
  const SessionId session = store.session();
  for (std::uint64_t call = 1; call <= 5; ++call) {
    store.redis_cli({"SCRIPT", "FLUSH"});
    const TaskId id = store.submit_one(store.submission(f));
    store.redis_cli({"SCRIPT", "FLUSH"});
    const core::Attempt a = store.claim_one(session, call);
    store.redis_cli({"SCRIPT", "FLUSH"});
    EXPECT_EQ(store.finish(session, a), FinishAnswer::Applied);
    EXPECT_EQ(store.view(id)->state, TaskState::Completed);
  }
}

TEST(RedisFaults, FlushallUnderLoadHurtsNobody) {
  RedisServer server;
  Engine gateway(server.unix_socket()), dispatcher(server.unix_socket());
  int flushed = 0, unknown = 0, reopened = 0, missing = 0, completed = 0;
  FunctionId f = gateway.function();
  SessionId session = dispatcher.session();
  std::uint64_t call = 0;
  for (int round = 0; round < 300; ++round) {
    auto answers = gateway.submit(batch_of(gateway, f, 8));
    ASSERT_TRUE(answers) << answers.error().message;
    if (!(*answers)[0]) {
      ASSERT_EQ((*answers)[0].error().code, Code::NotFound);
      ++unknown;
      f = gateway.function();
    }
    const ClaimAnswer claimed = dispatcher.claim(dispatcher.request(session, ++call, 8));
    if (claimed.no_session) {
      EXPECT_TRUE(dispatcher.renew(session).missing);
      session = dispatcher.session();
      call = 0;
      ++reopened;
    }
    if (round % 10 == 5) {
      gateway.redis_cli({"FLUSHALL"});
      ++flushed;
    }
    for (const core::Attempt& a : claimed.attempts) {
      const FinishAnswer answer = dispatcher.finish(session, a);
      EXPECT_TRUE(answer == FinishAnswer::Applied || answer == FinishAnswer::Missing);
      ++(answer == FinishAnswer::Applied ? completed : missing);
    }
  }
  EXPECT_EQ(flushed, 30);
  EXPECT_GE(unknown, 29);
  EXPECT_GE(reopened, 29);
  EXPECT_GT(missing, 100);
  EXPECT_GT(completed, 1000);
  if (gateway.submit(batch_of(gateway, f, 1))->at(0)) drain(dispatcher, session, call);
  EXPECT_EQ(dispatcher->counters().queued, 0u);
  EXPECT_EQ(held_in(gateway), 0u);
}

TEST(RedisFaults, ADeletedTaskIsPassedOverAndItsOutcomeIsMissing) {
  RedisServer server;
  Engine store(server.unix_socket());
  const FunctionId f = store.function();
  const TaskId gone = store.submit_one(store.submission(f)), held = store.submit_one(store.submission(f)),
               kept = store.submit_one(store.submission(f));
  store.redis_cli({"DEL", to_string(gone)});
  const SessionId session = store.session();
  const core::Attempt a = store.claim_one(session, 1);
  EXPECT_EQ(a.task, held);
  store.redis_cli({"DEL", to_string(held)});
  EXPECT_EQ(store.finish(session, a), FinishAnswer::Missing);
  EXPECT_EQ(store->counters().claimed, 0u);
  std::uint64_t call = 1;
  EXPECT_EQ(drain(store, session, call), std::vector{kept});
  EXPECT_EQ(store->counters().queued, 0u);
  EXPECT_EQ(store->counters().queued_bytes, 0u);
  EXPECT_EQ(store.view(gone).error().code, Code::NotFound);
  store.redis_cli({"DEL", to_string(f)});
  EXPECT_EQ(store.submit(batch_of(store, f, 1))->at(0).error().code, Code::NotFound) << "a deleted function is unknown";
}

TEST(RedisFaults, WhatIsReadableIsReadable) {
  RedisServer server;
  Engine store(server.unix_socket());
  const FunctionId f = store.function();
  const TaskId id = store.submit_one(store.submission(f, std::string(100, '\0')));
  const SessionId session = store.session();
  store.finish(session, store.claim_one(session), std::string(100, '\xff'));
  for (const std::string& name : {to_string(f), to_string(id)}) {
    const auto words = store.redis_cli({"HGETALL", name});
    ASSERT_GT(words.items.size(), 6u);
    for (const auto& word : words.items) {
      for (const char c : word.text) EXPECT_TRUE(c == '\n' || (c >= ' ' && c <= '~')) << word.text;
    }
  }
  const std::string result = store.redis_cli({"HGET", to_string(id), "task_result"}).text;
  EXPECT_EQ(result.find('\n'), 76u);
  EXPECT_EQ(result.back(), '\n');
  EXPECT_EQ(store.redis_cli({"HGET", to_string(id), "task_status"}).text, "COMPLETED");
  EXPECT_GT(store.redis_cli({"TTL", to_string(id)}).integer, 6 * 24 * 3600);
}

// ---- Redis in trouble ----

TEST(RedisFaults, AWaiterIsWokenThoughItsChannelWasCut) {
  RedisServer server;
  Engine gateway(server.unix_socket()), dispatcher(server.unix_socket());
  const TaskId id = gateway.submit_one(gateway.submission(gateway.function()));
  std::optional<Result<TaskView>> woken;
  gateway->wait(id, gateway.now() + 20s, [&](Result<TaskView> view) { woken.emplace(std::move(view)); });
  gateway.turn_for(50ms);
  EXPECT_GE(gateway.redis_cli({"CLIENT", "KILL", "TYPE", "pubsub"}).integer, 1);
  const SessionId session = dispatcher.session();
  EXPECT_EQ(dispatcher.finish(session, dispatcher.claim_one(session)), FinishAnswer::Applied);
  const Instant begun = gateway.now();
  gateway.turn_until([&] { return woken.has_value(); });
  ASSERT_TRUE(woken && *woken);
  EXPECT_EQ((*woken)->state, TaskState::Completed);
  EXPECT_LT(gateway.now() - begun, 2s);
}

TEST(RedisFaults, AWaiterElsewhereIsWokenAtOnce) {
  RedisServer server;
  Engine gateway(server.unix_socket()), dispatcher(server.unix_socket());
  const FunctionId f = gateway.function();
  const SessionId session = dispatcher.session();
  int quick = 0;
  for (std::uint64_t call = 1; call <= 10; ++call) {
    const TaskId id = gateway.submit_one(gateway.submission(f));
    std::optional<Result<TaskView>> woken;
    gateway->wait(id, gateway.now() + 20s, [&](Result<TaskView> view) { woken.emplace(std::move(view)); });
    gateway.turn_for(20ms);
    dispatcher.finish(session, dispatcher.claim_one(session, call));
    const Instant begun = gateway.now();
    gateway.turn_until([&] { return woken.has_value(); });
    ASSERT_TRUE(woken && *woken);
    if (gateway.now() - begun < 300ms) ++quick;
  }
  EXPECT_GE(quick, 8) << "the channel, not the backstop of a second, wakes";
}

TEST(RedisFaults, AFullRedisTakesNothingNewAndLetsEverythingEnd) {
  RedisServer server(ServerOptions{.settings = {{"maxmemory-policy", "noeviction"}}});
  Engine store(server.unix_socket());
  const FunctionId f = store.function();
  for (int i = 0; i < 3; ++i) store.submit_one(store.submission(f));
  const SessionId session = store.session();
  const core::Attempt a = store.claim_one(session, 1), b = store.claim_one(session, 2);
  store.redis_cli({"CONFIG", "SET", "maxmemory", "1000000"});
  const auto refused = store.submit(batch_of(store, f, 1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::StoreFull) << refused.error().message;
  core::Function g;
  g.id = FunctionId(Uuid{9, 9});
  g.name = "g";
  const auto id = store.ask<Result<FunctionId>>([&](auto done) { store->put_function(g, std::move(done)); });
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().code, Code::StoreFull);
  EXPECT_EQ(store.finish(session, a), FinishAnswer::Applied);
  EXPECT_EQ(store.requeue(session, b, GiveBack::WorkerLost), RequeueAnswer::Queued);
  EXPECT_TRUE(store.renew(session).live);
  std::uint64_t call = 2;
  EXPECT_EQ(drain(store, session, call).size(), 2u);
  store.redis_cli({"CONFIG", "SET", "maxmemory", "0"});
  EXPECT_TRUE(store.submit(batch_of(store, f, 1))->at(0));
}

TEST(RedisFaults, AKilledRedisThatComesBackHasEverythingAndIsUsedAtOnce) {
  RedisServer server(with_aof("always"));
  Engine store(server.tcp());
  const FunctionId f = store.function();
  std::vector<TaskId> ids;
  for (int i = 0; i < 20; ++i) ids.push_back(store.submit_one(store.submission(f)));
  const SessionId session = store.session();
  const auto attempts = store.claim(store.request(session, 1, 10)).attempts;
  server.kill();
  store.turn_for(400ms);
  const Instant asked = store.now();
  const auto away = store.submit(batch_of(store, f, 1));
  ASSERT_FALSE(away);
  EXPECT_EQ(away.error().code, Code::StoreAway);
  EXPECT_LT(store.now() - asked, 1s) << "a submit is not kept waiting";
  server.start();
  const Instant back = store.now();
  store.turn_until([&] { return store.view(ids[0]).has_value(); });
  EXPECT_LT(store.now() - back, 2s);
  for (const core::Attempt& a : attempts) EXPECT_EQ(store.finish(session, a), FinishAnswer::Applied);
  std::uint64_t call = 1;
  EXPECT_EQ(drain(store, session, call).size(), 10u);
  for (const TaskId id : ids) EXPECT_EQ(store.view(id)->state, TaskState::Completed);
}

TEST(RedisFaults, AnAttemptGivenBackAtOnceDoesNotWaitForAnEarlierDelay) {
  RedisServer server;
  Engine store(server.unix_socket());
  Submission s = store.submission(store.function());
  s.delay_ms = 3'600'000;
  const TaskId id = store.submit_one(s);
  const SessionId session = store.session();
  const core::Attempt held{.task = id, .token = Token{7}, .number = 1};
  EXPECT_EQ(store.reassert(session, {id, held.token, 1}), AdoptAnswer::Adopted);
  EXPECT_EQ(store.requeue(session, held, GiveBack::Unstarted), RequeueAnswer::Queued);
  EXPECT_EQ(store.claim_one(session).task, id);
}

// ---- others at work ----

TEST(RedisFaults, AnotherDispatcherReapsPageByPageWhatADeadOneHeld) {
  RedisServer server;
  Engine survivor(server.unix_socket());
  const FunctionId f = survivor.function();
  ASSERT_TRUE(survivor.submit(batch_of(survivor, f, 300)));
  std::set<TaskId> lost;
  const SessionId alive = survivor.session();
  {
    Engine dead(server.unix_socket());
    const SessionId session = dead.session();
    for (std::uint64_t call = 1; call <= 3; ++call) {
      const auto answer = dead.claim(dead.request(session, call, 100));
      ASSERT_EQ(answer.attempts.size(), 100u);
      for (const core::Attempt& a : answer.attempts) lost.insert(a.task);
      if (call == 1) dead.start(answer.attempts[0]);
    }
    dead.turn_for(20ms);
  }
  ASSERT_EQ(lost.size(), 300u);
  EXPECT_TRUE(survivor.claim(survivor.request(alive, 1, 5)).attempts.empty());
  const auto beats = survivor.renew(alive).others;
  ASSERT_EQ(beats.size(), 1u);
  EXPECT_TRUE(survivor.reap(beats[0].session, beats[0].beat));
  EXPECT_EQ(survivor->counters().reaped, 1u);
  std::uint64_t call = 1;
  const auto done = drain(survivor, alive, call);
  EXPECT_EQ(std::set<TaskId>(done.begin(), done.end()), lost);
  EXPECT_EQ(done.size(), 300u) << "each once";
  EXPECT_EQ(held_in(survivor), 0u);
  int burnt = 0;
  for (const TaskId id : lost) burnt += static_cast<int>(survivor.story(id)->losses);
  EXPECT_EQ(burnt, 1) << "only what was started";
}

TEST(RedisFaults, TwoDispatchersAdoptFromEachOther) {
  RedisServer server;
  Engine one(server.unix_socket()), two(server.unix_socket());
  const TaskId id = one.submit_one(one.submission(one.function()));
  const SessionId first = one.session(), second = two.session();
  const core::Attempt a = one.claim_one(first);
  EXPECT_EQ(two.adopt(second, {id, a.token}), AdoptAnswer::Adopted);
  EXPECT_EQ(one.requeue(first, a, GiveBack::WorkerLost), RequeueAnswer::Stale);
  EXPECT_EQ(one.adopt(first, {id, a.token}), AdoptAnswer::Adopted);
  EXPECT_EQ(two.requeue(second, a, GiveBack::WorkerLost), RequeueAnswer::Stale);
  EXPECT_EQ(two.finish(second, a), FinishAnswer::Applied);
  EXPECT_EQ(one.finish(first, a), FinishAnswer::Duplicate);
  EXPECT_EQ(held_in(one), 0u);
}

TEST(RedisFaults, ACancelReachesTheDispatcherThatHoldsIt) {
  RedisServer server;
  Engine gateway(server.unix_socket()), dispatcher(server.unix_socket());
  std::vector<core::Held> told;
  dispatcher->on_revoke([&](std::vector<core::Held> attempts) { told = std::move(attempts); });
  const TaskId id = gateway.submit_one(gateway.submission(gateway.function()));
  const SessionId session = dispatcher.session();
  const core::Attempt a = dispatcher.claim_one(session);
  dispatcher.turn_for(50ms);
  EXPECT_EQ(gateway.cancel(id), CancelAnswer::Requested);
  dispatcher.turn_until([&] { return !told.empty(); }, 2s);
  EXPECT_EQ(told, (std::vector<core::Held>{{id, a.token}}));
  EXPECT_EQ(dispatcher.renew(session).revokes, told) << "and for certain with the renewal";
}

// A gateway that knows only the seed's keys.
class Foreign {
 public:
  explicit Foreign(Engine& store) : store_(store) {
    store_.redis_cli({"HSET", function_, "name", "double", "function_body", "gAJjYnVpbHRpbnMKbGVuCi4=\n"});
  }
  void write(const std::string& id, const std::string& args = "gAIpfYYu\n") {
    store_.redis_cli({"HSET", id, "task_id", id, "function_id", function_, "function_args", args, "task_status",
                      "QUEUED", "task_result", ""});
  }
  void push(const std::string& id) { store_.redis_cli({"RPUSH", "task_queue", id}); }
  void announce(const std::string& id) { store_.redis_cli({"PUBLISH", "tasks", id}); }
  const std::string function_ = "71ed469b-bc52-45d5-89ae-b21aa40760c9";

 private:
  Engine& store_;
};

TEST(RedisFaults, TasksOfAForeignGatewayRunOnceAndTellWhatTheyNeed) {
  RedisServer server;
  Engine store(server.unix_socket());
  Foreign foreign(store);
  store->on_work([] {});
  store.turn_for(50ms);
  const std::string pushed = "11111111-1111-4111-8111-111111111111", announced = "22222222-2222-4222-8222-222222222222",
                    both = "33333333-3333-4333-8333-333333333333", broken = "44444444-4444-4444-8444-444444444444";
  for (const std::string& id : {pushed, announced, both}) foreign.write(id);
  foreign.write(broken, "!!not base64!!");
  foreign.push(pushed);
  foreign.announce(announced);
  foreign.push(both);
  foreign.announce(both);
  foreign.announce(both);
  foreign.push(broken);
  store.turn_for(100ms);
  const SessionId session = store.session();
  std::set<std::string> ran;
  std::uint64_t call = 0;
  for (;;) {
    const auto answer = store.claim(store.request(session, ++call, 10));
    if (answer.attempts.empty()) break;
    for (const core::Attempt& a : answer.attempts) {
      EXPECT_TRUE(ran.insert(to_string(a.task)).second) << "it ran twice";
      EXPECT_EQ(a.args.bytes.view(), std::string_view("\x80\x02)}\x86.", 6));
      EXPECT_EQ(a.args.facts.protocol, 2);
      const auto body =
          store.ask<Result<core::Payload>>([&](auto done) { store->get_body(a.body_digest, std::move(done)); });
      ASSERT_TRUE(body) << body.error().message;
      EXPECT_EQ(body->bytes.view(), std::string_view("\x80\x02"
                                                     "cbuiltins\nlen\n.",
                                                     17));
      EXPECT_EQ(store.finish(session, a), FinishAnswer::Applied);
    }
  }
  EXPECT_EQ(ran, (std::set{pushed, announced, both}));
  store.turn_until([&] { return core::is_terminal(store.view(*TaskId::parse(broken))->state); });
  EXPECT_EQ(store.view(*TaskId::parse(broken))->error_kind, ErrorKind::DeserializeFailed);
  EXPECT_EQ(store->counters().queued, 0u);
  EXPECT_EQ(store.redis_cli({"HGET", pushed, "task_status"}).text, "COMPLETED");
  EXPECT_EQ(held_in(store), 0u);
}

TEST(RedisFaults, WorkersAreSeenFromEverywhereAndGoWithTheirSession) {
  RedisServer server;
  Engine gateway(server.unix_socket()), dispatcher(server.unix_socket());
  const SessionId session = dispatcher.session(), other = gateway.session();
  WorkerReport w;
  w.id = WorkerId(Uuid{5, 6});
  w.dispatcher = "d";
  w.mode = core::Mode::Push;
  w.state = "ready";
  w.info.host = "h";
  w.info.slots = 4;
  w.info.pythons = {{3, 11, 2}};
  w.load = 3;
  w.current_tasks = {TaskId(Uuid{1, 2})};
  dispatcher->report_workers(session, {w});
  dispatcher.turn_for(20ms);
  const auto seen = [&] {
    return *gateway.ask<Result<std::vector<WorkerReport>>>([&](auto done) { gateway->workers(std::move(done)); });
  };
  ASSERT_EQ(seen().size(), 1u);
  EXPECT_EQ(seen()[0].id, w.id);
  EXPECT_EQ(seen()[0].mode, core::Mode::Push);
  EXPECT_EQ(seen()[0].info.slots, 4u);
  EXPECT_EQ(seen()[0].info.pythons[0].minor, 11);
  EXPECT_EQ(seen()[0].current_tasks, w.current_tasks);
  for (const auto& beat : gateway.renew(other).others) EXPECT_TRUE(gateway.reap(beat.session, beat.beat));
  EXPECT_TRUE(seen().empty());
}

}  // namespace
}  // namespace treadle::store::contract

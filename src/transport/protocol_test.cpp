// docs/protocol.md is true: each of its `wire` blocks is what the codec writes, byte for byte, and what it reads.
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "core/failure_object.h"
#include "transport/blob_frames.h"
#include "transport/codec.h"
#include "transport/testing.h"

namespace treadle::transport {
namespace {

using testing::dump;

// ```wire NAME, then a line for each frame.
std::map<std::string, Frames> blocks_of_the_document() {
  std::ifstream file(TREADLE_SOURCE_DIR "/docs/protocol.md");
  std::map<std::string, Frames> blocks;
  std::string open;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("```")) {
      open = line.starts_with("```wire ") ? line.substr(8) : "";
    } else if (!open.empty()) {
      blocks[open].push_back(Buffer::of(line));
    }
  }
  return blocks;
}

const std::map<std::string, Frames> kBlocks = blocks_of_the_document();

const Frames& block(const std::string& name) {
  static const Frames none;
  const auto it = kBlocks.find(name);
  EXPECT_NE(it, kBlocks.end()) << "docs/protocol.md has no block 'wire " << name << "'";
  return it == kBlocks.end() ? none : it->second;
}

std::string text_of(const Frames& frames) {
  std::string text;
  for (const Buffer& frame : frames) text += std::string(frame.view()) + '\n';
  return text;
}

Uuid id(std::uint64_t n) { return {0x0193610f54c27b7e, 0xa1b5000000000000 | n}; }
core::Held held(std::uint64_t n) { return {TaskId(id(n)), Token{0xa00 | n}}; }
const Digest kFunction{{1, 2, 3, 0xf1}};

core::WorkerMessage worker_says(std::uint64_t seq, std::uint64_t ack) {
  core::WorkerMessage message;
  message.worker = WorkerId(Uuid{0x6f1c2a3b00004000, 0x80000000000000a1});
  message.boot = 0xdeadbeef;
  message.seq = seq;
  message.ack = ack;
  if (ack > 0) message.session = SessionId(id(1));
  return message;
}

core::DispatcherMessage dispatcher_says(std::uint64_t seq, std::uint64_t ack) {
  core::DispatcherMessage message;
  message.session = SessionId(id(1));
  message.seq = seq;
  message.ack = ack;
  return message;
}

core::Payload payload(std::string bytes, std::uint32_t facts) {
  return {Buffer::of(std::move(bytes)), core::PayloadFacts::unpack(facts)};
}

void expect_block(const std::string& name, const core::WorkerMessage& message, std::optional<Duration> wait = {}) {
  EXPECT_EQ(text_of(encode(message, nullptr, wait)), text_of(block(name)));
  const auto decoded = decode_worker(block(name));
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(dump(decoded->message), dump(message));
}

void expect_block(const std::string& name, const core::DispatcherMessage& message, bool pull = false) {
  EXPECT_EQ(text_of(encode(message, nullptr, pull)), text_of(block(name)));
  const auto decoded = decode_dispatcher(block(name));
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(dump(decoded->message), dump(message));
}

TEST(Protocol, WorkersSpeakAsWritten) {
  auto registration = worker_says(1, 0);
  registration.registers = registration.names_held = true;
  registration.info = {"node-7", 4242, 4, {{3, 11, 2}}, {}, {}, {}, false};
  registration.free_slots = 4;
  expect_block("registration", registration);

  auto outcomes = worker_says(7, 5);
  outcomes.free_slots = 2;
  core::OutcomeReport value{held(0x11), {}}, failed{held(0x12), {}};
  value.outcome.result = payload("value", 1024);
  value.outcome.measures = {1000, 2000, 0, 0, 0, 0};
  failed.outcome.result = payload("failed", 512);
  failed.outcome.kind = core::ErrorKind::FunctionFailed;
  failed.outcome.error_type = "ValueError";
  failed.outcome.error_message = "boom";
  outcomes.outcomes = {value, failed};
  expect_block("outcomes", outcomes);

  auto back = worker_says(8, 6);
  back.names_held = back.draining = true;
  back.held = back.started = {held(0x13)};
  back.given_back = {{held(0x14), core::GiveBack::Unstarted, "", {}}};
  expect_block("given-back", back);

  auto live = worker_says(10, 6);
  live.live = {{held(0x13), true, {400'000, "row 4 of 10"}, 0, ""}, {held(0x14), false, {}, 5, "more output\n"}};
  expect_block("live", live);

  auto request = worker_says(9, 6);
  request.free_slots = 4;
  expect_block("pull-request", request, 3s);
  EXPECT_TRUE(decode_worker(block("pull-request"))->marks.asks);
  EXPECT_EQ(decode_worker(block("pull-request"))->marks.wait, 3s);
}

TEST(Protocol, DispatchersSpeakAsWritten) {
  auto registered = dispatcher_says(1, 1);
  registered.registered = true;
  registered.heartbeat = 1s;
  expect_block("registered", registered);

  auto tasks = dispatcher_says(5, 6);
  core::Attempt first, second;
  first.task = held(0x11).task, first.token = held(0x11).token;
  first.number = 1;
  first.function = FunctionId(id(0xf1));
  first.body_digest = kFunction;
  first.args = payload("args", 1024);
  second = first;
  second.task = held(0x12).task, second.token = held(0x12).token;
  second.number = 2;
  second.args = payload(",args2", 1024);
  second.args.bytes = Buffer::of("args2");
  second.delivery = core::Delivery::AtMostOnce;
  second.suspect = true;
  second.retries_left = 1;
  second.time_limit = 60s;
  tasks.attempts = {first, second};
  tasks.settled = {held(0x10)};
  expect_block("tasks", tasks);

  auto function = dispatcher_says(6, 7);
  function.functions = {{kFunction, payload("body", 1056), true}, {Digest{{1, 2, 3, 0xf2}}, {}, false}};
  expect_block("function", function);

  auto revoke = dispatcher_says(7, 7);
  revoke.revokes = {{held(0x13), true}, {held(0x14), false}};
  expect_block("revoke", revoke);

  auto follow = dispatcher_says(9, 9);
  follow.follows = {held(0x14)};
  expect_block("follow", follow);

  expect_block("no-task", dispatcher_says(8, 9), true);
  EXPECT_EQ(encode(dispatcher_says(8, 9))[0].view(), type::kAck);
}

TEST(Protocol, TypesNameWhatAMessageIsMainlyAbout) {
  const auto of = [](const auto& message) { return std::string(encode(message)[0].view()); };
  auto worker = worker_says(1, 1);
  EXPECT_EQ(of(worker), "HEARTBEAT");
  worker.goodbye = true;
  EXPECT_EQ(of(worker), "GOODBYE");
  worker.wants = {kFunction};
  EXPECT_EQ(of(worker), "FUNCTION_REQUEST");
  worker.outcomes.push_back({held(1), {}});
  worker.outcomes[0].outcome.kind = core::ErrorKind::Timeout;
  EXPECT_EQ(of(worker), "TASK_FAILED");
  worker.outcomes.push_back({held(2), {}});
  EXPECT_EQ(of(worker), "TASK_COMPLETED");
  worker.registers = true;
  EXPECT_EQ(of(worker), "WORKER_REGISTRATION");

  auto dispatcher = dispatcher_says(1, 1);
  dispatcher.ping = true;
  EXPECT_EQ(of(dispatcher), "PING");
  dispatcher.settled = {held(1)};
  EXPECT_EQ(of(dispatcher), "ACK");
  dispatcher.drain = true;
  EXPECT_EQ(of(dispatcher), "DRAIN");
  dispatcher.reregister = true;
  EXPECT_EQ(of(dispatcher), "REREGISTER");
}

TEST(Protocol, PlainTaskHasFunctionAndArgumentsBesideIt) {
  core::Attempt attempt;
  attempt.task = held(0x11).task, attempt.token = held(0x11).token;
  attempt.number = 1;
  attempt.function = FunctionId(id(0xf1));
  attempt.body_digest = kFunction;
  attempt.time_limit = 60s;
  attempt.args = payload("args", 1024);
  EXPECT_EQ(text_of(encode_plain(attempt, payload("body", 1056))), text_of(block("plain-task")));
}

TEST(Protocol, PlainOutcomesAreOutcomes) {
  const auto completed = decode_worker(block("plain-completed"));
  ASSERT_TRUE(completed) << completed.error().message;
  EXPECT_TRUE(completed->marks.plain);
  EXPECT_EQ(completed->message.seq, 0u);
  EXPECT_EQ(completed->message.worker, worker_id_of("my-worker"));
  ASSERT_EQ(completed->message.outcomes.size(), 1u);
  EXPECT_EQ(completed->message.outcomes[0].attempt, held(0x11));
  EXPECT_TRUE(completed->message.outcomes[0].outcome.completed());
  EXPECT_EQ(completed->message.outcomes[0].outcome.result.bytes.view(), "result");

  const auto failed = decode_worker(block("plain-failed"));
  ASSERT_TRUE(failed) << failed.error().message;
  const core::Outcome& outcome = failed->message.outcomes.at(0).outcome;
  EXPECT_EQ(outcome.kind, core::ErrorKind::FunctionFailed);
  EXPECT_EQ(outcome.error_type, "ValueError");
  EXPECT_EQ(outcome.error_message, "boom");
  EXPECT_EQ(outcome.result.bytes,
            core::function_failure_object(held(0x11).task, "my-worker", "ValueError: boom").bytes);
}

TEST(Protocol, BlobsTravelAsWritten) {
  const BlobRequest request{kFunction, 262144, {worker_says(1, 1).worker, 0xdeadbeef}};
  EXPECT_EQ(text_of(encode(request)), text_of(block("blob-request")));
  EXPECT_EQ(*decode_blob_request(block("blob-request")), request);
  const BlobPart part{kFunction, 262144, 262148, Buffer::of("last"), false, {}};
  EXPECT_EQ(text_of(encode(part)), text_of(block("blob")));
  const auto read = decode_blob(block("blob"));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->blob, kFunction);
  EXPECT_EQ(read->offset, 262144u);
  EXPECT_EQ(read->size, 262148u);
  EXPECT_EQ(read->bytes.view(), "last");
}

TEST(Protocol, ErrorIsOneSentence) {
  const std::string sentence = "header: 'seq' is -1; it must be a whole number from 0 to 18446744073709551615";
  EXPECT_EQ(text_of(error_frames(sentence)), text_of(block("error")));
  EXPECT_EQ(error_text(block("error")), sentence);
  EXPECT_EQ(error_text(block("no-task")), std::nullopt);
  EXPECT_EQ(error_text(error_frames(std::string(1 << 20, 'x')))->size(), 4096u);
  EXPECT_EQ(error_text(error_frames("cut \xff\x00 text")), "cut \xef\xbf\xbd");
}

TEST(Protocol, EveryBlockOfTheDocumentIsChecked) {
  EXPECT_EQ(kBlocks.size(), 17u) << "a new block needs its test here";
}

}  // namespace
}  // namespace treadle::transport

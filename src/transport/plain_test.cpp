// Clients that number nothing: what they may leave out, and what they are told when they leave out too much.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "transport/codec.h"

namespace treadle::transport {
namespace {

const std::string kAttempt = R"("task_id":"0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13","token":"00000000000000ff")";

Result<DecodedWorker> say(const std::string& type, const std::string& header,
                          const std::vector<std::string>& more = {}) {
  Frames frames = {Buffer::of(type), Buffer::of(header)};
  for (const std::string& frame : more) frames.push_back(Buffer::of(frame));
  return decode_worker(frames);
}

std::string refusal(const std::string& type, const std::string& members) {
  const auto decoded = say(type, R"({"worker":"w",)" + members + "}");
  return decoded ? "taken" : decoded.error().message;
}

TEST(Plain, RegistrationNeedsOnlyAName) {
  const auto least = say("WORKER_REGISTRATION", R"({"worker":"w"})");
  ASSERT_TRUE(least);
  EXPECT_TRUE(least->marks.plain);
  EXPECT_FALSE(least->marks.asks);
  EXPECT_TRUE(least->message.registers);
  EXPECT_EQ(least->message.info.slots, 1u);
  EXPECT_EQ(least->message.info.host, "w");
  EXPECT_EQ(least->message.boot, 0u);
  const auto more =
      say("WORKER_REGISTRATION", R"({"worker":"w","slots":3,"host":"h","queues":["q"],"pythons":["3.12"]})");
  ASSERT_TRUE(more);
  EXPECT_EQ(more->message.info.slots, 3u);
  EXPECT_EQ(more->message.info.host, "h");
  EXPECT_EQ(more->message.info.queues, std::vector<std::string>{"q"});
  EXPECT_EQ(more->message.info.pythons.at(0).minor, 12);
}

TEST(Plain, NamesStandForUuidsAndUuidsForThemselves) {
  const std::string text = "6f1c2a3b-0000-4000-8000-0000000000a1";
  EXPECT_EQ(to_string(worker_id_of(text)), text);
  // hashlib.sha256(b"w").digest()[:16] is 50e721e49c013f00c62cf59f2163542a; then version and variant.
  EXPECT_EQ(to_string(worker_id_of("w")), "50e721e4-9c01-8f00-862c-f59f2163542a");
  EXPECT_NE(worker_id_of("w"), worker_id_of("W"));
}

TEST(Plain, RequestAsksForOneTaskAndWaitsShortly) {
  const auto request = say("WORKER_TASK_REQUEST", R"({"worker":"w"})");
  ASSERT_TRUE(request);
  EXPECT_TRUE(request->marks.asks);
  EXPECT_EQ(request->marks.wait, 100ms);
  EXPECT_EQ(request->message.free_slots, 1u);
  EXPECT_EQ(say("WORKER_TASK_REQUEST", R"({"worker":"w","wait_ms":20})")->marks.wait, 20ms);
  EXPECT_EQ(say("WORKER_TASK_REQUEST", R"({"worker":"w","wait_ms":5000})")->marks.wait, 100ms);
}

TEST(Plain, NumberedRequestMayWaitLonger) {
  const std::string header = R"({"worker":"w","boot":"0000000000000001","seq":1,"wait_ms":)";
  EXPECT_EQ(say("WORKER_TASK_REQUEST", header + "1000}")->marks.wait, 1s);
  EXPECT_EQ(say("WORKER_TASK_REQUEST", header + "60000}")->marks.wait, 3s);
  EXPECT_TRUE(say("TASK_COMPLETED", header + "1000}")->marks.asks);
  EXPECT_FALSE(say("WORKER_TASK_REQUEST", header + "1000}")->marks.plain);
}

TEST(Plain, HeartbeatAndGoodbyeSayNothingElse) {
  const auto heartbeat = say("HEARTBEAT", R"({"worker":"w"})");
  ASSERT_TRUE(heartbeat);
  EXPECT_FALSE(heartbeat->message.goodbye || heartbeat->message.registers || heartbeat->marks.asks);
  EXPECT_TRUE(say("GOODBYE", R"({"worker":"w"})")->message.goodbye);
}

TEST(Plain, ResultsMayBeJsonAndFailuresMayBringTheirOwn) {
  const auto json = say("TASK_COMPLETED", R"({"worker":"w","result_serializer":"json",)" + kAttempt + "}", {"[1]"});
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ(json->message.outcomes[0].outcome.result.facts.serializer, core::Serializer::Json);
  const auto failed =
      say("TASK_FAILED", R"({"worker":"w","kind":"OutOfMemory","traceback":"t",)" + kAttempt + "}", {"a pickle"});
  ASSERT_TRUE(failed) << failed.error().message;
  const core::Outcome& outcome = failed->message.outcomes[0].outcome;
  EXPECT_EQ(outcome.kind, core::ErrorKind::OutOfMemory);
  EXPECT_EQ(outcome.error_type, "OutOfMemory");
  EXPECT_EQ(outcome.error_message, "the worker said only that the task failed");
  EXPECT_EQ(outcome.traceback, "t");
  EXPECT_EQ(outcome.result.bytes.view(), "a pickle");
}

TEST(Plain, MistakesAreToldInWords) {
  EXPECT_EQ(refusal("TASK_COMPLETED", kAttempt), "frame 2 (the pickled result) is missing; None has a pickle too");
  EXPECT_EQ(refusal("TASK_COMPLETED", R"("token":"00000000000000ff")"),
            "header: 'task_id' is missing; it must be a UUID as text");
  EXPECT_EQ(refusal("TASK_FAILED", R"("task_id":"0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13")"),
            "header: 'token' is missing; it must be 16 hex digits");
  EXPECT_EQ(refusal("TASK_FAILED", R"("task_id":"0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13","token":"0000000000000000")"),
            "header: 'token' must be the one that came with the task");
  EXPECT_EQ(refusal("TASK_FAILED", R"("kind":"Bored",)" + kAttempt),
            "header: 'kind' must be the name of an error kind, e.g. FunctionFailed");
  EXPECT_EQ(refusal("TASK_FAILED", R"("error_message":["a"],)" + kAttempt),
            "header: 'error_message' is a list; it must be a text");
  EXPECT_EQ(refusal("WORKER_TASK_REQUEST", R"("wait_ms":-5)"),
            "header: 'wait_ms' is -5; it must be a whole number from 0 to 9000000000000");
  EXPECT_EQ(refusal("WORKER_REGISTRATION", R"("slots":"four")"),
            "header: 'slots' is another text; it must be a whole number from 0 to 4294967295");
}

}  // namespace
}  // namespace treadle::transport

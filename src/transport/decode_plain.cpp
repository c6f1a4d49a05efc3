#include "transport/decode_plain.h"

#include <algorithm>
#include <utility>

#include "base/sha256.h"
#include "core/failure_object.h"
#include "core/limits.h"
#include "transport/words.h"

namespace treadle::transport {
namespace {

namespace limits = core::limits;

constexpr std::size_t kPayloadFrame = 2;
constexpr std::string_view kUnknownError = "the worker said only that the task failed";

core::PayloadFacts result_facts(HeaderReader& in) {
  core::PayloadFacts facts;
  const std::string_view word = in.text("result_serializer");
  if (word.empty()) return facts;
  const auto found = std::find(kSerializerWords.begin(), kSerializerWords.end(), word);
  if (found == kSerializerWords.end())
    in.complain("header: 'result_serializer' must be pickle or json");
  else
    facts.serializer = static_cast<core::Serializer>(found - kSerializerWords.begin());
  return facts;
}

core::Held read_attempt(HeaderReader& in) {
  core::Held held;
  held.task = TaskId(in.uuid("task_id", true));
  held.token = Token{in.hex("token", true)};
  if (!held.token) in.complain("header: 'token' must be the one that came with the task");
  return held;
}

void read_completed(HeaderReader& in, core::Outcome& outcome) {
  if (in.frames() <= kPayloadFrame)
    return in.complain("frame 2 (the pickled result) is missing; None has a pickle too");
  outcome.result = {in.frame(kPayloadFrame), result_facts(in)};
}

void read_failed(HeaderReader& in, const core::Held& held, core::Outcome& outcome) {
  const std::string_view word = in.text("kind");
  const auto kind = core::parse_error_kind(word);
  if (!word.empty() && !kind) in.complain("header: 'kind' must be the name of an error kind, e.g. FunctionFailed");
  outcome.kind = word.empty() ? core::ErrorKind::FunctionFailed : kind.value_or(core::ErrorKind::FunctionFailed);
  outcome.error_type = std::string(in.text("error_type"));
  outcome.error_message = std::string(in.text("error_message"));
  outcome.traceback = std::string(in.text("traceback"));
  if (outcome.error_type.empty()) outcome.error_type = core::name_of(outcome.kind);
  if (outcome.error_message.empty()) outcome.error_message = kUnknownError;
  if (in.frames() > kPayloadFrame) {
    outcome.result = {in.frame(kPayloadFrame), result_facts(in)};
  } else {
    const auto object_of =
        outcome.kind == core::ErrorKind::FunctionFailed ? core::function_failure_object : core::worker_failure_object;
    outcome.result = object_of(held.task, in.text("worker"), outcome.error_type + ": " + outcome.error_message);
  }
}

void read_outcome(HeaderReader& in, core::WorkerMessage& message) {
  core::OutcomeReport report;
  report.attempt = read_attempt(in);
  if (in.type() == type::kCompleted) {
    read_completed(in, report.outcome);
  } else {
    read_failed(in, report.attempt, report.outcome);
  }
  message.outcomes.push_back(std::move(report));
}

void read_registration(HeaderReader& in, core::WorkerMessage& message) {
  message.registers = true;
  message.info = read_info(in);
  if (message.info.host.empty()) message.info.host = std::string(in.text("worker"));
  if (message.info.slots == 0) message.info.slots = 1;
}

}  // namespace

WorkerId worker_id_of(std::string_view name) {
  if (const auto id = WorkerId::parse(name)) return *id;
  const Digest digest = sha256(name);
  // Version 8 (RFC 9562: of one's own making), variant 2.
  constexpr std::uint64_t kVersion = 0x8000, kVersionBits = 0xf000, kVariant = 2ull << 62, kVariantBits = 3ull << 62;
  return WorkerId(Uuid{(digest.words[0] & ~kVersionBits) | kVersion, (digest.words[1] & ~kVariantBits) | kVariant});
}

WorkerId read_worker(HeaderReader& in) {
  const std::string_view name = in.text("worker", true);
  if (name.empty() || name.size() > limits::kMaxWorkerName)
    in.complain("header: 'worker' must be a name of 1 to " + std::to_string(limits::kMaxWorkerName) + " bytes");
  return worker_id_of(name);
}

DecodedWorker read_plain(HeaderReader& in) {
  DecodedWorker out;
  core::WorkerMessage& message = out.message;
  message.worker = read_worker(in);
  out.marks.plain = true;
  if (in.type() == type::kRegistration) read_registration(in, message);
  if (in.type() == type::kCompleted || in.type() == type::kFailed) read_outcome(in, message);
  if (in.type() == type::kTaskRequest) {
    out.marks.asks = true;
    out.marks.wait = in.has("wait_ms") ? std::min(in.milliseconds("wait_ms"), limits::kPlainPark) : limits::kPlainPark;
    message.free_slots = 1;
  }
  message.goodbye = in.type() == type::kGoodbye;
  return out;
}

}  // namespace treadle::transport

// Frames to messages.
#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "core/limits.h"
#include "transport/codec.h"
#include "transport/decode_plain.h"
#include "transport/header_reader.h"
#include "transport/words.h"

namespace treadle::transport {
namespace {

namespace limits = core::limits;

using core::Attempt;
using core::DispatcherMessage;
using core::Outcome;
using core::WorkerMessage;
using Part = Slot::Part;

constexpr std::array<std::string_view, 7> kWorkerTypes = {
    type::kRegistration, type::kHeartbeat,       type::kCompleted, type::kFailed,
    type::kTaskRequest,  type::kFunctionRequest, type::kGoodbye};
constexpr std::array<std::string_view, 8> kDispatcherTypes = {type::kTask,     type::kNoTask, type::kAck,
                                                              type::kRevoke,   type::kPing,   type::kReregister,
                                                              type::kFunction, type::kDrain};

template <std::size_t N>
void check_type(HeaderReader& in, const std::array<std::string_view, N>& known, std::string_view sender) {
  if (std::find(known.begin(), known.end(), in.type()) != known.end()) return;
  std::string words;
  for (const std::string_view word : known) words += (words.empty() ? "" : ", ") + std::string(word);
  const bool short_enough = in.type().size() <= 64;
  in.complain("frame 0 (type) is '" + std::string(short_enough ? in.type() : "a long text") + "'; " +
              std::string(sender) + " sends one of " + words);
}

// "3.11.2", or "3.11".
std::optional<core::PythonVersion> parse_python(std::string_view text) {
  std::array<std::uint8_t, 3> numbers{};
  const char* at = text.data();
  const char* const end = at + text.size();
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto [next, error] = std::from_chars(at, end, numbers[i]);
    if (error != std::errc()) return std::nullopt;
    if (next == end)
      return i == 0 ? std::nullopt : std::optional(core::PythonVersion{numbers[0], numbers[1], numbers[2]});
    if (*next != '.') return std::nullopt;
    at = next + 1;
  }
  return std::nullopt;
}

Outcome read_outcome(Item& item, std::size_t place, bool given_back) {
  const auto slot = [&](Part part) { return Slot{part, given_back, item.index()}; };
  const auto text = [&](std::size_t at, std::string_view name, Part part) {
    return std::string(item.payload(place + at, name, slot(part)).view());
  };
  Outcome outcome;
  outcome.result.facts = item.facts(place);
  outcome.result.bytes = item.payload(place + 1, "result", slot(Part::Result));
  outcome.measures = item.measures(place + 2);
  if (item.size() <= place + 3) return outcome;
  outcome.output = text(3, "output", Part::Output);
  if (const std::string_view word = item.text(place + 4, "kind"); !word.empty()) {
    const auto kind = core::parse_error_kind(word);
    if (!kind) item.complain(place + 4, "kind", "empty (completed) or the name of an error kind, e.g. FunctionFailed");
    outcome.kind = kind.value_or(core::ErrorKind::None);
  }
  outcome.error_type = text(5, "error_type", Part::ErrorType);
  outcome.error_message = text(6, "error_message", Part::ErrorMessage);
  outcome.traceback = text(7, "traceback", Part::Traceback);
  outcome.error_classes = item.text(place + 8, "error_classes");
  return outcome;
}

core::GivenBack read_given_back(Item& item) {
  core::GivenBack given;
  given.attempt = item.held();
  const auto why = parse_give_back(item.text(2, "why"));
  if (!why) item.complain(2, "why", "unstarted, worker_lost, killed, suspect or retry");
  given.why = why.value_or(core::GiveBack::Unstarted);
  given.last_error = std::string(item.payload(3, "last_error", {Part::LastError, true, item.index()}).view());
  given.failure = read_outcome(item, 4, true);
  return given;
}

core::LiveReport read_live(Item& item) {
  core::LiveReport report;
  report.attempt = item.held();
  report.from = item.number(2, "from", UINT64_MAX);
  report.text = item.text(3, "text");
  report.has_progress = item.size() > 4;
  report.progress.ppm = static_cast<std::int32_t>(item.number(4, "progress", 1'000'001)) - 1;
  report.progress.note = item.text(5, "note");
  return report;
}

std::vector<core::Held> read_held(HeaderReader& in, std::string_view name) {
  std::vector<core::Held> held;
  held.reserve(in.size_of_list(name));
  in.list(name, [&](Item& item) { held.push_back(item.held()); });
  return held;
}

void read_numbers(HeaderReader& in, WorkerMessage& m) {
  m.worker = read_worker(in);
  m.boot = in.hex("boot", true);
  m.seq = in.number("seq");
  m.session = SessionId(in.uuid("session"));
  m.ack = in.number("ack");
  m.free_slots = in.small("free");
  m.prefetch = in.small("prefetch");
}

DecodedWorker read_numbered(HeaderReader& in) {
  DecodedWorker out;
  WorkerMessage& m = out.message;
  read_numbers(in, m);
  m.registers = in.type() == type::kRegistration;
  if (m.registers) m.info = read_info(in);
  m.names_held = in.has("held");
  m.held = read_held(in, "held");
  m.started = read_held(in, "started");
  in.list("live", [&](Item& item) { m.live.push_back(read_live(item)); });
  m.outcomes.reserve(in.size_of_list("outcomes"));
  in.list("outcomes", [&](Item& item) { m.outcomes.push_back({item.held(), read_outcome(item, 2, false)}); });
  in.list("given_back", [&](Item& item) { m.given_back.push_back(read_given_back(item)); });
  m.wants = in.digests("wants");
  m.draining = in.flag("draining");
  m.goodbye = in.flag("goodbye");
  out.marks.asks = in.type() == type::kTaskRequest || in.has("wait_ms");
  out.marks.wait = std::min(in.milliseconds("wait_ms"), limits::kMaxPark);
  out.refs = in.take_refs();
  return out;
}

struct FunctionKey {
  FunctionId id;
  Digest digest;
};

Duration read_milliseconds(Item& item, std::size_t place, std::string_view name) {
  return std::chrono::milliseconds(item.number(place, name, kMaxMilliseconds));
}

void read_terms(Item& item, Attempt& attempt) {
  const std::uint64_t flags = item.number(6, "flags", UINT32_MAX);
  attempt.delivery = flags & kAtMostOnce ? core::Delivery::AtMostOnce : core::Delivery::AtLeastOnce;
  attempt.isolation = flags & kFresh ? core::Isolation::Fresh : core::Isolation::Reuse;
  attempt.suspect = flags & kSuspect;
  attempt.retries_left = static_cast<std::uint16_t>(item.number(7, "retries_left", UINT16_MAX));
  attempt.retry_delay = read_milliseconds(item, 8, "retry_delay_ms");
  attempt.time_limit = read_milliseconds(item, 9, "time_limit_ms");
  attempt.memory_limit = item.number(10, "memory_limit", UINT64_MAX);
  core::Allowance& allowed = attempt.allowance;
  allowed.cpu_ms = item.number(11, "cpu_ms", kMaxMilliseconds);
  allowed.output_bytes = item.number(12, "output_bytes", UINT64_MAX);
  allowed.result_bytes = item.number(13, "result_bytes", UINT64_MAX);
  allowed.open_files = static_cast<std::uint32_t>(item.number(14, "open_files", UINT32_MAX));
  allowed.processes = static_cast<std::uint32_t>(item.number(15, "processes", UINT32_MAX));
  attempt.surroundings = item.text(16, "surroundings");
  attempt.start_within = read_milliseconds(item, 17, "start_within_ms");
}

Attempt read_attempt(Item& item, const std::vector<FunctionKey>& functions) {
  Attempt attempt;
  const core::Held held = item.held();
  attempt.task = held.task;
  attempt.token = held.token;
  attempt.number = static_cast<std::uint32_t>(item.number(2, "number", UINT32_MAX));
  const std::uint64_t function = item.number(3, "function", UINT32_MAX);
  if (item.size() < 4 || function >= functions.size()) {
    item.complain(3, "function", "the place of one of the " + std::to_string(functions.size()) + " 'functions'");
    return attempt;
  }
  attempt.function = functions[function].id;
  attempt.body_digest = functions[function].digest;
  attempt.args.facts = item.facts(4);
  attempt.args.bytes = item.payload(5, "args", {Part::Args, false, item.index()});
  read_terms(item, attempt);
  return attempt;
}

core::FunctionBody read_body(Item& item) {
  core::FunctionBody body;
  body.digest = item.digest(0, "digest");
  body.found = item.size() > 1;
  body.body.facts = item.facts(1);
  body.body.bytes = item.payload(2, "body", {Part::Body, false, item.index()});
  return body;
}

DecodedDispatcher read_dispatcher(HeaderReader& in) {
  DecodedDispatcher out;
  DispatcherMessage& m = out.message;
  m.session = SessionId(in.uuid("session"));
  m.seq = in.number("seq");
  m.ack = in.number("ack");
  std::vector<FunctionKey> functions;
  in.list("functions", [&](Item& item) {
    functions.push_back({FunctionId(item.uuid(0, "function_id")), item.digest(1, "digest")});
  });
  m.attempts.reserve(in.size_of_list("attempts"));
  in.list("attempts", [&](Item& item) { m.attempts.push_back(read_attempt(item, functions)); });
  in.list("bodies", [&](Item& item) { m.functions.push_back(read_body(item)); });
  m.settled = read_held(in, "settled");
  in.list("revokes", [&](Item& item) { m.revokes.push_back({item.held(), item.flag(2, "kill")}); });
  m.follows = read_held(in, "follows");
  m.registered = in.flag("registered");
  m.reregister = in.flag("reregister");
  m.ping = in.flag("ping");
  m.drain = in.flag("drain");
  m.heartbeat = in.milliseconds("heartbeat_ms");
  out.refs = in.take_refs();
  return out;
}

}  // namespace

core::WorkerInfo read_info(HeaderReader& in) {
  core::WorkerInfo info;
  info.host = std::string(in.text("host"));
  info.pid = in.small("pid");
  info.slots = in.small("slots");
  for (const std::string& text : in.texts("pythons")) {
    const auto version = parse_python(text);
    if (!version)
      in.complain("header: 'pythons' has '" + text.substr(0, 32) + "'; a version must be written as 3.11.2");
    info.pythons.push_back(version.value_or(core::PythonVersion{}));
  }
  info.queues = in.texts("queues");
  info.labels = in.texts("labels");
  info.features = in.texts("features");
  info.in_process = in.flag("in_process");
  return info;
}

Result<DecodedWorker> decode_worker(std::span<const Buffer> frames) {
  HeaderReader in(frames);
  if (in.failed()) return in.error();
  check_type(in, kWorkerTypes, "a worker");
  DecodedWorker decoded = in.has("seq") ? read_numbered(in) : read_plain(in);
  if (in.failed()) return in.error();
  return decoded;
}

Result<DecodedDispatcher> decode_dispatcher(std::span<const Buffer> frames) {
  HeaderReader in(frames);
  if (in.failed()) return in.error();
  check_type(in, kDispatcherTypes, "a dispatcher");
  DecodedDispatcher decoded = read_dispatcher(in);
  if (in.failed()) return in.error();
  return decoded;
}

std::optional<std::string> error_text(std::span<const Buffer> frames) {
  if (type_of(frames) != type::kError) return std::nullopt;
  HeaderReader in(frames);
  const std::string text(in.text("error"));
  return in.failed() ? in.error().message : text;
}

}  // namespace treadle::transport

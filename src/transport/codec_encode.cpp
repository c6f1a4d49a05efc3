// Messages to frames.
#include <algorithm>
#include <array>
#include <utility>

#include "transport/codec.h"
#include "transport/header_writer.h"
#include "transport/words.h"

namespace treadle::transport {
namespace {

using core::Attempt;
using core::DispatcherMessage;
using core::Held;
using core::Outcome;
using core::WorkerMessage;

// Rounded up: a limit never gets shorter.
std::uint64_t milliseconds(Duration d) {
  return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::milliseconds>(d).count());
}

Buffer frame_of(std::string_view literal) { return Buffer::from(nullptr, literal); }

Frames assemble(std::string_view type, HeaderWriter& header, Packer& packer) {
  Frames frames;
  frames.push_back(frame_of(type));
  frames.push_back(header.finish());
  packer.add_to(frames);
  return frames;
}

void append_held(std::string& out, const Held& held) {
  append_quoted(out, held.task);
  out += ',';
  append_quoted(out, held.token.value);
}

void append_held_item(std::string& out, const Held& held) {
  out += '[';
  append_held(out, held);
  out += ']';
}

void append_measures(std::string& out, const core::Measures& m) {
  const std::array<std::int64_t, 4> times = {m.started_ns, m.finished_ns, m.exit_code, m.signal};
  const bool costs = m.peak_rss != 0 || m.cpu_us != 0;
  std::size_t used = times.size();
  while (!costs && used > 0 && times[used - 1] == 0) --used;
  out += '[';
  for (std::size_t i = 0; i < used; ++i) {
    if (i > 0) out += ',';
    append_number(out, times[i]);
  }
  if (costs) {
    out += ',';
    append_number(out, m.peak_rss);
    out += ',';
    append_number(out, m.cpu_us);
  }
  out += ']';
}

bool only_completed(const Outcome& o) {
  return o.completed() && o.output.empty() && o.error_type.empty() && o.error_message.empty() && o.traceback.empty() &&
         o.error_classes.empty();
}

// facts, result, measures, and only if there is more: output, kind, error_type, error_message, traceback,
// error_classes.
void append_outcome(std::string& out, const Outcome& outcome, Packer& packer) {
  out += ',';
  append_number(out, outcome.result.facts.pack());
  out += ',';
  packer.place(out, outcome.result.bytes);
  out += ',';
  append_measures(out, outcome.measures);
  if (only_completed(outcome)) return;
  out += ',';
  packer.place(out, outcome.output);
  out += ",\"";
  out += core::name_of(outcome.kind);
  out += '"';
  for (const std::string* text : {&outcome.error_type, &outcome.error_message, &outcome.traceback}) {
    out += ',';
    packer.place(out, *text);
  }
  if (outcome.error_classes.empty()) return;
  out += ',';
  append_json_string(out, outcome.error_classes);
}

void write_info(HeaderWriter& header, const core::WorkerInfo& info) {
  header.text("host", info.host);
  header.number("pid", info.pid);
  header.number("slots", info.slots);
  header.list("pythons", info.pythons, [](std::string& out, const core::PythonVersion& v) {
    out += '"';
    append_number(out, unsigned{v.major});
    out += '.';
    append_number(out, unsigned{v.minor});
    out += '.';
    append_number(out, unsigned{v.micro});
    out += '"';
  });
  header.list("queues", info.queues, append_json_string);
  header.list("labels", info.labels, append_json_string);
  header.list("features", info.features, append_json_string);
  header.flag("in_process", info.in_process);
}

// `held` also if it is empty when it is complete: its presence says so.
void write_held(HeaderWriter& header, const WorkerMessage& message) {
  if (message.held.empty() && message.names_held) header.member("held") += "[]";
  header.list("held", message.held, append_held_item);
}

void write_ends(HeaderWriter& header, const WorkerMessage& message, Packer& packer) {
  header.list("outcomes", message.outcomes, [&](std::string& out, const core::OutcomeReport& report) {
    out += '[';
    append_held(out, report.attempt);
    append_outcome(out, report.outcome, packer);
    out += ']';
  });
  header.list("given_back", message.given_back, [&](std::string& out, const core::GivenBack& given) {
    out += '[';
    append_held(out, given.attempt);
    out += ",\"";
    out += give_back_word(given.why);
    out += "\",";
    packer.place(out, given.last_error);
    append_outcome(out, given.failure, packer);
    out += ']';
  });
}

void write_live(HeaderWriter& header, const std::vector<core::LiveReport>& live) {
  header.list("live", live, [](std::string& out, const core::LiveReport& report) {
    out += '[';
    append_held(out, report.attempt);
    out += ',';
    append_number(out, report.from);
    out += ',';
    append_json_string(out, report.text);
    if (report.has_progress) {
      out += ',';
      append_number(out, report.progress.ppm + 1);
      out += ',';
      append_json_string(out, report.progress.note);
    }
    out += ']';
  });
}

std::string_view type_of(const WorkerMessage& m, bool asks) {
  if (m.registers) return type::kRegistration;
  if (!m.outcomes.empty()) {
    const auto failed = [](const core::OutcomeReport& r) { return !r.outcome.completed(); };
    return std::all_of(m.outcomes.begin(), m.outcomes.end(), failed) ? type::kFailed : type::kCompleted;
  }
  if (asks) return type::kTaskRequest;
  if (!m.wants.empty()) return type::kFunctionRequest;
  return m.goodbye ? type::kGoodbye : type::kHeartbeat;
}

using FunctionKey = std::pair<FunctionId, Digest>;

// The functions of the attempts, each once; `index` gets the place of each attempt's function.
std::vector<FunctionKey> functions_of(const std::vector<Attempt>& attempts, std::vector<std::size_t>& index) {
  std::vector<FunctionKey> table;
  for (const Attempt& attempt : attempts) {
    const FunctionKey key{attempt.function, attempt.body_digest};
    const auto known = std::find(table.rbegin(), table.rend(), key);  // most likely the function of the one before
    index.push_back(known == table.rend() ? table.size() : static_cast<std::size_t>(table.rend() - known) - 1);
    if (index.back() == table.size()) table.push_back(key);
  }
  return table;
}

// Flags, retries, retry delay, time limit, the other limits, surroundings, time to start; nothing behind the last one
// that is not zero.
void append_terms(std::string& out, const Attempt& attempt) {
  const std::uint64_t flags = (attempt.delivery == core::Delivery::AtMostOnce ? kAtMostOnce : 0) |
                              (attempt.isolation == core::Isolation::Fresh ? kFresh : 0) |
                              (attempt.suspect ? kSuspect : 0);
  const std::array<std::uint64_t, 10> terms = {flags,
                                               attempt.retries_left,
                                               milliseconds(attempt.retry_delay),
                                               milliseconds(attempt.time_limit),
                                               attempt.memory_limit,
                                               attempt.allowance.cpu_ms,
                                               attempt.allowance.output_bytes,
                                               attempt.allowance.result_bytes,
                                               attempt.allowance.open_files,
                                               attempt.allowance.processes};
  std::size_t used = terms.size();
  const bool must_start = attempt.start_within > Duration{0};
  const bool more = must_start || !attempt.surroundings.empty();
  while (!more && used > 0 && terms[used - 1] == 0) --used;
  for (std::size_t i = 0; i < used; ++i) {
    out += ',';
    append_number(out, terms[i]);
  }
  if (!more) return;
  out += ',';
  append_json_string(out, attempt.surroundings);
  if (!must_start) return;
  out += ',';
  append_number(out, milliseconds(attempt.start_within));
}

void write_attempts(HeaderWriter& header, const std::vector<Attempt>& attempts, Packer& packer) {
  std::vector<std::size_t> index;
  const auto table = functions_of(attempts, index);
  header.list("functions", table, [](std::string& out, const FunctionKey& key) {
    out += '[';
    append_quoted(out, key.first);
    out += ',';
    append_quoted(out, key.second);
    out += ']';
  });
  auto function = index.begin();
  header.list("attempts", attempts, [&](std::string& out, const Attempt& attempt) {
    out += '[';
    append_held(out, {attempt.task, attempt.token});
    for (const std::uint64_t number :
         {std::uint64_t{attempt.number}, std::uint64_t{*function++}, std::uint64_t{attempt.args.facts.pack()}}) {
      out += ',';
      append_number(out, number);
    }
    out += ',';
    packer.place(out, attempt.args.bytes);
    append_terms(out, attempt);
    out += ']';
  });
}

void write_bodies(HeaderWriter& header, const std::vector<core::FunctionBody>& bodies, Packer& packer) {
  header.list("bodies", bodies, [&](std::string& out, const core::FunctionBody& body) {
    out += '[';
    append_quoted(out, body.digest);
    if (body.found) {
      out += ',';
      append_number(out, body.body.facts.pack());
      out += ',';
      packer.place(out, body.body.bytes, &body.digest);
    }
    out += ']';
  });
}

std::string_view type_of(const DispatcherMessage& m, bool pull) {
  if (!m.attempts.empty()) return type::kTask;
  if (m.reregister) return type::kReregister;
  if (m.registered) return type::kAck;
  if (!m.functions.empty()) return type::kFunction;
  if (!m.revokes.empty()) return type::kRevoke;
  if (m.drain) return type::kDrain;
  if (!m.settled.empty()) return type::kAck;
  if (m.ping) return type::kPing;
  return pull ? type::kNoTask : type::kAck;
}

}  // namespace

Frames encode(const WorkerMessage& message, Offers* offers, std::optional<Duration> wait) {
  HeaderWriter header(message.held.size() + message.outcomes.size() + message.given_back.size());
  Packer packer(offers);
  append_quoted(header.member("worker"), message.worker);
  append_quoted(header.member("boot"), message.boot);
  append_number(header.member("seq"), message.seq);
  header.uuid("session", message.session);
  header.number("ack", message.ack);
  if (message.registers) write_info(header, message.info);
  header.number("free", message.free_slots);
  header.number("prefetch", message.prefetch);
  if (wait) append_number(header.member("wait_ms"), milliseconds(*wait));
  write_held(header, message);
  header.list("started", message.started, append_held_item);
  write_live(header, message.live);
  write_ends(header, message, packer);
  header.list("wants", message.wants, [](std::string& out, const Digest& digest) { append_quoted(out, digest); });
  header.flag("draining", message.draining);
  header.flag("goodbye", message.goodbye);
  return assemble(type_of(message, wait.has_value()), header, packer);
}

Frames encode(const DispatcherMessage& message, Offers* offers, bool pull) {
  HeaderWriter header(message.attempts.size() + message.settled.size());
  Packer packer(offers);
  header.uuid("session", message.session);
  header.number("seq", message.seq);
  header.number("ack", message.ack);
  write_attempts(header, message.attempts, packer);
  write_bodies(header, message.functions, packer);
  header.list("settled", message.settled, append_held_item);
  header.list("revokes", message.revokes, [](std::string& out, const core::Revoke& revoke) {
    out += '[';
    append_held(out, revoke.attempt);
    if (revoke.kill) out += ",true";
    out += ']';
  });
  header.list("follows", message.follows, append_held_item);
  header.flag("registered", message.registered);
  header.flag("reregister", message.reregister);
  header.flag("ping", message.ping);
  header.flag("drain", message.drain);
  header.number("heartbeat_ms", milliseconds(message.heartbeat));
  return assemble(type_of(message, pull), header, packer);
}

Frames encode_plain(const Attempt& attempt, const core::Payload& body) {
  HeaderWriter header;
  append_quoted(header.member("task_id"), attempt.task);
  append_quoted(header.member("token"), attempt.token.value);
  append_quoted(header.member("function_id"), attempt.function);
  append_quoted(header.member("function_sha256"), attempt.body_digest);
  header.number("attempt", attempt.number);
  header.text("function_serializer", serializer_word(body.facts.serializer));
  header.text("args_serializer", serializer_word(attempt.args.facts.serializer));
  header.number("time_limit_ms", milliseconds(attempt.time_limit));
  return {frame_of(type::kTask), header.finish(), body.bytes, attempt.args.bytes};
}

Frames error_frames(std::string_view text) {
  HeaderWriter header;
  header.text("error", text.substr(0, core::limits::kMaxErrorSentence));
  return {frame_of(type::kError), header.finish()};
}

}  // namespace treadle::transport

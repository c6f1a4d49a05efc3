#include "transport/testing.h"

#include <sstream>
#include <utility>
#include <vector>

#include "core/limits.h"

namespace treadle::transport::testing {
namespace {

using core::DispatcherMessage;
using core::WorkerMessage;

std::uint32_t some32(Rng& rng) { return static_cast<std::uint32_t>(rng.next() >> rng.below(32)); }
std::uint64_t some64(Rng& rng) { return rng.chance(0.3) ? 0 : rng.next() >> rng.below(64); }
Uuid some_uuid(Rng& rng) { return {rng.next(), rng.next()}; }
Digest some_digest(Rng& rng) { return {{rng.next(), rng.next(), rng.next(), rng.next()}}; }
core::Held some_held(Rng& rng) { return {TaskId(some_uuid(rng)), Token{rng.next() | 1}}; }
Duration some_ms(Rng& rng) { return std::chrono::milliseconds(some64(rng) % (1ull << 40)); }

// Any bytes; often few, sometimes many.
std::string some_bytes(Rng& rng, std::uint64_t largest) {
  if (rng.chance(0.3)) return {};
  const std::uint64_t size = rng.chance(0.7) ? rng.below(64) : rng.below(largest);
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(rng.next());
  return bytes;
}

// UTF-8, as JSON strings must be.
std::string some_text(Rng& rng) {
  static const std::vector<std::string> parts = {"node", "-", "\"", "\\", "\n", "\x01", "é", "漢", "🦀", "/", "\x7f"};
  std::string text;
  for (std::uint64_t n = rng.below(8); n > 0; --n) text += parts[rng.below(parts.size())];
  return text;
}

core::Payload some_payload(Rng& rng, std::uint64_t largest) {
  core::PayloadFacts facts;
  facts.serializer = static_cast<core::Serializer>(rng.below(3));
  facts.names_main = rng.chance(0.5);
  facts.names_dill = rng.chance(0.5);
  facts.names_cloudpickle = rng.chance(0.5);
  facts.protocol = static_cast<std::uint8_t>(rng.next());
  facts.pythons = static_cast<std::uint8_t>(rng.next());
  return {Buffer::of(some_bytes(rng, largest)), facts};
}

core::Outcome some_outcome(Rng& rng, std::uint64_t largest) {
  core::Outcome o;
  if (rng.chance(0.2)) return o;
  o.result = some_payload(rng, largest);
  const auto number = [&] { return static_cast<std::int64_t>(rng.chance(0.4) ? 0 : rng.next()); };
  o.measures = {number(),    number(),   static_cast<std::int32_t>(number()), static_cast<std::int32_t>(number()),
                some64(rng), some64(rng)};
  if (rng.chance(0.5)) return o;
  o.kind = static_cast<core::ErrorKind>(rng.below(15));
  o.error_type = some_bytes(rng, 128);
  o.error_message = some_bytes(rng, largest);
  o.traceback = some_bytes(rng, largest);
  if (rng.chance(0.5)) o.error_classes = some_text(rng);
  o.output = some_bytes(rng, largest);
  return o;
}

core::WorkerInfo some_info(Rng& rng) {
  core::WorkerInfo info;
  info.host = some_text(rng);
  info.pid = some32(rng);
  info.slots = some32(rng);
  for (std::uint64_t n = rng.below(3); n > 0; --n) {
    const auto byte = [&] { return static_cast<std::uint8_t>(rng.next()); };
    info.pythons.push_back({byte(), byte(), byte()});
  }
  for (std::uint64_t n = rng.below(3); n > 0; --n) info.queues.push_back(some_text(rng));
  for (std::uint64_t n = rng.below(3); n > 0; --n) info.labels.push_back(some_text(rng));
  for (std::uint64_t n = rng.below(3); n > 0; --n) info.features.push_back(some_text(rng));
  info.in_process = rng.chance(0.5);
  return info;
}

core::Attempt some_attempt(Rng& rng, std::uint64_t largest) {
  core::Attempt a;
  a.task = TaskId(some_uuid(rng));
  a.token = Token{rng.next() | 1};
  a.number = some32(rng);
  const std::uint64_t function = rng.below(3);  // few, so that attempts share them
  a.function = FunctionId(Uuid{function, 7});
  a.body_digest = {{1, 2, 3, function + rng.below(2)}};
  a.args = some_payload(rng, largest);
  a.delivery = static_cast<core::Delivery>(rng.below(2));
  a.isolation = static_cast<core::Isolation>(rng.below(2));
  a.suspect = rng.chance(0.3);
  a.retries_left = static_cast<std::uint16_t>(some64(rng));
  a.retry_delay = some_ms(rng);
  a.time_limit = some_ms(rng);
  a.memory_limit = some64(rng);
  a.allowance = {.cpu_ms = rng.below(1'000'000),
                 .output_bytes = some64(rng),
                 .result_bytes = some64(rng),
                 .open_files = some32(rng),
                 .processes = some32(rng)};
  if (rng.chance(0.3)) a.start_within = some_ms(rng);
  if (rng.chance(0.3)) a.surroundings = R"({"env":{"A":"\\""}})";
  return a;
}

template <class Make>
auto some_of(Rng& rng, Make make) {
  std::vector<decltype(make())> items;
  if (rng.chance(0.4)) return items;
  for (std::uint64_t n = rng.below(6); n > 0; --n) items.push_back(make());
  return items;
}

void write(std::ostream& out, const core::Held& h) { out << to_string(h.task) << '/' << h.token.value << ' '; }

void write(std::ostream& out, const core::Payload& p) {
  out << p.facts.pack() << ':' << p.bytes.size() << ':' << p.bytes.view() << ' ';
}

void write(std::ostream& out, const core::Outcome& o) {
  const core::Measures& m = o.measures;
  out << int(o.kind) << ' ';
  write(out, o.result);
  for (const std::string* text : {&o.error_type, &o.error_message, &o.traceback, &o.output})
    out << text->size() << ':' << *text << ' ';
  out << o.error_classes << ' ' << m.started_ns << ' ' << m.finished_ns << ' ' << m.exit_code << ' ' << m.signal << ' '
      << m.peak_rss << ' ' << m.cpu_us << '\n';
}

void write(std::ostream& out, const core::WorkerInfo& info) {
  out << "info " << info.host << ' ' << info.pid << ' ' << info.slots << ' ' << info.in_process << '\n';
  for (const auto& v : info.pythons)
    out << "python " << int(v.major) << '.' << int(v.minor) << '.' << int(v.micro) << '\n';
  for (const auto& text : info.queues) out << "queue " << text << '\n';
  for (const auto& text : info.labels) out << "label " << text << '\n';
  for (const auto& text : info.features) out << "feature " << text << '\n';
}

void write(std::ostream& out, const core::Attempt& a) {
  write(out, core::Held{a.task, a.token});
  out << a.number << ' ' << to_string(a.function) << ' ' << to_string(a.body_digest) << ' ';
  write(out, a.args);
  out << int(a.delivery) << int(a.isolation) << a.suspect << ' ' << a.retries_left << ' ' << a.retry_delay.count()
      << ' ' << a.time_limit.count() << ' ' << a.memory_limit << ' ' << core::to_text(a.allowance, a.surroundings)
      << ' ' << a.start_within.count() << '\n';
}

}  // namespace

WorkerMessage random_worker_message(Rng& rng, std::uint64_t largest) {
  const auto held = [&] { return some_held(rng); };
  WorkerMessage m;
  m.worker = WorkerId(some_uuid(rng));
  m.boot = rng.next();
  m.session = rng.chance(0.5) ? SessionId() : SessionId(some_uuid(rng));
  m.seq = some64(rng);
  m.ack = some64(rng);
  m.registers = rng.chance(0.2);
  if (m.registers) m.info = some_info(rng);
  m.free_slots = some32(rng);
  m.prefetch = some32(rng);
  m.names_held = rng.chance(0.5);
  if (m.names_held) m.held = some_of(rng, held);
  m.started = some_of(rng, held);
  m.live = some_of(rng, [&] {
    core::LiveReport report{some_held(rng), rng.chance(0.5), {}, some64(rng), some_text(rng)};
    if (report.has_progress) report.progress = {static_cast<std::int32_t>(rng.below(1'000'002)) - 1, some_text(rng)};
    return report;
  });
  m.outcomes = some_of(rng, [&] { return core::OutcomeReport{some_held(rng), some_outcome(rng, largest)}; });
  m.given_back = some_of(rng, [&] {
    return core::GivenBack{some_held(rng), static_cast<core::GiveBack>(rng.below(5)), some_bytes(rng, 128),
                           some_outcome(rng, largest)};
  });
  m.wants = some_of(rng, [&] { return some_digest(rng); });
  m.draining = rng.chance(0.2);
  m.goodbye = rng.chance(0.2);
  return m;
}

DispatcherMessage random_dispatcher_message(Rng& rng, std::uint64_t largest) {
  DispatcherMessage m;
  m.session = rng.chance(0.2) ? SessionId() : SessionId(some_uuid(rng));
  m.seq = some64(rng);
  m.ack = some64(rng);
  m.attempts = some_of(rng, [&] { return some_attempt(rng, largest); });
  m.settled = some_of(rng, [&] { return some_held(rng); });
  m.revokes = some_of(rng, [&] { return core::Revoke{some_held(rng), rng.chance(0.5)}; });
  m.follows = some_of(rng, [&] { return some_held(rng); });
  m.functions = some_of(rng, [&] {
    core::FunctionBody body{some_digest(rng), some_payload(rng, largest), rng.chance(0.8)};
    if (!body.found) body.body = {};
    return body;
  });
  m.registered = rng.chance(0.2);
  m.reregister = rng.chance(0.2);
  m.ping = rng.chance(0.2);
  m.drain = rng.chance(0.2);
  m.heartbeat = some_ms(rng);
  return m;
}

std::string dump(const WorkerMessage& m) {
  std::ostringstream out;
  out << to_string(m.worker) << ' ' << m.boot << ' ' << to_string(m.session) << ' ' << m.seq << ' ' << m.ack << ' '
      << m.registers << ' ' << m.free_slots << ' ' << m.prefetch << ' ' << m.names_held << m.draining << m.goodbye
      << '\n';
  write(out, m.info);
  for (const auto& h : m.held) write(out << "held ", h);
  for (const auto& h : m.started) write(out << "started ", h);
  for (const auto& l : m.live) {
    write(out << "live ", l.attempt);
    out << l.from << ' ' << l.text << ' ' << l.has_progress << ' ' << l.progress.ppm << ' ' << l.progress.note << '\n';
  }
  for (const auto& o : m.outcomes) {
    write(out << "outcome ", o.attempt);
    write(out, o.outcome);
  }
  for (const auto& g : m.given_back) {
    write(out << "given back ", g.attempt);
    out << int(g.why) << ' ' << g.last_error.size() << ':' << g.last_error << ' ';
    write(out, g.failure);
  }
  for (const auto& d : m.wants) out << "wants " << to_string(d) << '\n';
  return out.str();
}

std::string dump(const DispatcherMessage& m) {
  std::ostringstream out;
  out << to_string(m.session) << ' ' << m.seq << ' ' << m.ack << ' ' << m.registered << m.reregister << m.ping
      << m.drain << ' ' << m.heartbeat.count() << '\n';
  for (const auto& a : m.attempts) write(out << "attempt ", a);
  for (const auto& h : m.settled) write(out << "settled ", h);
  for (const auto& r : m.revokes) write(out << "revoke " << r.kill << ' ', r.attempt);
  for (const auto& h : m.follows) write(out << "follow ", h);
  for (const auto& f : m.functions) {
    out << "body " << to_string(f.digest) << ' ' << f.found << ' ';
    write(out, f.body);
  }
  return out.str();
}

}  // namespace treadle::transport::testing

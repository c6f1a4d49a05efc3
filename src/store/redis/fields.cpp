#include "store/redis/fields.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <openssl/evp.h>

#include "base/assert.h"
#include "base/base64.h"
#include "core/pickle.h"

namespace treadle::store::redis {

using core::TaskState;

// ---- numbers and names ----

std::string text_of(Token token) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string text(16, '0');
  for (std::size_t i = 0; i < 16; ++i) text[i] = kHex[(token.value >> (60 - 4 * i)) & 15];
  return text;
}

Token token_of(std::string_view text) {
  Token token;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), token.value, 16);
  return error == std::errc() && end == text.data() + text.size() ? token : Token{};
}

std::uint64_t number_of(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : 0;
}

std::uint64_t number_of(const Reply& reply) {
  if (reply.type == Reply::Type::Integer) return static_cast<std::uint64_t>(std::max<std::int64_t>(reply.integer, 0));
  return number_of(std::string_view(reply.text));
}

std::optional<Digest> digest_of(std::string_view hex) {
  Digest digest;
  if (hex.size() != 64) return std::nullopt;
  for (std::size_t i = 0; i < 4; ++i) {
    const char* from = hex.data() + 16 * i;
    const auto [end, error] = std::from_chars(from, from + 16, digest.words[i], 16);
    if (error != std::errc() || end != from + 16) return std::nullopt;
  }
  return digest;
}

Digest sha256(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  unsigned size = 0;
  TREADLE_ASSERT(EVP_Digest(bytes.data(), bytes.size(), hash.data(), &size, EVP_sha256(), nullptr) == 1);
  Digest digest;
  for (std::size_t i = 0; i < 32; ++i) digest.words[i / 8] = digest.words[i / 8] << 8 | hash[i];
  return digest;
}

// ---- fields that are written ----

void add_field(Args& out, std::string_view name, std::string value) {
  out.emplace_back(name);
  out.push_back(std::move(value));
}

void add_number(Args& out, std::string_view name, std::uint64_t value) {
  if (value != 0) add_field(out, name, std::to_string(value));
}

namespace {

void add_text(Args& out, std::string_view name, const std::string& value) {
  if (!value.empty()) add_field(out, name, value);
}

void add_signed(Args& out, std::string_view name, std::int64_t value) {
  if (value != 0) add_field(out, name, std::to_string(value));
}

std::int64_t signed_of(std::string_view text) {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

void add_options(Args& out, const core::Options& options) {
  if (options.delivery == core::Delivery::AtMostOnce) add_field(out, "delivery", "at_most_once");
  if (options.isolation == core::Isolation::Fresh) add_field(out, "isolation", "fresh");
  add_number(out, "max_attempts", options.max_attempts);
  add_number(out, "retries", options.retries);
  add_number(out, "retry_delay_ms", options.retry_delay_ms);
  add_number(out, "time_limit_ms", options.time_limit_ms);
  add_number(out, "memory_limit", options.memory_limit);
  add_text(out, "environment", options.environment);
  add_text(out, "more", options.more);
}

void add_result(Args& out, const core::Payload& result, bool with_text) {
  add_field(out, "task_result", with_text ? base64_encode_lines(result.bytes.view()) : std::string());
  add_field(out, "result_bytes", std::to_string(result.bytes.size()));
  add_field(out, "result_facts", std::to_string(result.facts.pack()));
}

void add_error(Args& out, const core::Outcome& outcome) {
  add_text(out, "error_type", outcome.error_type);
  add_text(out, "error_message", outcome.error_message);
}

void add_details(Args& out, const core::Outcome& outcome) {
  add_text(out, "traceback", outcome.traceback);
  add_text(out, "output", outcome.output);
  const core::Measures& m = outcome.measures;
  add_signed(out, "started_ns", m.started_ns);
  add_signed(out, "finished_ns", m.finished_ns);
  add_signed(out, "exit_code", m.exit_code);
  add_signed(out, "signal", m.signal);
  add_number(out, "peak_rss", m.peak_rss);
  add_number(out, "cpu_us", m.cpu_us);
}

// ---- fields that are read ----

Result<core::Payload> payload_of(std::string_view text, const Reply* facts) {
  TRY(std::string bytes, base64_decode(text));
  core::Payload payload;
  if (facts) {
    payload.facts = core::PayloadFacts::unpack(static_cast<std::uint32_t>(number_of(*facts)));
  } else {
    TRY(const core::PickleReport report, core::verify_pickle(bytes));
    payload.facts = report.facts;
  }
  payload.bytes = Buffer::of(std::move(bytes));
  return payload;
}

const Reply* Fields::find(std::string_view name) const {
  const auto it = std::find(names_.begin(), names_.end(), name);
  const auto at = static_cast<std::size_t>(it - names_.begin());
  if (at >= reply_.items.size() || reply_.items[at].type == Reply::Type::Nil) return nullptr;
  return &reply_.items[at];
}

std::string_view Fields::text(std::string_view name) const {
  const Reply* value = find(name);
  return value ? std::string_view(value->text) : std::string_view();
}

TaskState state_of(std::string_view status, std::string_view token) {
  if (status == "RUNNING") return TaskState::Running;
  if (status == "COMPLETED") return TaskState::Completed;
  if (status == "FAILED") return TaskState::Failed;
  return token.empty() ? TaskState::Queued : TaskState::Claimed;
}

core::Options options_of(const Fields& fields) {
  core::Options options;
  if (fields.text("delivery") == "at_most_once") options.delivery = core::Delivery::AtMostOnce;
  if (fields.text("isolation") == "fresh") options.isolation = core::Isolation::Fresh;
  options.max_attempts = static_cast<std::uint16_t>(fields.number("max_attempts"));
  options.retries = static_cast<std::uint16_t>(fields.number("retries"));
  options.retry_delay_ms = static_cast<std::uint32_t>(fields.number("retry_delay_ms"));
  options.time_limit_ms = fields.number("time_limit_ms");
  options.priority = static_cast<std::int16_t>(signed_of(fields.text("priority")));
  options.memory_limit = fields.number("memory_limit");
  options.queue = core::queue_of_line(fields.text("queue"));  // a task has the name of its line there
  options.environment = fields.text("environment");
  options.more = fields.text("more");
  return options;
}

core::Measures measures_of(const Fields& fields) {
  core::Measures m;
  m.started_ns = signed_of(fields.text("started_ns"));
  m.finished_ns = signed_of(fields.text("finished_ns"));
  m.exit_code = static_cast<std::int32_t>(signed_of(fields.text("exit_code")));
  m.signal = static_cast<std::int32_t>(signed_of(fields.text("signal")));
  m.peak_rss = fields.number("peak_rss");
  m.cpu_us = fields.number("cpu_us");
  return m;
}

namespace {

const std::vector<std::string> kView = {"task_status",   "token",  "function_id",  "attempt",     "error_kind",
                                        "error_message", "worker", "result_bytes", "result_facts"};

std::vector<std::string> view_and(std::vector<std::string> more) {
  std::vector<std::string> all = kView;
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace

const std::vector<std::string>& view_fields(bool with_result) {
  static const std::vector<std::string> kWhole = view_and({"task_result"});
  return with_result ? kWhole : kView;
}

const std::vector<std::string>& story_fields() {
  static const std::vector<std::string> kStory = view_and(
      {"not_before",   "expires",   "losses",      "kills",    "last_error",     "error_type",       "traceback",
       "output",       "accepted",  "claimed",     "started",  "finished",       "cancel_requested", "group",
       "delivery",     "isolation", "retries",     "priority", "retry_delay_ms", "max_attempts",     "time_limit_ms",
       "memory_limit", "queue",     "environment", "more",     "started_ns",     "finished_ns",      "exit_code",
       "signal",       "peak_rss",  "cpu_us"});
  return kStory;
}

Result<TaskView> view_of(TaskId id, const Fields& fields) {
  if (!fields.has("task_status")) return fail(Code::NotFound, "There is no task " + to_string(id) + ".");
  TaskView view;
  view.id = id;
  if (const auto function = FunctionId::parse(fields.text("function_id"))) view.function = *function;
  view.state = state_of(fields.text("task_status"), fields.text("token"));
  view.attempt = static_cast<std::uint32_t>(fields.number("attempt"));
  if (view.state == TaskState::Failed) {
    // A foreign dispatcher names no kind.
    view.error_kind = core::parse_error_kind(fields.text("error_kind")).value_or(core::ErrorKind::FunctionFailed);
    if (view.error_kind == core::ErrorKind::None) view.error_kind = core::ErrorKind::FunctionFailed;
  }
  return view;
}

}  // namespace treadle::store::redis

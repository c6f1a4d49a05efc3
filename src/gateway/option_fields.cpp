#include "gateway/option_fields.h"

#include <algorithm>

#include "core/limits.h"
#include "gateway/fields.h"
#include "gateway/surroundings.h"
#include "gateway/time_text.h"

namespace treadle::gateway {
namespace {

namespace limits = core::limits;

constexpr std::string_view kDefaultQueue = "default";

// The lower of two limits, of which 0 is none.
template <class Limit>
void lower(Limit& to, const std::optional<std::int64_t>& asked) {
  if (!asked) return;
  const auto limit = static_cast<Limit>(*asked);
  to = to == 0 ? limit : std::min(to, limit);
}

void apply_more(const OptionChanges& changes, core::Options& to) {
  core::Allowance allowance = core::allowance_of(to.more);
  const core::Allowance before = allowance;
  const std::string_view around = core::surroundings_of(to.more);
  lower(allowance.cpu_ms, changes.cpu_limit_ms);
  lower(allowance.open_files, changes.file_limit);
  lower(allowance.processes, changes.process_limit);
  lower(allowance.output_bytes, changes.output_limit);
  lower(allowance.result_bytes, changes.result_limit);
  core::Scheduling scheduling = core::scheduling_of(to.more);
  const core::Scheduling scheduled = scheduling;
  apply(changes.scheduling, scheduling);
  if (allowance == before && scheduling == scheduled && changes.surroundings.empty()) return;
  to.more = core::to_text(allowance, join_surroundings(around, changes.surroundings), scheduling);
}

void write_limits(JsonWriter& to, const core::Options& options) {
  const core::Allowance allowance = core::allowance_of(options.more);
  const auto one = [&](std::string_view name, std::uint64_t limit) {
    if (limit > 0) to.member(name, limit);
  };
  one("memory_limit", options.memory_limit);
  if (allowance.cpu_ms > 0) to.member("cpu_limit", static_cast<double>(allowance.cpu_ms) / 1000);
  one("file_limit", allowance.open_files);
  one("process_limit", allowance.processes);
  one("output_limit", allowance.output_bytes);
  one("result_limit", allowance.result_bytes);
}

}  // namespace

bool is_queue_name(std::string_view text) {
  return !text.empty() && text.size() <= limits::kMaxQueueName && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
}

Result<OptionChanges> read_options(const boost::json::object& given, const std::string& where) {
  FieldReader fields(given, where);
  OptionChanges out;
  if (const auto word = fields.word("delivery", {"at_least_once", "at_most_once"}))
    out.delivery = *word == "at_most_once" ? core::Delivery::AtMostOnce : core::Delivery::AtLeastOnce;
  out.max_attempts = fields.integer("max_attempts", 1, limits::kMaxAttemptsAsked);
  out.time_limit_ms = fields.milliseconds("time_limit", limits::kMaxTimeLimitS, /*zero=*/false);
  out.retries = fields.integer("retries", 0, limits::kMaxRetriesAsked);
  out.retry_delay_ms = fields.milliseconds("retry_delay", limits::kMaxRetryDelayS, /*zero=*/true);
  out.priority = fields.integer("priority", -limits::kMaxPriority, limits::kMaxPriority);
  if (const auto name = fields.text("queue", limits::kMaxQueueName)) {
    if (!is_queue_name(*name)) fields.wrong("queue", "made of letters, digits, '.', '_' and '-'");
    out.queue = *name == kDefaultQueue ? std::string() : std::string(*name);
  }
  if (const auto word = fields.word("isolation", {"reuse", "fresh"}))
    out.isolation = *word == "fresh" ? core::Isolation::Fresh : core::Isolation::Reuse;
  out.memory_limit = fields.integer("memory_limit", limits::kMinMemoryLimit, limits::kMaxMemoryLimit);
  out.cpu_limit_ms = fields.milliseconds("cpu_limit", limits::kMaxCpuLimitS, /*zero=*/false);
  out.file_limit = fields.integer("file_limit", limits::kMinFileLimit, limits::kMaxFileLimit);
  out.process_limit = fields.integer("process_limit", 1, limits::kMaxProcessLimit);
  out.output_limit = fields.integer("output_limit", 1, limits::kMaxOutputLimit);
  out.surroundings = read_surroundings(fields);
  out.result_limit = fields.integer("result_limit", 1, static_cast<std::int64_t>(limits::kMaxResult));
  out.scheduling = read_scheduling(fields);
  if (auto sound = fields.finish(); !sound) return std::move(sound.error());
  return out;
}

void apply(const OptionChanges& changes, core::Options& to) {
  if (changes.delivery) to.delivery = *changes.delivery;
  if (changes.isolation) to.isolation = *changes.isolation;
  if (changes.max_attempts) to.max_attempts = static_cast<std::uint16_t>(*changes.max_attempts);
  if (changes.retries) to.retries = static_cast<std::uint16_t>(*changes.retries);
  if (changes.retry_delay_ms) to.retry_delay_ms = static_cast<std::uint32_t>(*changes.retry_delay_ms);
  if (changes.priority) to.priority = static_cast<std::int16_t>(*changes.priority);
  if (changes.queue) to.queue = *changes.queue;
  lower(to.time_limit_ms, changes.time_limit_ms);
  lower(to.memory_limit, changes.memory_limit);
  apply_more(changes, to);
}

void write_options(JsonWriter& to, const core::Options& options) {
  to.begin_object();
  to.member("delivery", options.delivery == core::Delivery::AtMostOnce ? "at_most_once" : "at_least_once");
  to.member("max_attempts", options.max_attempts > 0 ? options.max_attempts : limits::kMaxAttempts);
  to.key("time_limit");
  if (options.time_limit_ms > 0)
    to.value(seconds_of(options.time_limit_ms));
  else
    to.null();
  to.member("retries", options.retries).member("retry_delay", seconds_of(options.retry_delay_ms));
  to.member("priority", options.priority);
  to.member("queue", options.queue.empty() ? kDefaultQueue : std::string_view(options.queue));
  to.member("isolation", options.isolation == core::Isolation::Fresh ? "fresh" : "reuse");
  write_limits(to, options);
  write_surroundings(to, core::surroundings_of(options.more));
  write_scheduling(to, core::scheduling_of(options.more));
  to.end_object();
}

}  // namespace treadle::gateway

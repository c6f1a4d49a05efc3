#include "gateway/option_fields.h"

#include <algorithm>

#include "core/limits.h"
#include "gateway/fields.h"

namespace treadle::gateway {
namespace {

namespace limits = core::limits;

constexpr std::string_view kDefaultQueue = "default";

bool is_queue_name(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
}

double seconds(std::uint64_t ms) { return static_cast<double>(ms) / 1000; }

}  // namespace

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
  if (changes.time_limit_ms) {
    const auto asked = static_cast<std::uint64_t>(*changes.time_limit_ms);
    to.time_limit_ms = to.time_limit_ms == 0 ? asked : std::min(asked, to.time_limit_ms);
  }
}

void write_options(JsonWriter& to, const core::Options& options) {
  to.begin_object();
  to.member("delivery", options.delivery == core::Delivery::AtMostOnce ? "at_most_once" : "at_least_once");
  to.member("max_attempts", options.max_attempts > 0 ? options.max_attempts : limits::kMaxAttempts);
  to.key("time_limit");
  if (options.time_limit_ms > 0)
    to.value(seconds(options.time_limit_ms));
  else
    to.null();
  to.member("retries", options.retries).member("retry_delay", seconds(options.retry_delay_ms));
  to.member("priority", options.priority);
  to.member("queue", options.queue.empty() ? kDefaultQueue : std::string_view(options.queue));
  to.member("isolation", options.isolation == core::Isolation::Fresh ? "fresh" : "reuse");
  to.end_object();
}

}  // namespace treadle::gateway

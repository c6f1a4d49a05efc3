#include "gateway/scheduling_fields.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "core/limits.h"
#include "gateway/fields.h"
#include "gateway/time_text.h"

namespace treadle::gateway {
namespace {

namespace json = boost::json;
namespace limits = core::limits;

constexpr std::string_view kWordSigns = "._-=:/@+";  // none that Scheduling cannot hold, and no space

bool is_made_of(std::string_view text, std::string_view signs) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           signs.find(c) != std::string_view::npos;
  });
}

using Words = std::set<std::string, std::less<>>;

void add_words(const std::string& text, Words& to) {
  std::istringstream in(text);
  for (std::string word; in >> word;) to.insert(word);
}

std::string joined(const Words& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// A list of words, or one; in order and each once, with ' ' between.
std::optional<std::string> read_words(FieldReader& fields, std::string_view name, std::size_t most, std::size_t length,
                                      std::string_view signs) {
  const json::value* value = fields.any(name);
  if (value == nullptr) return std::nullopt;
  const json::array list = value->is_array() ? value->get_array() : json::array{*value};
  Words words;
  bool sound = list.size() <= most;
  for (const json::value& item : list) {
    const json::string* text = item.if_string();
    const std::string_view word = text == nullptr ? std::string_view() : std::string_view(text->data(), text->size());
    sound = sound && !word.empty() && word.size() <= length && is_made_of(word, signs);
    words.emplace(word);
  }
  if (sound) return joined(words);
  fields.wrong(name, "a list of at most " + std::to_string(most) + " words of 1 to " + std::to_string(length) +
                         " letters, digits and signs of " + std::string(signs));
  return std::nullopt;
}

std::optional<std::int64_t> read_backoff(FieldReader& fields) {
  const json::value* value = fields.any("retry_backoff");
  if (value == nullptr) return std::nullopt;
  const double factor = value->is_number() ? value->to_number<double>() : 0;
  if (factor >= 1 && factor <= limits::kMaxRetryBackoff) return std::llround(factor * 1000);
  fields.wrong("retry_backoff", "a number from 1 to " + std::to_string(static_cast<int>(limits::kMaxRetryBackoff)));
  return std::nullopt;
}

void write_words(JsonWriter& to, std::string_view name, const std::string& text) {
  if (text.empty()) return;
  Words words;
  add_words(text, words);
  to.key(name).begin_array();
  for (const std::string& word : words) to.value(word);
  to.end_array();
}

}  // namespace

SchedulingChanges read_scheduling(FieldReader& fields) {
  SchedulingChanges out;
  out.retry_on = read_words(fields, "retry_on", limits::kMaxRetryTypes, limits::kMaxTypeName, "._<>");
  out.retry_backoff_milli = read_backoff(fields);
  out.retry_max_delay_ms = fields.milliseconds("retry_max_delay", limits::kMaxRetryDelayS, /*zero=*/false);
  out.keep_ms = fields.milliseconds("retention", limits::kMaxRetentionS, /*zero=*/false);
  out.labels = read_words(fields, "labels", limits::kMaxLabels, limits::kMaxLabel, kWordSigns);
  out.max_concurrent = fields.integer("max_concurrent", 1, limits::kMaxConcurrent);
  const auto key = fields.text("concurrency_key", limits::kMaxConcurrencyKey);
  if (!key) return out;
  if (!is_made_of(*key, kWordSigns))
    fields.wrong("concurrency_key", "made of letters, digits and signs of " + std::string(kWordSigns));
  out.concurrency_key = *key;
  return out;
}

void apply(const SchedulingChanges& changes, core::Scheduling& to) {
  if (changes.retry_on) to.retry_on = *changes.retry_on;
  if (changes.retry_backoff_milli) to.retry_backoff_milli = static_cast<std::uint32_t>(*changes.retry_backoff_milli);
  if (changes.retry_max_delay_ms) to.retry_max_delay_ms = static_cast<std::uint64_t>(*changes.retry_max_delay_ms);
  if (changes.keep_ms) to.keep_ms = static_cast<std::uint64_t>(*changes.keep_ms);
  if (changes.labels) {
    Words all;
    add_words(to.labels, all);
    add_words(*changes.labels, all);
    to.labels = joined(all);
  }
  if (changes.concurrency_key) to.limit_key = *changes.concurrency_key;
  if (changes.max_concurrent) to.limit = static_cast<std::uint32_t>(*changes.max_concurrent);
  if (!to.limit_key.empty() && to.limit == 0) to.limit = 1;
}

void write_scheduling(JsonWriter& to, const core::Scheduling& scheduling) {
  if (scheduling.empty()) return;
  write_words(to, "retry_on", scheduling.retry_on);
  if (scheduling.retry_backoff_milli > 0)
    to.member("retry_backoff", static_cast<double>(scheduling.retry_backoff_milli) / 1000);
  if (scheduling.retry_max_delay_ms > 0) to.member("retry_max_delay", seconds_of(scheduling.retry_max_delay_ms));
  if (scheduling.keep_ms > 0) to.member("retention", seconds_of(scheduling.keep_ms));
  write_words(to, "labels", scheduling.labels);
  if (!scheduling.limit_key.empty()) to.member("concurrency_key", scheduling.limit_key);
  if (scheduling.limit > 0) to.member("max_concurrent", scheduling.limit);
}

void name_limit(FunctionId function, core::Options& of_task) {
  core::Scheduling scheduling = core::scheduling_of(of_task.more);
  if (scheduling.limit == 0 || !scheduling.limit_key.empty()) return;
  scheduling.limit_key = "function:" + to_string(function);
  of_task.more = core::to_text(core::allowance_of(of_task.more), core::surroundings_of(of_task.more), scheduling);
}

}  // namespace treadle::gateway

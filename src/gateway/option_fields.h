// The options of functions and tasks as JSON: what a request asks for, how it overrides a function's, what an answer
// shows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/model.h"
#include "gateway/json_fwd.h"
#include "gateway/json_writer.h"
#include "gateway/scheduling_fields.h"

namespace treadle::gateway {

bool is_queue_name(std::string_view text);

// Only what was asked for.
struct OptionChanges {
  std::optional<core::Delivery> delivery;
  std::optional<core::Isolation> isolation;
  std::optional<std::int64_t> max_attempts, retries, priority;
  std::optional<std::int64_t> retry_delay_ms, time_limit_ms;
  std::optional<std::int64_t> memory_limit, cpu_limit_ms, file_limit, process_limit, output_limit, result_limit;
  std::optional<std::string> queue;
  std::string surroundings;  // "": none
  SchedulingChanges scheduling;
};

// `where`: "options." or "tasks[3].options.".
Result<OptionChanges> read_options(const boost::json::object& given, const std::string& where);
// A limit can only be made lower, variables, secrets and labels are added; all else is replaced.
void apply(const OptionChanges& changes, core::Options& to);
// As a value: {"delivery": ...}.
void write_options(JsonWriter& to, const core::Options& options);

}  // namespace treadle::gateway

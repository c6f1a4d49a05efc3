// The options of core/scheduling.h as JSON; option_fields.h has the others.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/ids.h"
#include "core/model.h"
#include "gateway/json_writer.h"

namespace treadle::gateway {

class FieldReader;

// Only what was asked for.
struct SchedulingChanges {
  std::optional<std::string> retry_on, labels, concurrency_key;
  std::optional<std::int64_t> retry_backoff_milli, retry_max_delay_ms, keep_ms, max_concurrent;
};

SchedulingChanges read_scheduling(FieldReader& fields);
void apply(const SchedulingChanges& changes, core::Scheduling& to);
// Members of an object; only what is set.
void write_scheduling(JsonWriter& to, const core::Scheduling& scheduling);
// A number of tasks at once without a key is that of the function.
void name_limit(FunctionId function, core::Options& of_task);

}  // namespace treadle::gateway

// What a task may take beside time and memory, what it finds around it, and the text in which stores keep both
// (Options::more).
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/scheduling.h"

namespace treadle::core {

// 0 = no limit of its own.
struct Allowance {
  std::uint64_t cpu_ms = 0;        // of its executor and of the processes that it started and waited for
  std::uint64_t output_bytes = 0;  // written to stdout and stderr, together
  std::uint64_t result_bytes = 0;  // of the result, pickled
  std::uint32_t open_files = 0;    // descriptors of its executor, numbered below this
  std::uint32_t processes = 0;     // that live below its executor at once
  bool empty() const { return *this == Allowance{}; }
  friend auto operator<=>(const Allowance&, const Allowance&) = default;
};

// A JSON object with what is set, in a fixed order: {"cpu_ms":500,"processes":4,"labels":"gpu"}; "" if nothing is.
// `surroundings` is a JSON object too, or "": the environment of the task and the names of its secrets, which the core
// only carries.
std::string to_text(const Allowance& allowance, std::string_view surroundings = {}, const Scheduling& scheduling = {});
// Reads what to_text wrote. A text with anything else in it (of another version) gives the limits that it names.
Allowance allowance_of(std::string_view text);
std::string_view surroundings_of(std::string_view text);  // "" if there are none
// The list of its requirements, as JSON text; "" if there are none.
std::string_view requirements_of(std::string_view surroundings);

}  // namespace treadle::core

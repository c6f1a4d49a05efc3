#include "core/policy.h"

#include <algorithm>

namespace treadle::core {

std::string_view name_of(Mode mode) {
  switch (mode) {
    case Mode::Local: return "local";
    case Mode::Push: return "push";
    case Mode::Pull: return "pull";
  }
  return "";
}

std::optional<Mode> parse_mode(std::string_view name) {
  for (const Mode mode : {Mode::Local, Mode::Push, Mode::Pull}) {
    if (name == name_of(mode)) return mode;
  }
  return std::nullopt;
}

std::uint64_t load_rank(std::uint32_t held, std::uint32_t slots) {
  return (std::uint64_t{held} << 20) / std::max(slots, 1u);
}

}  // namespace treadle::core

// The nearest of `names` to a mistyped word, or "" when none is near (more than two letters and a third of them
// differ).
#pragma once

#include <string_view>
#include <vector>

namespace treadle {

std::string_view did_you_mean(std::string_view word, const std::vector<std::string_view>& names);

}  // namespace treadle

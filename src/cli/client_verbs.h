// The verbs that a client needs. They pickle functions, so they are Python (python/treadle/cli); this binary hands them
// over.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/commands.h"

namespace treadle::cli {

struct ClientVerb {
  std::string_view name;
  std::string_view summary;
};

const std::vector<ClientVerb>& client_verbs();

// The folder of the package `treadle` for a binary in `folder`: of the sources that it was built from, or of its
// installation; "" if there is neither.
std::string package_folder(const std::string& folder);

// Becomes TREADLE_PYTHON, or the python3 of PATH, with the verb. Returns, with an exit code, only if there is no such
// program.
int hand_over(const std::string& verb, const Arguments& arguments);

}  // namespace treadle::cli

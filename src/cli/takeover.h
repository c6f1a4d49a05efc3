// A dispatcher with a name of its own (--name) is known again when it is started anew on the same machine.
#pragma once

#include <string>

namespace treadle::cli {

// "NAME@host/boot/pid" of this process, where `boot` is the machine's since its start.
std::string lasting_name(const std::string& name, const std::string& host);
// `other` had our name, on this machine since its start, and its process is gone.
bool is_dead_predecessor(const std::string& own, const std::string& other);

}  // namespace treadle::cli

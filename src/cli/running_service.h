// What a `treadle serve` on this machine says of itself, for those who start a part beside it by mistake.
#pragma once

#include <cstdint>
#include <string>

namespace treadle::cli {

// A sentence that begins with a space, or "" if no Treadle that dispatches answers on that port of 127.0.0.1.
std::string running_service_hint(std::uint16_t port = 8000);
// The same, of the body of its /readyz.
std::string running_service_hint(std::uint16_t port, const std::string& readyz);

}  // namespace treadle::cli

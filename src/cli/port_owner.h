// Who holds a TCP port, and which one is free: for the sentence that a busy port is answered with.
#pragma once

#include <cstdint>
#include <string>

namespace treadle::cli {

// "pid 4711 (nginx)", or "another process" when /proc does not tell.
std::string port_owner(std::uint16_t port);
// The first port above `port` that can be bound on 127.0.0.1; 0 if the next hundred are all taken.
std::uint16_t next_free_port(std::uint16_t port);

}  // namespace treadle::cli

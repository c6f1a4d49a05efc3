// What the gateway is told at start. Every field is one flag of `treadle serve`; the defaults come from core/limits.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "core/limits.h"

namespace treadle::gateway {

struct GatewayConfig {
  std::string address = "127.0.0.1";  // an IP address; anything but loopback needs `insecure_public`
  std::uint16_t port = 8000;          // 0 = any free one (see Gateway::port)
  bool insecure_public = false;
  std::vector<std::string> allow_hosts;    // further names for the Host header, without port
  std::vector<std::string> allow_origins;  // web origins that get CORS answers, e.g. "http://localhost:3000"; "*" = all

  int created_status = 200;  // of register_function and execute_function; two old suites want 201
  std::uint64_t max_payload = core::limits::kMaxPayload;  // decoded bytes
  std::uint64_t max_bodies_in_flight = core::limits::kMaxBodiesInFlight;
  std::size_t max_header = core::limits::kMaxHeader;
  std::size_t max_connections = core::limits::kMaxConnections;
  std::size_t max_pipelined = 256;                // unanswered requests of one connection, then it is not read
  std::size_t max_output = std::size_t{1} << 20;  // unsent bytes of one connection, then it is not read

  Duration header_deadline = core::limits::kHeaderDeadline;  // first byte to end of header
  Duration body_idle = core::limits::kBodyIdle;
  std::uint64_t min_body_rate = 16u << 10;  // bytes/s on average, after one `body_idle` of grace
  Duration keep_alive = core::limits::kKeepAlive;
  Duration write_idle = 60s;  // a client that takes none of its answer is dropped
  Duration linger = 5s;       // how long the rest of a refused body is read and thrown away

  // The JSON text of a request: base64 is a third longer, its escaped newlines and the other fields a little more.
  std::uint64_t max_body() const { return max_payload + max_payload * 2 / 5 + 4096; }
};

}  // namespace treadle::gateway

// Guards a service on loopback against web pages: DNS rebinding (Host) and cross-site requests (Origin).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gateway/config.h"

namespace treadle::gateway {

class HostPolicy {
 public:
  // `own_names`: this machine's names and addresses, which count only with insecure_public.
  HostPolicy(const GatewayConfig& config, const std::vector<std::string>& own_names);

  // The value of a Host header; its port is not compared.
  bool host_allowed(std::string_view host) const;

  enum class Origin { Same, Allowed, Foreign };
  // Same: no Origin at all, or the very origin that the request goes to (our own pages).
  Origin judge_origin(std::string_view origin, std::string_view host) const;

 private:
  std::vector<std::string> hosts_;    // lower case
  std::vector<std::string> origins_;  // lower case
  bool any_origin_ = false;
};

// Host name, its first label, and the addresses of all interfaces ("[v6]" in brackets). May ask the system, not DNS.
std::vector<std::string> machine_names();

}  // namespace treadle::gateway

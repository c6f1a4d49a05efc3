// Decides from the header alone what happens to a request: which route, or which refusal, before a byte of body is
// read.
#pragma once

#include <cstdint>
#include <optional>

#include "gateway/config.h"
#include "gateway/host_policy.h"
#include "gateway/request.h"
#include "gateway/response.h"
#include "gateway/router.h"

namespace treadle::gateway {

struct BodyHint {
  std::uint64_t length = 0;  // Content-Length; 0 if chunked or none
  bool chunked = false;
};

struct Admission {
  const Route* route = nullptr;     // also set for refusals on a known route, for the metrics
  std::optional<Response> refusal;  // the answer; nothing: the handler runs when the body is there
  bool cors = false;                // the Origin is allowed: the answer says so
};

class Gatekeeper {
 public:
  Gatekeeper(const GatewayConfig& config, HostPolicy policy, const Router& router)
      : config_(config), policy_(std::move(policy)), router_(router) {}
  // Splits the target and fills request.params.
  Admission admit(Request& request, const BodyHint& body) const;

 private:
  std::optional<Response> refuse_sender(const Request& request, Admission& admission) const;
  std::optional<Response> refuse_body(const Request& request, const BodyHint& body, const Route* route) const;
  std::optional<Response> refuse_query(const Request& request, const Route& route) const;
  Response unrouted(const Request& request) const;

  const GatewayConfig& config_;
  HostPolicy policy_;
  const Router& router_;
};

Response too_large(const GatewayConfig& config);

}  // namespace treadle::gateway

// The OpenAPI 3.1 description of the service, made from the route table.
#pragma once

#include <span>
#include <string>

#include "gateway/config.h"
#include "gateway/routes.h"
#include "gateway/status_source.h"

namespace treadle::gateway {

std::string openapi_document(std::span<const Route> routes, const GatewayConfig& config, const BuildInfo& build);

}  // namespace treadle::gateway

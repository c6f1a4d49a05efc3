// The docs page for a program that was built without Swagger UI: one HTML page made from the route table.
#pragma once

#include <span>
#include <string>

#include "gateway/routes.h"

namespace treadle::gateway {

std::string plain_docs_page(std::span<const Route> routes);

}  // namespace treadle::gateway

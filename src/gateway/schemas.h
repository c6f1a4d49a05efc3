// The JSON schemas of requests and answers, with examples, for openapi.cpp.
#pragma once

#include <string_view>

#include <boost/json/object.hpp>

#include "gateway/routes.h"

namespace treadle::gateway {

std::string_view schema_name(Schema schema);
// Every named schema, and "Error".
boost::json::object schemas();
// Those of /v1, which are part of them.
boost::json::object v1_schemas();
boost::json::object v1_outcome_schemas();
boost::json::object v1_group_schemas();

}  // namespace treadle::gateway

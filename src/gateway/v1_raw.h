// A call whose body is its pickled arguments: what else there is to say stands in the query.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "gateway/json_fwd.h"

namespace treadle::gateway {

// function_id, options (JSON), delay, queue_ttl, expires_in, deadline and group, as the fields that a JSON body would
// have.
Result<std::shared_ptr<boost::json::object>> raw_fields(std::string_view query);

}  // namespace treadle::gateway

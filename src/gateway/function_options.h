// The options of a function, from the cache or from the store: what every submission starts from.
#pragma once

#include <memory>
#include <utility>

#include "gateway/service.h"

namespace treadle::gateway {

// Calls then(Result<core::Options>), at once when the function is cached.
template <class Then>
void with_options(const std::shared_ptr<Service>& service, FunctionId id, Then then) {
  if (const core::Options* known = service->functions.find(id)) return then(Result<core::Options>(*known));
  service->store.get_function(id, [service, id, then = std::move(then)](Result<core::Function> found) mutable {
    if (!found) return then(Result<core::Options>(std::move(found.error())));
    then(Result<core::Options>(*service->functions.put(id, std::move(found->options))));
  });
}

}  // namespace treadle::gateway

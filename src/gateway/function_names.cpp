#include "gateway/function_names.h"

#include <utility>
#include <vector>

#include "gateway/service.h"

namespace treadle::gateway {

Error no_function_named(std::string_view name) {
  constexpr std::size_t kShown = 100;
  return fail(Code::NotFound, "There is no function called \"" + std::string(name.substr(0, kShown)) +
                                  "\". GET /v1/functions lists what there is; POST /v1/functions registers one.");
}

void find_function(Service& service, std::string name_or_id, Callback<void(Result<FunctionId>)> then) {
  if (const auto id = FunctionId::parse(name_or_id)) return then(*id);
  store::FunctionFilter newest{name_or_id, "", 1};
  service.store.list_functions(std::move(newest), [name = std::move(name_or_id), then = std::move(then)](
                                                      Result<std::vector<store::FunctionSummary>> found) mutable {
    if (!found) return then(std::move(found.error()));
    if (found->empty()) return then(no_function_named(name));
    then(found->front().id);
  });
}

}  // namespace treadle::gateway

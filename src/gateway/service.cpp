#include "gateway/service.h"

#include <vector>

#include "gateway/openapi.h"
#include "gateway/plain_docs.h"
#include "gateway/routes.h"

namespace treadle::gateway {
namespace {

std::vector<std::string_view> patterns() {
  std::vector<std::string_view> out;
  for (const Route& route : route_table()) out.push_back(route.pattern);
  return out;
}

}  // namespace

Service::Service(store::Store& store_, GatewayConfig config_, StatusSource& status_, IdSource& ids_,
                 const Clock& clock_)
    : store(store_),
      config(std::move(config_)),
      status(status_),
      ids(ids_),
      clock(clock_),
      metrics(patterns()),
      watch(store, clock),
      openapi(openapi_document(route_table(), config, status.build())),
      plain_docs(plain_docs_page(route_table())),
      started(clock.now()) {}

}  // namespace treadle::gateway

#include "gateway/service.h"

#include <memory>
#include <utility>
#include <vector>

#include "gateway/errors.h"
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
      streams(*this),
      openapi(openapi_document(route_table(), config, status.build())),
      plain_docs(plain_docs_page(route_table())),
      started(clock.now()) {}

void hold(Service& service, Duration wait, Waiting waiting) {
  const auto held = std::make_shared<Waiting>(std::move(waiting));
  service.waiting.insert(held);
  service.store.wait(held->task, service.clock.now() + wait,
                     [self = service.shared_from_this(), held](Result<store::TaskView> view) {
                       self->waiting.erase(held);
                       if (!held->out) return;  // answered when the service began to stop
                       if (!view) return held->out.fail(about_task(view.error(), held->task));
                       held->read(*self, *held);
                     });
}

Error about_task(Error error, TaskId task) {
  return error.code == Code::NotFound ? unknown_task(to_string(task)) : std::move(error);
}

}  // namespace treadle::gateway

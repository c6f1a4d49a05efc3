#include "gateway/gateway.h"

#include <utility>

#include "gateway/server.h"
#include "gateway/service.h"

namespace treadle::gateway {

struct Gateway::Impl {
  Impl(boost::asio::io_context& io, std::shared_ptr<Service> service) : server(io, std::move(service)) {}
  Server server;
};

Gateway::Gateway(boost::asio::io_context& io, store::Store& store, GatewayConfig config, StatusSource& status,
                 IdSource& ids, const Clock& clock)
    : impl_(std::make_unique<Impl>(io, std::make_shared<Service>(store, std::move(config), status, ids, clock))) {}
Gateway::~Gateway() = default;

Result<void> Gateway::listen() { return impl_->server.listen(); }
std::uint16_t Gateway::port() const { return impl_->server.port(); }
bool Gateway::turn(Instant now) { return impl_->server.turn(now); }
void Gateway::begin_drain() { impl_->server.begin_drain(); }
bool Gateway::drained() const { return impl_->server.drained(); }

}  // namespace treadle::gateway

#include "store/redis/redis_store.h"

#include <utility>

#include <boost/asio/io_context.hpp>

#include "store/redis/engine.h"

namespace treadle::store {
namespace {

constexpr Duration kLayoutLimit = 5s;  // for the first look at what Redis holds

}  // namespace

Result<std::unique_ptr<Store>> open_redis(boost::asio::io_context& io, RedisConfig config, const Clock& clock) {
  auto engine = std::make_unique<redis::Engine>(io, std::move(config), clock);
  engine->turn(clock.now());  // begins the first sweep, which also says what Redis holds
  engine->run_until_idle(kLayoutLimit);
  if (auto error = engine->check_layout()) return std::move(*error);
  return std::unique_ptr<Store>(std::move(engine));
}

}  // namespace treadle::store

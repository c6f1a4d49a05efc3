#include "store/redis/redis_store.h"

#include <optional>
#include <utility>

#include "store/redis/engine.h"
#include "store/redis/loop.h"
#include "store/redis/probe.h"

namespace treadle::store {
namespace {

constexpr Duration kLayoutLimit = 5s;  // for the first look at what Redis holds
constexpr Duration kStep = 10ms;       // of the loop while we run it ourselves; the probe ends by itself

Result<redis::Findings> look(boost::asio::io_context& io, redis::Engine& engine) {
  std::optional<Result<redis::Findings>> found;
  redis::probe(io, engine.client(), [&found](Result<redis::Findings> findings) { found = std::move(findings); });
  while (!found) {
    engine.client().flush();
    redis::run_one(io, kStep);
  }
  return std::move(*found);
}

}  // namespace

Result<std::unique_ptr<Store>> open_redis(boost::asio::io_context& io, RedisConfig config, const Clock& clock) {
  const Level required = config.required;
  const redis::Address address = config.address;
  const auto warn = config.warn;
  auto engine = std::make_unique<redis::Engine>(io, std::move(config), clock);
  TRY(const redis::Findings findings, look(io, *engine));
  if (auto enough = redis::check_level(findings.level, required, address); !enough) return std::move(enough.error());
  for (const std::string& warning : findings.warnings) {
    if (warn) warn(warning);
  }
  engine->set_level(findings.level);
  engine->turn(clock.now());  // begins the first sweep, which also says what Redis holds
  engine->run_until_idle(kLayoutLimit);
  if (auto error = engine->check_layout()) return std::move(*error);
  return std::unique_ptr<Store>(std::move(engine));
}

}  // namespace treadle::store

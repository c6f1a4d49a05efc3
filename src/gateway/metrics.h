// What is counted about requests, and the text of /metrics. Counting costs nanoseconds; the text is made when asked
// for.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "gateway/status_source.h"
#include "store/store.h"

namespace treadle::gateway {

// Loop thread only.
class Metrics {
 public:
  static constexpr std::size_t kNoRoute = static_cast<std::size_t>(-1);

  // Labels of the routes, in the order of their indexes: their patterns.
  explicit Metrics(std::vector<std::string_view> routes);
  // One answered request. `route`: an index, or kNoRoute.
  void observe(std::size_t route, int status, Duration took);

  struct Now {
    store::Counters store;
    Status status;
    BuildInfo build;
    std::size_t connections = 0;
    Duration uptime{0};
  };
  // Prometheus text format 0.0.4.
  std::string text(const Now& now) const;

 private:
  static constexpr std::array<double, 14> kBounds{0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                  0.05,    0.1,    0.25,  1.0,    5.0,   20.0, 60.0};
  struct Series {
    int status = 0;
    std::array<std::uint64_t, kBounds.size() + 1> counts{};  // not cumulative; the last is above all bounds
    std::int64_t total_ns = 0;
  };
  std::vector<std::string_view> routes_;
  std::vector<std::vector<Series>> series_;  // by route, the last for no route; few statuses each
};

}  // namespace treadle::gateway

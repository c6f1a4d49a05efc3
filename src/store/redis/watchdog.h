// Notices that what is due has not moved for too long.
#pragma once

#include <chrono>

#include "base/callback.h"
#include "base/time.h"
#include "store/redis/loop.h"

namespace treadle::store::redis {

// Loop thread. One timer, set anew only when it goes off: progress costs no more than reading the clock.
class Watchdog {
 public:
  Watchdog(boost::asio::io_context& io, Duration patience, Callback<void()> bark)
      : timer_(io), patience_(patience), bark_(std::move(bark)) {}

  // What is due has moved; also: it has just become due.
  void progress() { moved_ = Clock::now(); }
  // While `due`, it barks when there was no progress for as long as its patience.
  void watch(bool due);

 private:
  using Clock = std::chrono::steady_clock;
  void arm();
  void on_timer();

  Timer timer_;
  const Duration patience_;
  Callback<void()> bark_;
  Clock::time_point moved_{}, expiry_{};
  bool due_ = false;
  bool armed_ = false;
};

}  // namespace treadle::store::redis

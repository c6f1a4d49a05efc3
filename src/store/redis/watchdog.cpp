#include "store/redis/watchdog.h"

namespace treadle::store::redis {

void Watchdog::watch(bool due) {
  due_ = due;
  if (due && !armed_) arm();
}

void Watchdog::arm() {
  armed_ = true;
  expiry_ = moved_ + patience_;
  timer_.start(expiry_ - Clock::now(), [this] { on_timer(); });
}

void Watchdog::on_timer() {
  armed_ = false;
  if (!due_) return;
  const auto now = Clock::now();
  // When the loop itself stood still, what was due may lie unread in the socket.
  if (now >= expiry_ + patience_ / 4) moved_ = now;
  if (now >= moved_ + patience_) return bark_();
  arm();
}

}  // namespace treadle::store::redis

// What the client needs of the event loop, so that its other files need no Asio: a timer, "soon", and a turn.
#pragma once

#include <memory>

#include "base/callback.h"
#include "base/time.h"

namespace boost::asio {
class io_context;
}

namespace treadle::store::redis {

// Runs `call` from a handler of its own.
void soon(boost::asio::io_context& io, Callback<void()> call);

// Runs one handler, or waits for one at most so long: for the start and the end, when nobody else runs the loop.
void run_one(boost::asio::io_context& io, Duration limit);

// Loop thread. The callback cannot outlive the timer; it may start the timer again, or destroy it.
class Timer {
 public:
  explicit Timer(boost::asio::io_context& io);
  ~Timer();
  // Once, instead of what it was started for before.
  void start(Duration after, Callback<void()> call);
  void stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace treadle::store::redis

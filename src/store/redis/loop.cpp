#include "store/redis/loop.h"

#include <cstdint>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace treadle::store::redis {

void run_one(boost::asio::io_context& io, Duration limit) {
  if (io.stopped()) io.restart();
  io.run_one_for(limit);
}

void soon(boost::asio::io_context& io, Callback<void()> call) { boost::asio::post(io, std::move(call)); }

struct Timer::Impl {
  explicit Impl(boost::asio::io_context& io) : timer(io) {}
  boost::asio::steady_timer timer;
  Callback<void()> call;
  std::uint64_t round = 0;  // an expiry that is queued already cannot be cancelled, only recognized
};

Timer::Timer(boost::asio::io_context& io) : impl_(std::make_shared<Impl>(io)) {}

Timer::~Timer() { stop(); }

void Timer::start(Duration after, Callback<void()> call) {
  impl_->call = std::move(call);
  impl_->timer.expires_after(after);
  impl_->timer.async_wait([weak = std::weak_ptr(impl_), round = ++impl_->round](const boost::system::error_code&) {
    const auto self = weak.lock();
    if (!self || self->round != round) return;
    auto due = std::exchange(self->call, {});
    if (due) due();
  });
}

void Timer::stop() {
  ++impl_->round;
  impl_->call = {};
  impl_->timer.cancel();
}

}  // namespace treadle::store::redis

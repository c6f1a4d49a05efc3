#include "runtime/host_loop.h"

#include <algorithm>
#include <csignal>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

namespace treadle::runtime {
namespace {

namespace asio = boost::asio;

constexpr int kHandlersPerTurn = 256;  // bounds how long a flood of requests can keep the shells waiting
constexpr int kRoundsPerTurn = 16;     // of all shells, before the sockets are looked at again

}  // namespace

struct HostLoop::Impl {
  struct Hosted {
    Shell& shell;
    std::unique_ptr<asio::posix::stream_descriptor> wake;  // a view of the shell's descriptor: never closed here
    bool waiting = false;
  };

  explicit Impl(const Clock& clock_in) : clock(clock_in) {}
  ~Impl() {
    for (auto& hosted : shells) {
      if (hosted->wake) hosted->wake->release();
    }
  }

  void watch(Hosted& hosted) {
    if (!hosted.wake || hosted.waiting) return;
    hosted.waiting = true;
    hosted.wake->async_wait(asio::posix::stream_descriptor::wait_read,
                            [&hosted](const boost::system::error_code&) { hosted.waiting = false; });
  }

  void arm_timer() {
    Instant next = Instant::never();
    for (const auto& hosted : shells) next = std::min(next, hosted->shell.next_deadline());
    if (next == armed) return;
    armed = next;
    if (next == Instant::never()) {
      timer.cancel();
      return;
    }
    timer.expires_at(asio::steady_timer::time_point(std::chrono::nanoseconds(next.ns)));
    timer.async_wait([this](const boost::system::error_code& error) {
      if (!error) armed = Instant{-1};
    });
  }

  void wait_for_signal() {
    signals.async_wait([this](const boost::system::error_code& error, int) {
      if (error) return;
      ++signals_seen;
      if (handler) handler(signals_seen);
      wait_for_signal();
    });
  }

  void wait_for_dump() {
    dump_signals.async_wait([this](const boost::system::error_code& error, int) {
      if (error) return;
      if (dump) dump();
      wait_for_dump();
    });
  }

  // Shells hand things to each other, so they go round until none has anything left.
  void turn_shells() {
    const Instant now = clock.now();
    for (int round = 0; round < kRoundsPerTurn; ++round) {
      bool again = false;
      for (auto& hosted : shells) again |= hosted->shell.turn(now);
      if (!again) return;
    }
    asio::post(context, [] {});  // not quiet yet: come back at once
  }

  const Clock& clock;
  asio::io_context context{1};
  asio::steady_timer timer{context};
  asio::signal_set signals{context}, dump_signals{context};
  std::vector<std::unique_ptr<Hosted>> shells;
  Instant armed{-1};
  Callback<void(int)> handler;
  Callback<void()> dump;
  int signals_seen = 0;
  bool stopped = false;
};

HostLoop::HostLoop(const Clock& clock) : impl_(std::make_unique<Impl>(clock)) {}
HostLoop::~HostLoop() = default;

boost::asio::io_context& HostLoop::context() { return impl_->context; }

void HostLoop::add(Shell& shell) {
  auto hosted = std::make_unique<Impl::Hosted>(Impl::Hosted{shell, nullptr, false});
  if (shell.wake_fd() >= 0)
    hosted->wake = std::make_unique<asio::posix::stream_descriptor>(impl_->context, shell.wake_fd());
  impl_->shells.push_back(std::move(hosted));
}

void HostLoop::on_stop_signal(Callback<void(int)> handler) {
  impl_->handler = std::move(handler);
  impl_->signals.add(SIGINT);
  impl_->signals.add(SIGTERM);
  impl_->wait_for_signal();
}

void HostLoop::on_dump_signal(Callback<void()> handler) {
  impl_->dump = std::move(handler);
  impl_->dump_signals.add(SIGUSR1);
  impl_->wait_for_dump();
}

void HostLoop::run() {
  auto work = asio::make_work_guard(impl_->context);
  impl_->turn_shells();
  while (!impl_->stopped) {
    for (auto& hosted : impl_->shells) impl_->watch(*hosted);
    impl_->arm_timer();
    impl_->context.run_one();
    for (int i = 0; i < kHandlersPerTurn && impl_->context.poll_one() > 0; ++i) continue;
    impl_->turn_shells();
  }
}

void HostLoop::stop() { impl_->stopped = true; }

}  // namespace treadle::runtime

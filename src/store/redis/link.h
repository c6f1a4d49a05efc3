// A connection that is made anew for ever: dials, greets, and after a loss begins again with a growing pause.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "base/callback.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/time.h"
#include "store/redis/address.h"
#include "store/redis/client.h"
#include "store/redis/connection.h"
#include "store/redis/loop.h"
#include "store/redis/sentinel.h"
#include "store/redis/stream.h"

namespace treadle::store::redis {

// Loop thread. Must not be destroyed from within one of its hooks.
class Link {
 public:
  struct Hooks {
    Callback<void()> on_ready;
    Callback<void(const Error&)> on_lost;  // it was ready
    Callback<void()> on_idle_writer;
    Callback<void(std::string_view channel, std::string_view message)> on_message;
  };

  Link(boost::asio::io_context& io, const Address& address, const ClientConfig& config, Hooks hooks);
  ~Link();

  void start();
  // Null unless it is ready for commands.
  Connection* connection() const { return ready_ && connection_->open() ? connection_.get() : nullptr; }
  // How often a connection was made to another server than the one before.
  std::uint64_t moves() const { return moves_; }
  const Error& last_error() const { return error_; }
  bool refused() const { return refused_; }
  // The server turned out not to be the master any more: looks for the new one.
  void drop();
  // For good. With an error, what is in flight is answered with it; else it is dropped.
  void close(const Error* error);

 private:
  void search(Callback<void(Result<Address>)> found);
  void dial_to(const Address& server);
  void check_later();
  void on_dialed(Result<std::unique_ptr<Stream>> stream);
  void on_greeted(const Result<void>& result);
  void on_end(const Error& error);
  void retry(Error error);
  void let_go(const Error* error);

  boost::asio::io_context& io_;
  const Address address_;
  Address server_;  // that is dialed: of Sentinels, the master that they named
  const ClientConfig config_;
  Hooks hooks_;
  Timer timer_;  // of the pause, then of the greeting
  Timer check_timer_;
  std::shared_ptr<MasterSearch> search_;
  std::size_t sentinel_ = 0;  // to ask first
  std::shared_ptr<Dial> dial_;
  std::shared_ptr<Connection> connection_;
  Duration backoff_;
  Rng jitter_;
  static inline std::atomic<std::uint64_t> links_made = 0;  // no two have the same jitter
  Error error_;
  bool refused_ = false;  // the last try reached something that did not let us in
  bool ready_ = false;
  Address::Place last_place_;  // that was ready
  std::uint64_t moves_ = 0;
  bool closed_ = false;
};

}  // namespace treadle::store::redis

// The channels that a client listens to, over a connection of their own, subscribed again whenever it is made anew.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/callback.h"
#include "base/result.h"
#include "store/redis/client.h"
#include "store/redis/link.h"
#include "store/redis/loop.h"

namespace treadle::store::redis {

// Loop thread. Must not be destroyed from within one of its callbacks.
class Subscriptions {
 public:
  using Confirmed = Callback<void(Result<void>)>;
  struct Hooks {
    Callback<void()> on_back;  // after a loss: every channel is subscribed again; messages may have been missed
    Callback<void(std::string_view channel, std::string_view message)> on_message;
  };

  Subscriptions(boost::asio::io_context& io, const Address& address, const ClientConfig& config, Hooks hooks);

  // Code::Full at once if there are too many; nothing is subscribed then.
  Result<void> add(const std::string& channel, Confirmed confirmed);
  void remove(const std::string& channel);
  // For good. With an error, who waits for a confirmation gets it; else they are dropped.
  void close(const Error* error);

 private:
  struct Channel {
    std::uint64_t number = 0;  // tells it from one of the same name that was removed
    bool confirmed = false;
    std::vector<Confirmed> waiting;
  };

  void on_ready();
  void on_lost();
  void subscribe(const std::string& channel, std::uint64_t number);
  void on_answer(const std::string& channel, std::uint64_t number, Result<Reply> answer);
  void note_if_back();
  void ping_later();
  void ping();

  boost::asio::io_context& io_;
  const ClientConfig config_;
  Hooks hooks_;
  Link link_;
  Timer pinger_;
  std::map<std::string, Channel> channels_;
  std::uint64_t last_number_ = 0;
  bool abandoned_ = false;  // nobody is told any more
  bool missed_ = false;     // a connection was lost, and on_back has not been called since
};

}  // namespace treadle::store::redis

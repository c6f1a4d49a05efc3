// What the tests of the Redis client share: an event loop that runs until something is true, and answers to look at.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "store/redis/client.h"

namespace treadle::store::redis::testing {

using namespace std::chrono_literals;
using Reached = std::shared_ptr<std::optional<Result<Reply>>>;

struct Rig {
  boost::asio::io_context io{1};

  // False: it did not become true in time.
  bool run_until(const std::function<bool()>& done, std::chrono::milliseconds patience = 20s) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!done()) {
      if (std::chrono::steady_clock::now() > until) return false;
      io.restart();
      io.run_one_for(10ms);
    }
    return true;
  }
  void run_for(std::chrono::milliseconds time) {
    run_until([] { return false; }, time);
  }

  Reached send(Client& client, Command command) {
    auto reached = std::make_shared<std::optional<Result<Reply>>>();
    client.send(std::move(command), [reached](Result<Reply> reply) { *reached = std::move(reply); });
    return reached;
  }
  // Sends, flushes and waits.
  Result<Reply> ask(Client& client, Command command) {
    const Reached reached = send(client, std::move(command));
    client.flush();
    if (!run_until([&] { return reached->has_value(); })) return fail(Code::Internal, "the test waited in vain");
    return std::move(**reached);
  }
  bool connect(Client& client) {
    return run_until([&] { return client.connected(); });
  }
};

// The text of a reply, or of the error, with a mark for its kind.
inline std::string shown(const Result<Reply>& reply) {
  if (!reply) return "(lost) " + reply.error().message;
  switch (reply->type) {
    case Reply::Type::Nil: return "(nil)";
    case Reply::Type::Integer: return std::to_string(reply->integer);
    case Reply::Type::Bool: return reply->integer != 0 ? "true" : "false";
    case Reply::Type::Double: return std::to_string(reply->number);
    case Reply::Type::Error: return "(error) " + reply->text;
    case Reply::Type::Array: {
      std::string out = "[";
      for (const Reply& item : reply->items) out += (out.size() > 1 ? " " : "") + shown(Result<Reply>(item));
      return out + "]";
    }
    default: return reply->text;
  }
}

// So many keys, and so slow a reading of them, that a restarted server is LOADING for a while.
inline void make_loading_slow(Rig& rig, Client& client) {
  for (int i = 0; i < 20'000; ++i) client.send({"SET", "k" + std::to_string(i), "v"}, {});
  for (const Command& command :
       {Command{"CONFIG", "SET", "key-load-delay", "500"},
        Command{"CONFIG", "SET", "loading-process-events-interval-bytes", "1024"}, Command{"CONFIG", "REWRITE"}}) {
    ASSERT_EQ(shown(rig.ask(client, command)), "OK");
  }
}

}  // namespace treadle::store::redis::testing

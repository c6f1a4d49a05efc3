// One Redis that serves keys, and the homes (partitions) that live there and share its connections: one for small
// commands and messages, and, from the first use on, one for big payloads.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>

#include "base/callback.h"
#include "store/redis/client.h"
#include "store/redis/route.h"

namespace treadle::store::redis {

class Home;

class Master {
 public:
  Master(boost::asio::io_context& io, Address address, ClientConfig config);

  Client& client() { return client_; }
  Client& bulk();
  void flush();
  void close();

  void add(Home& home) { homes_.insert(&home); }
  void remove(Home& home) { homes_.erase(&home); }
  bool unused() const { return homes_.empty(); }
  // Counted: a channel is left when nobody listens any more.
  void subscribe(const std::string& channel, Callback<void(Result<void>)> confirmed);
  void unsubscribe(const std::string& channel);

 private:
  boost::asio::io_context& io_;
  const Address address_;
  const ClientConfig config_;
  Client client_;
  std::unique_ptr<Client> bulk_;
  std::unordered_set<Home*> homes_;
  std::map<std::string, int> listeners_;
};

// Where one partition is: its engine's way to Redis, which keeps its channels when it leads to another master.
class Home {
 public:
  struct Hooks {
    Callback<void(std::string_view channel, std::string_view message)> on_message;
    Callback<void()> on_connected;  // anew, or elsewhere: messages may have been missed
  };
  // Of a topology in which keys move; both may be empty.
  struct Guide {
    Callback<Client*(std::string_view redis_says, bool bulk)> elsewhere;
    Callback<void()> in_vain;
  };

  explicit Home(Master& master) : master_(&master) { master_->add(*this); }
  ~Home() { master_->remove(*this); }
  Home(const Home&) = delete;
  Home& operator=(const Home&) = delete;

  void set_hooks(Hooks hooks) { hooks_ = std::move(hooks); }
  void set_guide(Guide guide) { guide_ = std::move(guide); }
  Route& small() { return small_; }
  Route& bulk() { return bulk_; }
  Master& master() { return *master_; }
  void move_to(Master& master);
  // Changes with the server: what the one before had done may be undone.
  std::uint64_t moves() const { return moves_ + master_->client().moves(); }
  void flush() { master_->flush(); }

  void subscribe(std::string channel, Callback<void(Result<void>)> confirmed);
  void unsubscribe(const std::string& channel);
  void hear(std::string_view channel, std::string_view message) {
    if (hooks_.on_message) hooks_.on_message(channel, message);
  }
  void connected() {
    if (hooks_.on_connected) hooks_.on_connected();
  }

 private:
  class Lane final : public Route {
   public:
    Lane(Home& home, bool bulk) : home_(home), bulk_(bulk) {}
    Client& client() override { return bulk_ ? home_.master_->bulk() : home_.master_->client(); }
    Client* elsewhere(std::string_view redis_says) override {
      return home_.guide_.elsewhere ? home_.guide_.elsewhere(redis_says, bulk_) : nullptr;
    }
    void in_vain() override {
      if (home_.guide_.in_vain) home_.guide_.in_vain();
    }

   private:
    Home& home_;
    const bool bulk_;
  };

  Master* master_;
  std::uint64_t moves_ = 0;
  Hooks hooks_;
  Guide guide_;
  Lane small_{*this, false}, bulk_{*this, true};
  std::unordered_set<std::string> channels_;
};

}  // namespace treadle::store::redis

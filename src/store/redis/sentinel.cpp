#include "store/redis/sentinel.h"

#include <charconv>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "store/redis/connection.h"
#include "store/redis/loop.h"
#include "store/redis/stream.h"

namespace treadle::store::redis {
namespace {

class Search final : public MasterSearch, public std::enable_shared_from_this<Search> {
 public:
  Search(boost::asio::io_context& io, const Address& sentinels, std::size_t first, Duration patience,
         Callback<void(Result<Address>)> done)
      : io_(io),
        sentinels_(sentinels),
        places_(sentinels.places()),
        first_(first),
        patience_(patience),
        done_(std::move(done)),
        timer_(io) {}

  void ask_next() {
    let_go();
    if (asked_ == places_.size()) return give_up();
    place_ = places_[(first_ + asked_++) % places_.size()];
    // A password in the address is for the master, not for its Sentinels.
    Address sentinel = sentinels_.at(place_);
    sentinel.password.clear();
    sentinel.user.clear();
    dial_ = dial(io_, sentinel, patience_, [self = shared_from_this()](Result<std::unique_ptr<Stream>> stream) {
      self->on_dialed(std::move(stream));
    });
  }

  void cancel() override {
    done_ = {};
    let_go();
  }

 private:
  void on_dialed(Result<std::unique_ptr<Stream>> stream) {
    dial_ = nullptr;
    if (!done_) return;
    if (!stream) return blame(stream.error().message);
    connection_ = std::make_shared<Connection>(
        io_, std::move(*stream), place_.host + ":" + std::to_string(place_.port), patience_,
        Connection::Hooks{.on_idle_writer = [] {}, .on_message = {}, .on_end = [](const Error&) {}});
    connection_->start();
    std::deque<Request> requests;
    requests.push_back({{"SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinels_.master_name},
                        [self = shared_from_this()](Result<Reply> reply) {
                          // Not from within the connection, which is closed next.
                          soon(self->io_,
                               [self, reply = std::move(reply)]() mutable { self->on_reply(std::move(reply)); });
                        }});
    connection_->write(std::move(requests));
    timer_.start(patience_, [self = shared_from_this()] { self->on_reply(fail(Code::Unavailable, "it is silent")); });
  }

  void on_reply(Result<Reply> reply) {
    if (!done_ || !connection_) return;
    if (!reply) return blame(reply.error().message);
    if (reply->type == Reply::Type::Error) return blame("it says " + std::string(reply->text));
    if (reply->type != Reply::Type::Array || reply->items.size() != 2)
      return blame("it knows no master '" + sentinels_.master_name + "'");
    Address::Place place{std::string(reply->items[0].text), 0};
    const std::string port(reply->items[1].text);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), place.port);
    if (error != std::errc() || end != port.data() + port.size() || place.port == 0 || place.host.empty())
      return blame("it gave no address");
    let_go();
    std::exchange(done_, {})(sentinels_.at(place));
  }

  void blame(const std::string& what) {
    blamed_ += (blamed_.empty() ? "" : "; ") + place_.host + ":" + std::to_string(place_.port) + ": " + what;
    ask_next();
  }

  void give_up() {
    std::exchange(done_,
                  {})(fail(Code::Unavailable, "No Sentinel of " + sentinels_.shown() + " tells where the master is (" +
                                                  blamed_ + "). Are they running, and is '" + sentinels_.master_name +
                                                  "' the name in their sentinel monitor line?"));
  }

  void let_go() {
    timer_.stop();
    if (dial_) std::exchange(dial_, nullptr)->cancel();
    if (connection_) std::exchange(connection_, nullptr)->abandon();
  }

  boost::asio::io_context& io_;
  const Address sentinels_;
  const std::vector<Address::Place> places_;
  const std::size_t first_;
  const Duration patience_;
  Callback<void(Result<Address>)> done_;
  Timer timer_;
  Address::Place place_;
  std::size_t asked_ = 0;
  std::shared_ptr<Dial> dial_;
  std::shared_ptr<Connection> connection_;
  std::string blamed_;
};

}  // namespace

std::shared_ptr<MasterSearch> find_master(boost::asio::io_context& io, const Address& sentinels, std::size_t first,
                                          Duration patience, Callback<void(Result<Address>)> done) {
  auto search = std::make_shared<Search>(io, sentinels, first, patience, std::move(done));
  search->ask_next();
  return search;
}

}  // namespace treadle::store::redis

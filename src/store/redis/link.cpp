#include "store/redis/link.h"

#include <algorithm>
#include <utility>

#include "store/redis/greeting.h"

namespace treadle::store::redis {
namespace {

constexpr Duration kSentinelPatience = 1s;
constexpr Duration kMasterCheck = 1s;  // how often Sentinels are asked whether our master still is the master

}  // namespace

Link::Link(boost::asio::io_context& io, const Address& address, const ClientConfig& config, Hooks hooks)
    : io_(io),
      address_(address),
      config_(config),
      hooks_(std::move(hooks)),
      timer_(io),
      check_timer_(io),
      backoff_(config.backoff_min),
      jitter_(config.jitter_seed + ++links_made),
      error_(fail(Code::Unavailable, "Redis at " + address.shown() + " has not answered yet.")) {}

Link::~Link() { close(nullptr); }

void Link::start() {
  if (address_.group != Address::Group::Sentinel) return dial_to(address_);
  search([this](Result<Address> master) {
    if (!master) return retry(std::move(master.error()));
    dial_to(*master);
  });
}

void Link::search(Callback<void(Result<Address>)> found) {
  search_ = find_master(io_, address_, sentinel_++, kSentinelPatience,
                        [this, found = std::move(found)](Result<Address> master) mutable {
                          search_ = nullptr;
                          found(std::move(master));
                        });
}

void Link::dial_to(const Address& server) {
  server_ = server;
  dial_ = dial(io_, server_, config_.connect_timeout,
               [this](Result<std::unique_ptr<Stream>> stream) { on_dialed(std::move(stream)); });
}

void Link::on_dialed(Result<std::unique_ptr<Stream>> stream) {
  dial_ = nullptr;
  refused_ = !stream && stream.error().code == Code::Invalid;
  if (!stream)
    return retry(fail(Code::Unavailable, "Redis at " + server_.shown() + " cannot be reached: " +
                                             stream.error().message + ". Treadle goes on trying."));
  Connection::Hooks hooks;
  hooks.on_idle_writer = [this] {
    if (ready_) hooks_.on_idle_writer();
  };
  if (hooks_.on_message)
    hooks.on_message = [this](std::string_view channel, std::string_view text) { hooks_.on_message(channel, text); };
  hooks.on_end = [this](const Error& error) { on_end(error); };
  connection_ =
      std::make_shared<Connection>(io_, std::move(*stream), server_.shown(), config_.request_timeout, std::move(hooks));
  timer_.start(config_.connect_timeout, [this] {
    retry(
        fail(Code::Unavailable, "Redis at " + server_.shown() +
                                    " accepts connections but does not answer. Is it stopped, or busy with a script?"));
  });
  connection_->start();
  greet(connection_, server_, address_.group == Address::Group::Sentinel,
        [this](const Result<void>& result) { on_greeted(result); });
}

void Link::on_greeted(const Result<void>& result) {
  if (closed_ || !connection_) return;  // given up meanwhile: the answer is that of its end
  refused_ = !result && result.error().code == Code::StoreError;
  if (!result) return retry(fail(Code::Unavailable, result.error().message));
  timer_.stop();
  ready_ = true;
  const Address::Place place{server_.host, server_.port};
  if (last_place_.host.empty()) last_place_ = place;
  if (!(last_place_ == place)) ++moves_;
  last_place_ = place;
  backoff_ = config_.backoff_min;
  if (address_.group == Address::Group::Sentinel) check_later();
  hooks_.on_ready();
}

// A master that was cut off from its Sentinels, but not from us, is no longer one and does not know it.
void Link::check_later() {
  check_timer_.start(kMasterCheck, [this] {
    search([this](Result<Address> master) {
      if (!ready_) return;
      if (master && (master->host != server_.host || master->port != server_.port)) return drop();
      check_later();
    });
  });
}

void Link::drop() {
  if (!ready_) return;
  const Error error = fail(Code::Unavailable, "Redis at " + server_.shown() +
                                                  " is not the master any more. Treadle is connecting to the new one.");
  retry(error);
  hooks_.on_lost(error);
}

void Link::on_end(const Error& error) {
  if (!ready_) return;  // the greeting has failed with it, and that was seen to
  retry(fail(Code::Unavailable,
             "The connection to Redis at " + server_.shown() + " was lost. Treadle is connecting again."));
  hooks_.on_lost(error);
}

// After a random part of the pause, so that many clients of a Redis that comes back do not come all at once.
void Link::retry(Error error) {
  error_ = std::move(error);
  let_go(&error_);
  const Duration half = backoff_ / 2;
  timer_.start(half + Duration(static_cast<Duration::rep>(
                          jitter_.below(static_cast<std::uint64_t>((backoff_ - half).count()) + 1))),
               [this] { start(); });
  backoff_ = std::min(backoff_ * 2, config_.backoff_max);
}

void Link::let_go(const Error* error) {
  ready_ = false;
  check_timer_.stop();
  if (search_) std::exchange(search_, nullptr)->cancel();
  if (dial_) std::exchange(dial_, nullptr)->cancel();
  if (const auto connection = std::exchange(connection_, nullptr))
    error ? connection->close(*error) : connection->abandon();
}

void Link::close(const Error* error) {
  closed_ = true;
  timer_.stop();
  let_go(error);
}

}  // namespace treadle::store::redis

#include "store/redis/link.h"

#include <algorithm>
#include <utility>

#include "store/redis/greeting.h"

namespace treadle::store::redis {

Link::Link(boost::asio::io_context& io, const Address& address, const ClientConfig& config, Hooks hooks)
    : io_(io),
      address_(address),
      config_(config),
      hooks_(std::move(hooks)),
      timer_(io),
      backoff_(config.backoff_min),
      error_(fail(Code::Unavailable, "Redis at " + address.shown() + " has not answered yet.")) {}

Link::~Link() { close(nullptr); }

void Link::start() {
  dial_ = dial(io_, address_, config_.connect_timeout,
               [this](Result<std::unique_ptr<Stream>> stream) { on_dialed(std::move(stream)); });
}

void Link::on_dialed(Result<std::unique_ptr<Stream>> stream) {
  dial_ = nullptr;
  refused_ = !stream && stream.error().code == Code::Invalid;
  if (!stream)
    return retry(fail(Code::Unavailable, "Redis at " + address_.shown() + " cannot be reached: " +
                                             stream.error().message + ". Treadle goes on trying."));
  Connection::Hooks hooks;
  hooks.on_idle_writer = [this] {
    if (ready_) hooks_.on_idle_writer();
  };
  if (hooks_.on_message)
    hooks.on_message = [this](std::string_view channel, std::string_view text) { hooks_.on_message(channel, text); };
  hooks.on_end = [this](const Error& error) { on_end(error); };
  connection_ = std::make_shared<Connection>(io_, std::move(*stream), address_.shown(), config_.request_timeout,
                                             std::move(hooks));
  timer_.start(config_.connect_timeout, [this] {
    retry(
        fail(Code::Unavailable, "Redis at " + address_.shown() +
                                    " accepts connections but does not answer. Is it stopped, or busy with a script?"));
  });
  connection_->start();
  greet(connection_, address_, [this](const Result<void>& result) { on_greeted(result); });
}

void Link::on_greeted(const Result<void>& result) {
  if (closed_ || !connection_) return;  // given up meanwhile: the answer is that of its end
  refused_ = !result && result.error().code == Code::StoreError;
  if (!result) return retry(fail(Code::Unavailable, result.error().message));
  timer_.stop();
  ready_ = true;
  backoff_ = config_.backoff_min;
  hooks_.on_ready();
}

void Link::on_end(const Error& error) {
  if (!ready_) return;  // the greeting has failed with it, and that was seen to
  retry(fail(Code::Unavailable,
             "The connection to Redis at " + address_.shown() + " was lost. Treadle is connecting again."));
  hooks_.on_lost(error);
}

void Link::retry(Error error) {
  error_ = std::move(error);
  let_go(&error_);
  timer_.start(backoff_, [this] { start(); });
  backoff_ = std::min(backoff_ * 2, config_.backoff_max);
}

void Link::let_go(const Error* error) {
  ready_ = false;
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

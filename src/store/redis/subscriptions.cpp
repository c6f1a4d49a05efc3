#include "store/redis/subscriptions.h"

#include <algorithm>
#include <deque>
#include <utility>

namespace treadle::store::redis {
namespace {

std::deque<Request> one(Command command, Expect expect, Answer answer) {
  std::deque<Request> requests;
  requests.push_back({std::move(command), std::move(answer), expect});
  return requests;
}

}  // namespace

Subscriptions::Subscriptions(boost::asio::io_context& io, const Address& address, const ClientConfig& config,
                             Hooks hooks)
    : io_(io),
      config_(config),
      hooks_(std::move(hooks)),
      link_(io, address, config,
            {.on_ready = [this] { on_ready(); },
             .on_lost = [this](const Error&) { on_lost(); },
             .on_idle_writer = [] {},
             .on_message =
                 [this](std::string_view channel, std::string_view message) {
                   // One that was sent before Redis saw the UNSUBSCRIBE is not wanted any more.
                   if (channels_.contains(std::string(channel))) hooks_.on_message(channel, message);
                 }}),
      pinger_(io) {
  link_.start();
}

Result<void> Subscriptions::add(const std::string& channel, Confirmed confirmed) {
  if (channels_.size() >= config_.max_channels && !channels_.contains(channel))
    return fail(Code::Full, "Over " + std::to_string(config_.max_channels) + " channels of Redis are subscribed.");
  const auto [at, is_new] = channels_.try_emplace(channel);
  if (at->second.confirmed) {
    soon(io_, [confirmed = std::move(confirmed)]() mutable { confirmed({}); });
    return {};
  }
  at->second.waiting.push_back(std::move(confirmed));
  if (!is_new) return {};
  at->second.number = ++last_number_;
  if (link_.connection()) subscribe(channel, last_number_);
  return {};
}

void Subscriptions::remove(const std::string& channel) {
  if (channels_.erase(channel) == 0) return;
  if (Connection* connection = link_.connection())
    connection->write(one({"UNSUBSCRIBE", channel}, Expect::Confirmation, {}));
}

void Subscriptions::on_ready() {
  ping_later();
  for (const auto& [name, channel] : channels_) subscribe(name, channel.number);
  note_if_back();
}

void Subscriptions::on_lost() {
  pinger_.stop();
  missed_ = !channels_.empty();
  for (auto& [name, channel] : channels_) channel.confirmed = false;
}

void Subscriptions::subscribe(const std::string& channel, std::uint64_t number) {
  link_.connection()->write(
      one({"SUBSCRIBE", channel}, Expect::Confirmation,
          [this, channel, number](Result<Reply> answer) { on_answer(channel, number, std::move(answer)); }));
}

void Subscriptions::on_answer(const std::string& channel, std::uint64_t number, Result<Reply> answer) {
  const auto at = channels_.find(channel);
  if (!answer || at == channels_.end() || at->second.number != number) return;  // lost: on_ready() asks again
  Result<void> result;
  auto waiting = std::move(at->second.waiting);
  at->second.waiting.clear();
  if (answer->type == Reply::Type::Error) {
    result = fail(Code::StoreError, "Redis refuses to subscribe to the channel '" + channel + "': " + answer->text +
                                        ". Its ACL must allow it: &* +subscribe.");
    channels_.erase(at);
  } else {
    at->second.confirmed = true;
  }
  note_if_back();
  for (Confirmed& each : waiting)
    if (each && !abandoned_) each(result);
}

void Subscriptions::note_if_back() {
  const bool all = std::all_of(channels_.begin(), channels_.end(), [](const auto& c) { return c.second.confirmed; });
  if (missed_ && all && link_.connection()) {
    missed_ = false;
    hooks_.on_back();
  }
}

void Subscriptions::ping_later() {
  pinger_.start(config_.ping_interval, [this] { ping(); });
}

// Its silence is all that a lost peer would show; the connection ends if this is not answered in time.
void Subscriptions::ping() {
  Connection* connection = link_.connection();
  if (!connection) return;
  if (connection->in_flight() == 0) connection->write(one({"PING"}, Expect::Reply, {}));
  ping_later();
}

void Subscriptions::close(const Error* error) {
  abandoned_ = !error;
  pinger_.stop();
  link_.close(error);
  for (auto& [name, channel] : std::exchange(channels_, {}))
    for (Confirmed& each : channel.waiting)
      if (each && !abandoned_) each(*error);
}

}  // namespace treadle::store::redis

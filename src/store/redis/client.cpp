#include "store/redis/client.h"

#include <atomic>
#include <deque>
#include <iterator>
#include <optional>
#include <utility>

#include "store/redis/link.h"
#include "store/redis/loop.h"
#include "store/redis/subscriptions.h"

namespace treadle::store::redis {

struct Client::Impl : std::enable_shared_from_this<Client::Impl> {
  Impl(boost::asio::io_context& io_in, Address address_in, const ClientConfig& config_in)
      : io(io_in),
        address(std::move(address_in)),
        config(config_in),
        link(io, address, config,
             {.on_ready = [this] { on_ready(); },
              .on_lost = [this](const Error& error) { on_lost(error); },
              .on_idle_writer =
                  [this] {
                    if (flush_wanted) write();
                  }}),
        grace(io) {}

  void start() {
    begin_grace();
    link.start();
  }

  // ---- commands ----

  bool send(std::vector<Command>& commands, std::vector<Answer>& answers) {
    std::uint64_t bytes = 0;
    for (const Command& command : commands) bytes += resp_size(command);
    if (const auto refused = refusal(commands.size(), bytes)) {
      answer_soon(std::move(answers), *refused);
      return false;
    }
    queued_bytes += bytes;
    for (std::size_t i = 0; i < commands.size(); ++i) queue.push_back({std::move(commands[i]), std::move(answers[i])});
    return true;
  }

  std::optional<Error> refusal(std::size_t count, std::uint64_t bytes) const {
    if (closed) return closed_error();
    if (known_away) return link.last_error();
    const Connection* connection = link.connection();
    const std::size_t pending = queue.size() + (connection ? connection->in_flight() : 0);
    const std::uint64_t unsent = queued_bytes + (connection ? connection->unsent_bytes() : 0);
    if (count > config.max_pending || pending > config.max_pending - count)
      return fail(Code::Full, "Over " + std::to_string(config.max_pending) + " commands wait for Redis at " +
                                  address.shown() + ". Try again when it has answered some.");
    if (bytes > config.max_unsent_bytes || unsent > config.max_unsent_bytes - bytes)
      return fail(Code::Full, "Over " + std::to_string(config.max_unsent_bytes) +
                                  " bytes wait to be sent to Redis at " + address.shown() +
                                  ". Try again when it has taken some.");
    return std::nullopt;
  }

  void answer_soon(std::vector<Answer> answers, Error error) {
    soon(io, [weak = weak_from_this(), answers = std::move(answers), error = std::move(error)]() mutable {
      for (Answer& answer : answers) {
        const auto self = weak.lock();
        if (!self || self->abandoned) return;
        if (answer) answer(Result<Reply>(error));
      }
    });
  }

  void write() {
    flush_wanted = true;
    Connection* connection = link.connection();
    if (!connection || !connection->can_write()) return;
    flush_wanted = false;
    queued_bytes = 0;
    connection->write(std::exchange(queue, {}));
  }

  void fail_queue(const Error& error) {
    queued_bytes = 0;
    answer_each(queue, error);
  }

  // ---- the connection comes and goes ----

  void begin_grace() {
    grace.start(config.away_grace, [this] {
      known_away = true;
      fail_queue(link.last_error());
    });
  }

  void on_ready() {
    grace.stop();
    number = ++last_number;
    known_away = false;
    auto waited = std::exchange(queue, {});
    if (connected_hook) connected_hook();
    queue.insert(queue.end(), std::move_iterator(waited.begin()), std::move_iterator(waited.end()));
    if (abandoned) return queue.clear();
    if (closed) return fail_queue(closed_error());
    write();
  }

  void on_lost(const Error& error) {
    begin_grace();
    if (disconnected_hook) disconnected_hook(error);
  }

  Error closed_error() const {
    return fail(Code::Unavailable,
                "The connection to Redis at " + address.shown() + " is closed: Treadle is stopping.");
  }

  // ---- channels ----

  Subscriptions& channels() {
    if (!subscriptions)
      subscriptions = std::make_unique<Subscriptions>(
          io, address, config,
          Subscriptions::Hooks{.on_back =
                                   [this] {
                                     if (connected_hook && link.connection()) connected_hook();
                                   },
                               .on_message =
                                   [this](std::string_view channel, std::string_view message) {
                                     if (message_hook) message_hook(channel, message);
                                   }});
    return *subscriptions;
  }

  void close() {
    if (std::exchange(closed, true)) return;
    const Error error = closed_error();
    grace.stop();
    link.close(&error);
    fail_queue(error);
    if (subscriptions) subscriptions->close(&error);
  }

  void abandon() {
    closed = abandoned = true;
    grace.stop();
    link.close(nullptr);
    queue.clear();
    if (subscriptions) subscriptions->close(nullptr);
  }

  boost::asio::io_context& io;
  const Address address;
  const ClientConfig config;
  Link link;
  Timer grace;  // runs while a lost connection may still come back soon
  std::unique_ptr<Subscriptions> subscriptions;
  std::deque<Request> queue;  // not sent yet
  std::uint64_t queued_bytes = 0;
  bool flush_wanted = false;
  bool known_away = false;  // commands fail at once
  bool closed = false;
  bool abandoned = false;  // the Client is gone: nobody is called any more
  std::uint64_t number = 0;
  static inline std::atomic<std::uint64_t> last_number = 0;  // loops of several threads may have clients
  Callback<void()> connected_hook;
  Callback<void(const Error&)> disconnected_hook;
  Callback<void(std::string_view, std::string_view)> message_hook;
};

Client::Client(boost::asio::io_context& io, Address address, ClientConfig config)
    : impl_(std::make_shared<Impl>(io, std::move(address), config)) {
  impl_->start();
}

// What runs now may have come from within it, so it goes from a handler of its own.
Client::~Client() {
  impl_->abandon();
  auto& io = impl_->io;
  soon(io, [impl = std::move(impl_)] {});
}

void Client::send(Command command, Answer answer) {
  std::vector<Command> commands;
  commands.push_back(std::move(command));
  std::vector<Answer> answers;
  answers.push_back(std::move(answer));
  impl_->send(commands, answers);
}

void Client::send_all(std::vector<Command> commands, Callback<void(Result<std::vector<Reply>>)> answer) {
  struct Group {
    std::vector<Reply> replies;
    std::size_t left;
    Callback<void(Result<std::vector<Reply>>)> answer;
  };
  auto group = std::make_shared<Group>(Group{{}, commands.size(), std::move(answer)});
  std::vector<Answer> answers;
  for (std::size_t i = 0; i < commands.size(); ++i)
    answers.emplace_back([group](Result<Reply> reply) {
      if (!group->answer) return;  // failed before
      if (!reply) return std::exchange(group->answer, {})(std::move(reply.error()));
      group->replies.push_back(std::move(*reply));
      if (--group->left == 0) std::exchange(group->answer, {})(std::move(group->replies));
    });
  if (commands.empty()) return soon(impl_->io, [group] { group->answer(std::vector<Reply>()); });
  impl_->send(commands, answers);
}

void Client::flush() { impl_->write(); }

void Client::on_connected(Callback<void()> hook) { impl_->connected_hook = std::move(hook); }
void Client::on_disconnected(Callback<void(const Error&)> hook) { impl_->disconnected_hook = std::move(hook); }
void Client::on_message(Callback<void(std::string_view, std::string_view)> hook) {
  impl_->message_hook = std::move(hook);
}

void Client::subscribe(std::string channel, Callback<void(Result<void>)> confirmed) {
  Result<void> added;
  auto shared = std::make_shared<Callback<void(Result<void>)>>(std::move(confirmed));
  const auto once = [shared](Result<void> result) {
    if (*shared) (*shared)(std::move(result));
  };
  if (impl_->closed)
    added = impl_->closed_error();
  else
    added = impl_->channels().add(channel, once);
  if (!added) soon(impl_->io, [once, added] { once(added); });
}

void Client::unsubscribe(std::string channel) {
  if (impl_->subscriptions) impl_->subscriptions->remove(channel);
}

std::uint64_t Client::connection_number() const { return impl_->number; }
std::uint64_t Client::moves() const { return impl_->link.moves(); }
bool Client::connected() const { return impl_->link.connection() != nullptr; }
Error Client::last_error() const { return impl_->closed ? impl_->closed_error() : impl_->link.last_error(); }
bool Client::refused() const { return !impl_->closed && impl_->link.refused(); }
void Client::look_for_master() {
  soon(impl_->io, [weak = std::weak_ptr(impl_)] {
    if (const auto impl = weak.lock(); impl && !impl->closed) impl->link.drop();
  });
}
const Address& Client::address() const { return impl_->address; }
void Client::close() { impl_->close(); }

}  // namespace treadle::store::redis

#include "gateway/server.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>

#include "core/limits.h"
#include "gateway/connection.h"
#include "gateway/handlers.h"
#include "gateway/routes.h"

namespace treadle::gateway {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

Error cannot_listen(const GatewayConfig& config, const error_code& error) {
  const std::string where = config.address + " port " + std::to_string(config.port);
  if (error == boost::asio::error::address_in_use)
    return fail(Code::Conflict, "Cannot listen on " + where + ": another program does. Stop it, or choose --port.");
  return fail(Code::Invalid, "Cannot listen on " + where + ": " + error.message() + ".");
}

Result<boost::asio::ip::address> usable_address(const GatewayConfig& config) {
  error_code error;
  const auto address =
      boost::asio::ip::make_address(config.address == "localhost" ? "127.0.0.1" : config.address, error);
  if (error)
    return fail(Code::Invalid, "\"" + config.address + "\" is not an IP address; use 127.0.0.1, ::1 or 0.0.0.0.");
  if (!address.is_loopback() && !config.insecure_public)
    return fail(Code::Invalid, "Listening on " + config.address +
                                   " lets anyone who reaches it run code here, since there are no "
                                   "keys yet. Use 127.0.0.1, or add --insecure-public if that is what you want.");
  return address;
}

std::vector<std::string> own_names(const GatewayConfig& config) {
  return config.insecure_public ? machine_names() : std::vector<std::string>{};
}

}  // namespace

Server::Server(boost::asio::io_context& io, std::shared_ptr<Service> service)
    : service_(std::move(service)),
      router_(route_table()),
      gatekeeper_(service_->config, HostPolicy(service_->config, own_names(service_->config)), router_),
      acceptor_(io),
      timer_(io),
      stream_timer_(io) {
  refresh_date();
}

Server::~Server() {
  for (const auto& connection : connections_) connection->abandon();
  service_->watch.abandon();
  service_->streams.abandon();
}

Result<void> check_address(const GatewayConfig& config) {
  TRY([[maybe_unused]] const auto address, usable_address(config));
  return {};
}

Result<void> Server::listen() {
  const GatewayConfig& config = service_->config;
  TRY(const boost::asio::ip::address address, usable_address(config));
  error_code error;
  const tcp::endpoint endpoint(address, config.port);
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(4096, error);
  if (error) {
    error_code ignored;
    acceptor_.close(ignored);
    return cannot_listen(config, error);
  }
  port_ = acceptor_.local_endpoint().port();
  accept();
  return {};
}

void Server::accept() {
  if (accepting_ || draining_ || !acceptor_.is_open() || connections_.size() >= service_->config.max_connections)
    return;
  accepting_ = true;
  acceptor_.async_accept([this, alive = std::weak_ptr<void>(alive_)](error_code error, tcp::socket socket) {
    if (!alive.expired()) on_accept(error, std::move(socket));
  });
}

void Server::on_accept(error_code error, tcp::socket socket) {
  accepting_ = false;
  refresh_date();
  arm_timer();
  if (error) return;  // out of file descriptors, most likely: the next tick tries again
  socket.non_blocking(true, error);
  socket.set_option(tcp::no_delay(true), error);
  auto connection = std::make_shared<Connection>(*this, std::move(socket));
  connection->index = connections_.size();
  connections_.push_back(connection);
  service_->connections = connections_.size();
  connection->start();
  accept();
}

void Server::remove(Connection& connection) {
  auto& at = connections_[connection.index];
  at.swap(connections_.back());
  at->index = connection.index;
  connections_.pop_back();  // callers hold a reference of their own
  service_->connections = connections_.size();
  accept();
}

void Server::mark_dirty(Connection& connection) {
  if (std::exchange(connection.dirty, true)) return;
  dirty_.push_back(connections_[connection.index]);
}

bool Server::turn(Instant now) {
  bool asked = service_->watch.answer();
  flush_dirty();
  // What the sockets took makes room for further results; a store that answers at once would never let go.
  constexpr int kRounds = 8;
  for (int i = 0; i < kRounds && service_->streams.turn(now); ++i) {
    asked = true;
    flush_dirty();
  }
  arm_stream_timer(now);
  return asked;
}

// The next page of some stream is due then; the turn that follows reads it.
void Server::arm_stream_timer(Instant now) {
  const Instant due = service_->streams.next_due();
  if (due == Instant::never() || due >= stream_timer_at_) return;
  stream_timer_at_ = due;
  stream_timer_.expires_after(std::max<Duration>(due - now, 100us));
  stream_timer_.async_wait([this, alive = std::weak_ptr<void>(alive_)](error_code error) {
    if (!error && !alive.expired()) stream_timer_at_ = Instant::never();
  });
}

void Server::flush_dirty() {
  flushing_.swap(dirty_);
  for (const auto& connection : flushing_) {
    connection->dirty = false;
    connection->flush();
  }
  flushing_.clear();
}

bool Server::reserve_body(std::uint64_t bytes) {
  const std::uint64_t most = service_->config.max_bodies_in_flight;
  if (bytes > most || bodies_in_flight_ > most - bytes) return false;
  bodies_in_flight_ += bytes;
  return true;
}

// One timer for all deadlines of all connections; it rests while there is none.
void Server::arm_timer() {
  if (timer_armed_) return;
  timer_armed_ = true;
  const GatewayConfig& config = service_->config;
  const Duration least =
      std::min({config.header_deadline, config.body_idle, config.keep_alive, config.write_idle, config.linger});
  const Duration most = service_->follows.empty() ? 500ms : core::limits::kLiveEach / 2;
  timer_.expires_after(std::clamp<Duration>(least / 4, 5ms, most));
  timer_.async_wait([this, alive = std::weak_ptr<void>(alive_)](error_code) {
    if (alive.expired()) return;
    timer_armed_ = false;
    tick();
  });
}

void Server::tick() {
  refresh_date();
  const Instant time = now();
  service_->watch.expire(time);
  service_->follows.look(time);
  for (std::size_t i = connections_.size(); i-- > 0;) {
    const auto connection = connections_[i];  // it may remove itself
    connection->check_deadlines(time);
  }
  accept();
  if (!connections_.empty() || (!accepting_ && !draining_)) arm_timer();
}

void Server::refresh_date() {
  const std::time_t seconds = service_->clock.wall().ms / 1000;
  if (seconds == date_second_ && !date_.empty()) return;
  date_second_ = seconds;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[40];
  date_.assign(text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts));
}

void Server::begin_drain() {
  draining_ = true;
  service_->draining = true;
  error_code ignored;
  acceptor_.close(ignored);
  release_waiting(*service_);
  service_->streams.release_all();
  for (std::size_t i = connections_.size(); i-- > 0;) {
    const auto connection = connections_[i];
    connection->drain();
  }
}

}  // namespace treadle::gateway

// The listening socket and all connections of one loop thread. A heavy header (Asio and Beast).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "gateway/admission.h"
#include "gateway/config.h"
#include "gateway/router.h"
#include "gateway/service.h"

namespace treadle::gateway {

class Connection;

class Server {
 public:
  Server(boost::asio::io_context& io, std::shared_ptr<Service> service);
  ~Server();

  Result<void> listen();
  std::uint16_t port() const { return port_; }
  bool turn(Instant now);
  void begin_drain();
  bool drained() const { return draining_ && connections_.empty(); }

  // For connections.
  Service& service() { return *service_; }
  const GatewayConfig& config() const { return service_->config; }
  const Gatekeeper& gatekeeper() const { return gatekeeper_; }
  const Router& router() const { return router_; }
  std::string_view date() const { return date_; }
  Instant now() const { return service_->clock.now(); }
  void mark_dirty(Connection& connection);
  void remove(Connection& connection);
  // Of the bytes of all bodies that are being received.
  bool reserve_body(std::uint64_t bytes);
  void release_body(std::uint64_t bytes) { bodies_in_flight_ -= bytes; }

 private:
  void flush_dirty();
  void arm_stream_timer(Instant now);
  void accept();
  void on_accept(boost::system::error_code error, boost::asio::ip::tcp::socket socket);
  void arm_timer();
  void tick();
  void refresh_date();

  std::shared_ptr<Service> service_;
  Router router_;
  Gatekeeper gatekeeper_;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer stream_timer_;
  Instant stream_timer_at_ = Instant::never();
  bool timer_armed_ = false;
  bool accepting_ = false;  // an async accept is pending
  bool draining_ = false;
  std::uint16_t port_ = 0;
  std::uint64_t bodies_in_flight_ = 0;
  std::string date_;
  std::int64_t date_second_ = 0;
  std::vector<std::shared_ptr<Connection>> connections_;  // each knows its index
  std::vector<std::shared_ptr<Connection>> dirty_, flushing_;
  std::shared_ptr<void> alive_ = std::make_shared<char>();  // handlers that outlive us see it expired
};

}  // namespace treadle::gateway

#include "store/redis/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <utility>

#include <boost/asio/connect.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>

namespace treadle::store::redis {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using PlainSocket = asio::generic::stream_protocol::socket;
using TlsSocket = asio::ssl::stream<tcp::socket>;

std::string words(const error_code& error) {
  if (error == asio::error::eof || error == asio::ssl::error::stream_truncated) return "it closed the connection";
  return error.message();
}

// The socket is shared with the handlers: a TLS operation that was cut off looks at it once more.
template <class Socket>
class SocketStream final : public Stream {
 public:
  explicit SocketStream(std::shared_ptr<Socket> socket) : socket_(std::move(socket)) {}
  ~SocketStream() override { close(); }

  void read(char* into, std::size_t room, Moved moved) override {
    socket_->async_read_some(asio::buffer(into, room), handler(std::move(moved)));
  }

  void write(std::vector<std::string_view> pieces, Moved moved) override {
    std::vector<asio::const_buffer> buffers;
    for (const std::string_view piece : pieces) buffers.push_back(asio::buffer(piece.data(), piece.size()));
    socket_->async_write_some(buffers, handler(std::move(moved)));
  }

  void close() override {
    alive_.reset();
    error_code ignored;
    socket_->lowest_layer().close(ignored);
  }

 private:
  auto handler(Moved moved) {
    return [socket = socket_, alive = std::weak_ptr<int>(alive_), moved = std::move(moved)](const error_code& error,
                                                                                            std::size_t bytes) mutable {
      if (!alive.expired()) moved(error ? words(error) : std::string(), bytes);
    };
  }

  std::shared_ptr<Socket> socket_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

class DialImpl final : public Dial, public std::enable_shared_from_this<DialImpl> {
 public:
  DialImpl(asio::io_context& io, const Address& address, Dialed done)
      : io_(io), address_(address), done_(std::move(done)), timer_(io), resolver_(io), tcp_(io), local_(io) {}

  void start(Duration timeout) {
    timer_.expires_after(timeout);
    timer_.async_wait([self = shared_from_this()](const error_code& error) {
      if (!error) self->fail_with("no answer in time");
    });
    address_.kind == Address::Kind::Unix ? connect_local() : resolve();
  }

  void cancel() override {
    done_ = {};
    stop();
  }

 private:
  void connect_local() {
    const asio::local::stream_protocol::endpoint endpoint(address_.path);
    local_.async_connect(endpoint, [self = shared_from_this()](const error_code& error) {
      if (error == asio::error::access_denied) return self->refuse(error.message());
      if (error) return self->fail_with(error.message());
      self->end(plain(std::move(self->local_)));
    });
  }

  void resolve() {
    error_code not_numeric;
    const auto numeric = asio::ip::make_address(address_.host, not_numeric);
    if (!not_numeric) {  // no need of the resolver and its thread
      tcp_.async_connect({numeric, address_.port},
                         [self = shared_from_this()](const error_code& error) { self->on_connect(error); });
      return;
    }
    resolver_.async_resolve(
        address_.host, std::to_string(address_.port),
        [self = shared_from_this()](const error_code& error, const tcp::resolver::results_type& found) {
          self->on_resolve(error, found);
        });
  }

  void on_resolve(const error_code& error, const tcp::resolver::results_type& found) {
    if (!done_) return;
    if (error) return fail_with("no host " + address_.host + " (" + error.message() + ")");
    asio::async_connect(tcp_, found,
                        [self = shared_from_this()](const error_code& connect_error, const tcp::endpoint&) {
                          self->on_connect(connect_error);
                        });
  }

  void on_connect(const error_code& error) {
    if (!done_) return;
    if (error) return fail_with(error.message());
    tune();
    address_.kind == Address::Kind::Tls ? begin_tls() : end(plain(std::move(tcp_)));
  }

  void tune() {
    error_code ignored;
    tcp_.set_option(tcp::no_delay(true), ignored);
    tcp_.set_option(asio::socket_base::keep_alive(true), ignored);
  }

  void begin_tls() {
    asio::ssl::context context(asio::ssl::context::tls_client);
    context.set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1);
    error_code error;
    address_.ca_file.empty() ? context.set_default_verify_paths(error)
                             : context.load_verify_file(address_.ca_file, error);
    if (error) return refuse("the CA file " + address_.ca_file + " cannot be used (" + error.message() + ")");
    tls_ = std::make_shared<TlsSocket>(std::move(tcp_), context);
    tls_->set_verify_mode(asio::ssl::verify_peer, error);
    if (!error) tls_->set_verify_callback(asio::ssl::host_name_verification(address_.host), error);
    error_code is_name;
    asio::ip::make_address(address_.host, is_name);
    const bool named = is_name.failed();  // the name for SNI must not be a number
    if (error || (named && SSL_set_tlsext_host_name(tls_->native_handle(), address_.host.c_str()) != 1))
      return refuse("TLS cannot be set up (" + error.message() + ")");
    tls_->async_handshake(TlsSocket::client, [self = shared_from_this()](const error_code& shake_error) {
      self->on_handshake(shake_error);
    });
  }

  void on_handshake(const error_code& error) {
    if (!done_) return;
    if (error) return refuse("TLS failed (" + words(error) + ")");
    end(std::make_unique<SocketStream<TlsSocket>>(std::move(tls_)));
  }

  template <class Socket>
  static std::unique_ptr<Stream> plain(Socket socket) {
    return std::make_unique<SocketStream<PlainSocket>>(std::make_shared<PlainSocket>(std::move(socket)));
  }

  void fail_with(const std::string& why) { end(fail(Code::Unavailable, why)); }
  void refuse(const std::string& why) { end(fail(Code::Invalid, why)); }

  void end(Result<std::unique_ptr<Stream>> result) {
    if (!done_) return;
    Dialed done = std::move(done_);
    done_ = {};
    stop();
    done(std::move(result));
  }

  void stop() {
    error_code ignored;
    timer_.cancel();
    resolver_.cancel();
    if (tcp_.is_open()) tcp_.close(ignored);
    if (local_.is_open()) local_.close(ignored);
    if (tls_) tls_->lowest_layer().close(ignored);
  }

  asio::io_context& io_;
  const Address address_;
  Dialed done_;  // empty once it has ended
  asio::steady_timer timer_;
  tcp::resolver resolver_;
  tcp::socket tcp_;
  asio::local::stream_protocol::socket local_;
  std::shared_ptr<TlsSocket> tls_;  // during the handshake
};

}  // namespace

std::shared_ptr<Dial> dial(asio::io_context& io, const Address& address, Duration timeout, Dialed done) {
  auto impl = std::make_shared<DialImpl>(io, address, std::move(done));
  impl->start(timeout);
  return impl;
}

}  // namespace treadle::store::redis

// Smallest honest HTTP server: Boost.Beast, one thread, keep-alive, a fixed JSON answer. The ceiling for a one-thread
// gateway.
#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <memory>
namespace asio = boost::asio;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;

struct Session : std::enable_shared_from_this<Session> {
  boost::beast::tcp_stream s;
  boost::beast::flat_buffer buf;
  http::request<http::string_body> req;
  http::response<http::string_body> res;
  explicit Session(tcp::socket&& k) : s(std::move(k)) {}
  void read() {
    req = {};
    http::async_read(s, buf, req, [self = shared_from_this()](auto ec, size_t) {
      if (!ec) self->reply();
    });
  }
  void reply() {
    res = {http::status::ok, req.version()};
    res.set(http::field::content_type, "application/json");
    res.body() = R"({"task_id":"71ed469b-bc52-45d5-89ae-b21aa40760c9","status":"COMPLETED"})";
    res.keep_alive(req.keep_alive());
    res.prepare_payload();
    http::async_write(s, res, [self = shared_from_this()](auto ec, size_t) {
      if (!ec) self->read();
    });
  }
};

int main(int argc, char** argv) {
  asio::io_context io(1);
  tcp::acceptor acc(io, {asio::ip::make_address("127.0.0.1"), (unsigned short)(argc > 1 ? atoi(argv[1]) : 8300)});
  std::function<void()> accept = [&] {
    acc.async_accept([&](auto ec, tcp::socket k) {
      if (!ec) {
        k.set_option(tcp::no_delay(true));
        std::make_shared<Session>(std::move(k))->read();
      }
      accept();
    });
  };
  accept();
  io.run();
}

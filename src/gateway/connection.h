// One client connection: reads, parses, starts handlers, sends answers in order. A heavy header (Asio and Beast).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/ip/tcp.hpp>

#include "base/time.h"
#include "gateway/admission.h"
#include "gateway/form.h"
#include "gateway/outbox.h"
#include "gateway/request.h"
#include "gateway/request_parser.h"
#include "gateway/response.h"

namespace treadle::gateway {

class Server;

// Loop thread only. Lives until its socket is closed, no operation on it is pending and no Responder names it.
class Connection final : public std::enable_shared_from_this<Connection>, public ResponseSink, private BodyReceiver {
 public:
  Connection(Server& server, boost::asio::ip::tcp::socket socket);

  void start();
  // ResponseSink. The bytes leave with the server's next turn.
  void answer(std::uint64_t number, Response response) override;
  bool gone() const override { return server_ == nullptr || phase_ == Phase::Closed; }
  void more_to_send() override;
  void flush();
  // Looks at every deadline of this connection.
  void check_deadlines(Instant now);
  // No further request is read; what was begun is answered, then it closes.
  void drain();
  // Closes at once and forgets the server.
  void abandon();

  std::size_t index = 0;  // in Server's list
  bool dirty = false;     // in Server's list of connections to flush

 private:
  enum class Phase : std::uint8_t {
    Idle,       // between requests
    Header,     // a part of a header was read
    Body,       // the header is done, the body is not
    Refused,    // nothing is read any more until the answers are out
    Lingering,  // all is sent; what still comes is thrown away, so that the client sees the answer and not a reset
    Closed,
  };

  // What stays of a request between its header and its end.
  struct Current {
    Admission admission;
    std::uint64_t body_bytes = 0;
    std::uint64_t reserved = 0;  // of the server's budget for bodies
    Instant started;
  };

  void read();
  void on_read(bool failed, bool end_of_stream, std::size_t bytes);
  void parse();
  bool parse_step();  // false: more bytes are needed, or parsing has ended
  void begin_request();
  void on_header();
  void on_complete();
  void on_parse_error(const boost::system::error_code& error);
  bool body_piece(std::string_view piece) override;
  bool reserve(std::uint64_t bytes);
  void release();
  void refuse_now(Response response);
  std::uint64_t open_place();
  void prepare_buffer();
  bool may_read() const;
  void resume();
  void after_flush();
  void wait_writable();
  void linger();
  void close();

  Server* server_;  // null once abandoned
  boost::asio::ip::tcp::socket socket_;
  Phase phase_ = Phase::Idle;
  bool reading_ = false;     // an async read is pending
  bool writing_ = false;     // waiting for the socket to take more
  bool read_ended_ = false;  // the client sends no more
  bool draining_ = false;
  bool first_request_ = true;

  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0, begin_ = 0, end_ = 0;  // [begin_, end_) is not parsed yet

  Request request_;
  std::optional<RequestParser> parser_;
  Current current_;
  PayloadForm* form_ = nullptr;  // receives the body of the current request, if a route wants it
  std::unique_ptr<PayloadForm> form_owner_;
  Outbox outbox_;

  Instant phase_since_;  // the phase began
  Instant last_read_;    // the last byte came
  Instant last_write_;   // the socket took a byte, or had nothing to take
};

}  // namespace treadle::gateway

#include "gateway/connection.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/http/error.hpp>

#include "gateway/metrics.h"
#include "gateway/server.h"

namespace treadle::gateway {
namespace {

using boost::system::error_code;
using HttpError = boost::beast::http::error;

constexpr std::size_t kSmallBuffer = 4u << 10;
constexpr std::size_t kBodyBuffer = 256u << 10;  // while a large body arrives: few system calls, short parse steps
constexpr int kWritesPerFlush = 4;               // then others get a turn

Response protocol_error(const error_code& error, const GatewayConfig& config) {
  if (error == HttpError::header_limit || error == HttpError::buffer_overflow)
    return error_response(431, "The request header is larger than " + std::to_string(config.max_header) + " bytes.");
  if (error == HttpError::body_limit) return too_large(config);
  return error_response(400, "This is not a well-formed HTTP/1.1 request (" + error.message() + ").");
}

}  // namespace

Connection::Connection(Server& server, boost::asio::ip::tcp::socket socket)
    : server_(&server), socket_(std::move(socket)) {
  phase_since_ = last_read_ = last_write_ = server.now();
}

void Connection::start() { read(); }

// ---- reading ----

bool Connection::may_read() const {
  if (reading_ || read_ended_ || phase_ == Phase::Closed || phase_ == Phase::Refused) return false;
  if (phase_ == Phase::Lingering) return true;
  const GatewayConfig& config = server_->config();
  return outbox_.unanswered() < config.max_pipelined && outbox_.unsent().size() < config.max_output;
}

void Connection::prepare_buffer() {
  const bool large = phase_ == Phase::Lingering || (phase_ == Phase::Body && current_.body_bytes >= kSmallBuffer);
  const std::size_t held = end_ - begin_;
  std::size_t wanted = large ? kBodyBuffer : kSmallBuffer;
  while (wanted <= held) wanted *= 2;  // a long header; bounded by parse_step
  const bool fits = capacity_ == wanted || (capacity_ > wanted && held > 0);
  if (fits && end_ < capacity_) return;
  if (!fits) {
    auto other = std::make_unique_for_overwrite<char[]>(wanted);
    if (held > 0) std::memcpy(other.get(), buffer_.get() + begin_, held);
    buffer_ = std::move(other);
    capacity_ = wanted;
  } else {
    std::memmove(buffer_.get(), buffer_.get() + begin_, held);
  }
  begin_ = 0;
  end_ = held;
}

void Connection::read() {
  if (server_ == nullptr || !may_read()) return;
  prepare_buffer();
  reading_ = true;
  socket_.async_read_some(boost::asio::buffer(buffer_.get() + end_, capacity_ - end_),
                          [self = shared_from_this()](const error_code& error, std::size_t bytes) {
                            self->on_read(error.failed(), error == boost::asio::error::eof, bytes);
                          });
}

void Connection::on_read(bool failed, bool end_of_stream, std::size_t bytes) {
  reading_ = false;
  if (server_ == nullptr || phase_ == Phase::Closed) return;
  if (failed && !end_of_stream) return close();
  if (end_of_stream) {
    read_ended_ = true;
    // A client may close its side and still wait for answers. Half a request is forgotten.
    if (phase_ == Phase::Lingering || outbox_.idle() || outbox_.endless()) return close();
    phase_ = Phase::Refused;
    release();
    return;
  }
  last_read_ = server_->now();
  if (phase_ == Phase::Lingering) return read();  // thrown away: end_ stays
  end_ += bytes;
  parse();
  read();
}

void Connection::parse() {
  while (begin_ < end_ && phase_ != Phase::Refused && phase_ != Phase::Closed && phase_ != Phase::Lingering) {
    if (outbox_.unanswered() >= server_->config().max_pipelined) break;
    if (outbox_.unsent().size() >= server_->config().max_output) break;
    if (!parse_step()) break;
  }
  if (begin_ == end_) begin_ = end_ = 0;
}

bool Connection::parse_step() {
  if (!parser_) {
    while (begin_ < end_ && (buffer_[begin_] == '\r' || buffer_[begin_] == '\n')) ++begin_;  // RFC 9112, 2.2
    if (begin_ == end_) return false;
    begin_request();
  }
  error_code error;
  begin_ += parser_->put(boost::asio::const_buffer(buffer_.get() + begin_, end_ - begin_), error);
  if (error == HttpError::need_more) {
    const std::size_t limit = server_->config().max_header + kSmallBuffer;
    if (end_ - begin_ >= limit && phase_ != Phase::Body)
      error = HttpError::header_limit;
    else if (end_ - begin_ >= kBodyBuffer)
      error = HttpError::bad_chunk_extension;  // or trailers without end
    else
      return false;
  }
  if (error) {
    on_parse_error(error);
    return false;
  }
  if (phase_ == Phase::Header && parser_->is_header_done()) on_header();
  if (phase_ != Phase::Refused && parser_->is_done()) on_complete();
  return true;
}

void Connection::begin_request() {
  request_.clear();
  parser_.emplace(request_, static_cast<BodyReceiver&>(*this));
  parser_->header_limit(static_cast<std::uint32_t>(server_->config().max_header));
  parser_->body_limit(boost::none);  // ours is judged by the gatekeeper and by body_piece, with a helpful text
  current_ = {};
  current_.started = phase_since_ = server_->now();
  phase_ = Phase::Header;
}

void Connection::on_header() {
  parser_->eager(true);
  phase_ = Phase::Body;
  phase_since_ = last_read_;
  const BodyHint hint{parser_->content_length().value_or(0), parser_->chunked()};
  current_.admission = server_->gatekeeper().admit(request_, hint);
  const bool has_body = hint.length > 0 || hint.chunked;
  auto& refusal = current_.admission.refusal;
  if (!refusal && has_body && !reserve(hint.length))
    refusal =
        error_response(fail(Code::Unavailable, "The service is receiving too many large bodies at once. Try again."));
  constexpr std::uint64_t kSmallBody = 64u << 10;
  if (refusal && has_body && (request_.expect_continue || hint.length > kSmallBody || refusal->close))
    return refuse_now(std::move(*refusal));
  const Route* route = current_.admission.route;
  form_ = nullptr;
  if (!refusal && route->form != nullptr) {
    if (!form_owner_) form_owner_ = std::make_unique<PayloadForm>();
    form_ = form_owner_.get();
    const bool keyed = !request_.idempotency_key.empty();
    if (route->raw && is_octet_stream(request_.content_type))
      form_->start_raw(*route->form, server_->config().max_payload, hint.length, keyed);
    else
      form_->start(*route->form, server_->config().max_payload, hint.length, keyed);
  }
  if (has_body && request_.expect_continue && !request_.http10 && !parser_->is_done()) {
    outbox_.request_continue();
    outbox_.pump(server_->date());
    server_->mark_dirty(*this);
  }
}

bool Connection::body_piece(std::string_view piece) {
  outbox_.drop_continue();
  current_.body_bytes += piece.size();
  if (current_.body_bytes > server_->config().max_body()) return false;
  if (current_.body_bytes > current_.reserved && !reserve(current_.body_bytes - current_.reserved)) return false;
  if (form_ != nullptr) form_->feed(piece);
  return true;
}

bool Connection::reserve(std::uint64_t bytes) {
  if (!server_->reserve_body(bytes)) return false;
  current_.reserved += bytes;
  return true;
}

void Connection::release() {
  if (server_ != nullptr) server_->release_body(std::exchange(current_.reserved, 0));
  if (form_ != nullptr) std::exchange(form_, nullptr)->reset();
}

std::uint64_t Connection::open_place() {
  const bool close = !parser_ || !parser_->is_header_done() || !parser_->keep_alive() || draining_;
  AnswerFrame frame;
  frame.head = request_.method == Method::Head;
  frame.close = close;
  frame.http10 = request_.http10;
  frame.problems = is_v1(request_.path);
  if (current_.admission.cors) frame.cors_origin = request_.origin;
  const Route* route = current_.admission.route;
  frame.route = route == nullptr ? Metrics::kNoRoute : server_->router().index_of(*route);
  frame.started = current_.started;
  if (close) phase_ = Phase::Refused;
  return outbox_.open(std::move(frame));
}

void Connection::on_complete() {
  phase_ = Phase::Idle;
  phase_since_ = last_read_;
  first_request_ = false;
  const std::uint64_t number = open_place();
  Responder responder(shared_from_this(), number);
  const Route* route = current_.admission.route;
  if (current_.admission.refusal) {
    responder.send(std::move(*current_.admission.refusal));
  } else {
    request_.form = form_;
    route->handle(server_->service(), request_, std::move(responder));
  }
  if (server_ == nullptr) return;
  release();
  parser_.reset();
}

void Connection::on_parse_error(const error_code& error) {
  const bool over_budget = error == HttpError::body_limit && current_.body_bytes <= server_->config().max_body();
  refuse_now(over_budget ? error_response(fail(Code::Unavailable,
                                               "The service is receiving too many large bodies at once. Try again."))
                         : protocol_error(error, server_->config()));
}

// Answers before the request has been read to its end; nothing after it can be understood.
void Connection::refuse_now(Response response) {
  response.close = true;
  const std::uint64_t number = open_place();
  phase_ = Phase::Refused;
  begin_ = end_ = 0;
  release();
  parser_.reset();
  answer(number, std::move(response));
}

// ---- writing ----

void Connection::answer(std::uint64_t number, Response response) {
  if (server_ == nullptr || phase_ == Phase::Closed) return;
  const AnswerFrame& frame = outbox_.frame(number);
  if (frame.problems) response = as_problem(std::move(response));
  server_->service().metrics.observe(frame.route, response.status, server_->now() - frame.started);
  outbox_.fill(number, std::move(response), server_->date());
  server_->mark_dirty(*this);
}

void Connection::more_to_send() {
  if (!gone()) server_->mark_dirty(*this);
}

void Connection::flush() {
  if (server_ == nullptr || phase_ == Phase::Closed || writing_) return;
  for (int i = 0; i < kWritesPerFlush; ++i) {
    outbox_.pump(server_->date());
    const std::string_view unsent = outbox_.unsent();
    if (unsent.empty()) break;
    error_code error;
    const std::size_t bytes = socket_.send(boost::asio::buffer(unsent.data(), unsent.size()), 0, error);
    if (error == boost::asio::error::would_block) return wait_writable();
    if (error) return close();
    last_write_ = server_->now();
    outbox_.sent(bytes);
  }
  outbox_.pump(server_->date());
  if (!outbox_.unsent().empty()) return wait_writable();
  after_flush();
}

void Connection::wait_writable() {
  writing_ = true;
  socket_.async_wait(boost::asio::ip::tcp::socket::wait_write, [self = shared_from_this()](const error_code& error) {
    self->writing_ = false;
    if (!error) self->flush();
  });
  resume();
}

void Connection::after_flush() {
  if (outbox_.finished() || (phase_ == Phase::Refused && outbox_.idle())) return linger();
  if (read_ended_ && outbox_.idle()) return close();
  if (draining_) drain();
  resume();
}

// Reading had stopped because too much was owed; not from within a parse step.
void Connection::resume() {
  if (phase_ == Phase::Closed || !may_read()) return;
  if (begin_ == end_) return read();
  boost::asio::post(socket_.get_executor(), [self = shared_from_this()] {
    if (self->server_ == nullptr || self->reading_ || self->phase_ == Phase::Closed) return;
    self->parse();
    self->read();
  });
}

// ---- ending ----

void Connection::linger() {
  if (phase_ == Phase::Lingering || phase_ == Phase::Closed) return;
  if (read_ended_) return close();
  error_code ignored;
  socket_.shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
  phase_ = Phase::Lingering;
  phase_since_ = server_->now();
  begin_ = end_ = 0;
  read();
}

void Connection::check_deadlines(Instant now) {
  const GatewayConfig& config = server_->config();
  if (!outbox_.unsent().empty() && now - last_write_ > config.write_idle) return close();
  switch (phase_) {
    case Phase::Idle:
      if (outbox_.idle() &&
          now - std::max(last_read_, last_write_) > (first_request_ ? config.header_deadline : config.keep_alive))
        close();
      break;
    case Phase::Header:
      if (now - phase_since_ > config.header_deadline)
        refuse_now(error_response(408, "The request header did not arrive in time."));
      break;
    case Phase::Body: {
      if (!reading_) break;  // it is we who are slow
      const auto grace = std::chrono::duration<double>(now - phase_since_ - config.body_idle).count();
      const bool slow =
          grace > 0 && static_cast<double>(current_.body_bytes) < grace * static_cast<double>(config.min_body_rate);
      if (slow || now - last_read_ > config.body_idle)
        refuse_now(error_response(408, "The body of the request did not arrive in time."));
      break;
    }
    case Phase::Lingering:
      if (now - phase_since_ > config.linger) close();
      break;
    case Phase::Refused:
    case Phase::Closed: break;
  }
}

void Connection::drain() {
  draining_ = true;
  if (phase_ == Phase::Idle && outbox_.idle() && begin_ == end_) close();
}

void Connection::close() {
  if (phase_ == Phase::Closed) return;
  phase_ = Phase::Closed;
  error_code ignored;
  socket_.close(ignored);
  release();
  if (server_ != nullptr) server_->remove(*this);
}

void Connection::abandon() {
  release();
  server_ = nullptr;
  phase_ = Phase::Closed;
  error_code ignored;
  socket_.close(ignored);
}

}  // namespace treadle::gateway

#include "store/redis/connection.h"

#include <chrono>
#include <cstdio>
#include <iterator>
#include <utility>

namespace treadle::store::redis {
namespace {

constexpr std::size_t kReadBuffer = 64u << 10;

// {"message", channel, text}: pushed in RESP3, a plain array on a RESP2 connection that subscribes.
bool is_message(const Reply& reply) {
  return reply.type == Reply::Type::Array && reply.items.size() == 3 && reply.items[0].text == "message";
}

bool is_confirmation(const Reply& reply) {
  return reply.type == Reply::Type::Array && reply.items.size() == 3 &&
         (reply.items[0].text == "subscribe" || reply.items[0].text == "unsubscribe");
}

}  // namespace

Connection::Connection(boost::asio::io_context& io, std::unique_ptr<Stream> stream, std::string shown,
                       Duration request_timeout, Hooks hooks)
    : stream_(std::move(stream)),
      shown_(std::move(shown)),
      hooks_(std::move(hooks)),
      watchdog_(io, request_timeout,
                [this, seconds = std::chrono::duration<double>(request_timeout).count()] {
                  char text[64];
                  std::snprintf(text, sizeof text, "it sent no answer for %.3g s", seconds);
                  end(text);
                }),
      buffer_(new char[kReadBuffer]) {}

void Connection::start() { read(); }

void Connection::read() {
  stream_->read(buffer_.get(), kReadBuffer,
                [self = shared_from_this()](std::string failure, std::size_t bytes) { self->on_read(failure, bytes); });
}

void Connection::on_read(const std::string& failure, std::size_t bytes) {
  std::string_view input(buffer_.get(), bytes);
  while (!input.empty()) {
    auto value = parser_.next(input);
    if (!value) return end(value.error().message);
    if (!*value) break;
    take(std::move(**value));
    if (closed_) return;  // by what an answer did
  }
  if (parser_.inside()) watchdog_.progress();  // a big reply is on its way
  watchdog_.watch(!waiting_.empty());
  if (!failure.empty()) return end(failure);
  read();
}

void Connection::take(RespParser::Value value) {
  Reply& reply = value.reply;
  const bool confirms = !waiting_.empty() && waiting_.front().expect == Expect::Confirmation;
  if (is_confirmation(reply) && (value.push || confirms)) {
    if (confirms) answer_front(std::move(reply));
  } else if (is_message(reply) && (value.push || hooks_.on_message)) {
    if (hooks_.on_message) hooks_.on_message(reply.items[1].text, reply.items[2].text);
  } else if (value.push) {
    return;  // of a kind nobody asked for, e.g. invalidate
  } else if (waiting_.empty()) {
    // Redis says so before it closes: too many clients, protected mode.
    end(reply.type == Reply::Type::Error ? "it said: " + reply.text : "it sent a reply that answers no command");
  } else {
    answer_front(std::move(reply));
  }
}

void Connection::answer_front(Reply reply) {
  watchdog_.progress();
  if (unanswered_ > 0) --unanswered_;
  Answer answer = std::move(waiting_.front().answer);
  waiting_.pop_front();
  if (answer) answer(std::move(reply));
}

void Connection::write(std::deque<Request> requests) {
  if (closed_ || requests.empty()) return;
  if (writing_) {
    unsent_.insert(unsent_.end(), std::move_iterator(requests.begin()), std::move_iterator(requests.end()));
    return;
  }
  if (waiting_.empty()) watchdog_.progress();
  for (Request& request : requests) {
    writer_.add(std::move(request.command));
    waiting_.push_back({std::move(request.answer), request.expect});
  }
  watchdog_.watch(true);
  writing_ = true;
  piece_ = offset_ = 0;
  continue_write();
}

void Connection::continue_write() {
  std::vector<std::string_view> rest;
  const auto& pieces = writer_.pieces();
  for (std::size_t i = piece_; i < pieces.size() && rest.size() < Stream::kPiecesAtOnce; ++i) {
    const std::string_view piece = std::string_view(pieces[i]).substr(i == piece_ ? offset_ : 0);
    if (!piece.empty()) rest.push_back(piece);
  }
  stream_->write(std::move(rest), [self = shared_from_this()](std::string failure, std::size_t bytes) {
    self->on_written(failure, bytes);
  });
}

void Connection::on_written(const std::string& failure, std::size_t bytes) {
  if (!failure.empty()) return end(failure);
  // A Redis that says nothing takes what is written all the same, until the socket is full.
  if (unanswered_ == 0) watchdog_.progress();
  const auto& pieces = writer_.pieces();
  for (offset_ += bytes; piece_ < pieces.size() && offset_ >= pieces[piece_].size(); ++piece_)
    offset_ -= pieces[piece_].size();
  if (piece_ < pieces.size()) return continue_write();
  writer_.clear();
  writing_ = false;
  unanswered_ = waiting_.size();
  if (!unsent_.empty()) return write(std::exchange(unsent_, {}));
  hooks_.on_idle_writer();
}

void Connection::end(const std::string& why) {
  if (closed_) return;
  const Error error = fail(Code::Unavailable, "The connection to Redis at " + shown_ + " was lost: " + why +
                                                  ". Whether the command took effect is not known.");
  auto on_end = std::move(hooks_.on_end);
  close(error);
  on_end(error);
}

void Connection::close(const Error& error) {
  if (closed_) return;
  closed_ = true;
  const auto self = shared_from_this();  // an answer may let go of it
  watchdog_.watch(false);
  stream_->close();
  answer_each(waiting_, error);
  answer_each(unsent_, error);
}

void Connection::abandon() {
  closed_ = true;
  watchdog_.watch(false);
  stream_->close();
  waiting_.clear();
  unsent_.clear();
}

}  // namespace treadle::store::redis

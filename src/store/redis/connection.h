// One connection to Redis, from the dialed stream to its end: commands out, replies matched to them in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/callback.h"
#include "base/result.h"
#include "base/time.h"
#include "store/redis/client.h"
#include "store/redis/resp.h"
#include "store/redis/stream.h"
#include "store/redis/watchdog.h"

namespace treadle::store::redis {

// What a command is answered by.
enum class Expect : std::uint8_t {
  Reply,
  Confirmation,  // of SUBSCRIBE or UNSUBSCRIBE with one channel: a pushed message, or an error
};

struct Request {
  Command command;
  Answer answer;
  Expect expect = Expect::Reply;
};

// Answers all of a queue with an error, one by one: an answer may drop the rest.
template <class Queue>
void answer_each(Queue& queue, const Error& error) {
  while (!queue.empty()) {
    Answer answer = std::move(queue.front().answer);
    queue.pop_front();
    if (answer) answer(Result<Reply>(error));
  }
}

// Loop thread; held by shared_ptr, which its own handlers share. After on_end it is of no more use.
class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  struct Hooks {
    Callback<void()> on_idle_writer;  // more may be written
    Callback<void(std::string_view channel, std::string_view message)> on_message;
    Callback<void(const Error&)> on_end;  // lost; every request has been answered with the error
  };

  Connection(boost::asio::io_context& io, std::unique_ptr<Stream> stream, std::string shown, Duration request_timeout,
             Hooks hooks);
  void start();

  bool open() const { return !closed_; }
  bool can_write() const { return !closed_ && !writing_; }
  // All of it leaves at once; unless can_write(), as soon as what is being written is out.
  void write(std::deque<Request> requests);
  // Ends it: every request is answered with `error`. Nothing of it runs afterwards; on_end does not.
  void close(const Error& error);
  // Ends it: no request is answered.
  void abandon();
  std::size_t in_flight() const { return waiting_.size() + unsent_.size(); }
  std::size_t unsent_bytes() const { return writer_.size(); }

 private:
  struct Waiting {
    Answer answer;
    Expect expect;
  };

  void read();
  void on_read(const std::string& failure, std::size_t bytes);
  void take(RespParser::Value value);
  void answer_front(Reply reply);
  void continue_write();
  void on_written(const std::string& failure, std::size_t bytes);
  void end(const std::string& why);

  const std::unique_ptr<Stream> stream_;
  const std::string shown_;
  Hooks hooks_;
  Watchdog watchdog_;
  RespParser parser_;
  std::unique_ptr<char[]> buffer_;
  RespWriter writer_;
  std::size_t piece_ = 0, offset_ = 0;  // of the writer's pieces: sent so far
  std::deque<Waiting> waiting_;         // for their replies, in the order in which they were sent
  std::size_t unanswered_ = 0;          // of them, at the front: written before what is being written
  std::deque<Request> unsent_;          // begun while writing_
  bool writing_ = false;
  bool closed_ = false;
};

}  // namespace treadle::store::redis

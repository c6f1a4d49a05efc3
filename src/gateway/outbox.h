// The answers of one connection: given in any order, sent in the order of the requests, kept within a bound.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "gateway/response.h"

namespace treadle::gateway {

// What the head of an answer needs to know of its request.
struct AnswerFrame {
  bool head = false;   // HEAD: no body is sent
  bool close = false;  // the client wants no further answer
  bool http10 = false;
  bool problems = false;    // errors are told as RFC 9457 says
  std::string cors_origin;  // "" = none
  std::size_t route = 0;    // for the metrics
  Instant started;
};

class Outbox {
 public:
  // Reserves the next place; returns its number.
  std::uint64_t open(AnswerFrame frame);
  const AnswerFrame& frame(std::uint64_t number) const { return places_[first_ + (number - first_number_)].frame; }
  // The answer for place `number`; it is moved to the bytes as soon as its turn comes.
  void fill(std::uint64_t number, Response response, std::string_view date);
  // "100 Continue" for the request that is being read, when all before it are answered.
  void request_continue() { continue_due_ = true; }
  void drop_continue() { continue_due_ = false; }

  // Turns what is ready into bytes, as far as the buffer's bound allows.
  void pump(std::string_view date);
  std::string_view unsent() const { return std::string_view(bytes_).substr(sent_); }
  void sent(std::size_t bytes);

  std::size_t unanswered() const { return places_.size() - first_; }
  bool idle() const { return unanswered() == 0 && drained(); }  // nothing owed, nothing to send
  bool drained() const { return sent_ == bytes_.size() && !streaming_; }
  bool endless() const { return streaming_ && stream_.stream != nullptr; }  // waits for what may never come
  // An answer that ends the connection has been turned into bytes; later ones never are.
  bool finished() const { return finished_; }

 private:
  struct Place {
    AnswerFrame frame;
    bool ready = false;
    Response response;
  };
  void write(Place& place, std::string_view date);
  bool stream_more();
  bool stream_chunk();
  void end_stream();

  std::vector<Place> places_;  // [first_, end) are unanswered or wait for their turn
  std::size_t first_ = 0;
  std::uint64_t first_number_ = 0;  // the number of places_[first_]
  std::string bytes_;
  std::size_t sent_ = 0;
  bool streaming_ = false;  // stream_ holds the rest of the answer that was written last
  Response stream_;
  bool chunked_ = true;       // how stream_.stream is sent; else until the connection ends
  std::size_t streamed_ = 0;  // bytes of stream_.blob that were turned into text
  bool continue_due_ = false;
  bool finished_ = false;
};

}  // namespace treadle::gateway

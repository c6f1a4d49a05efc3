// Ends of attempts (outcomes and give-backs) that the dispatcher has not settled: said, and said again, until it has.
#pragma once

#include <cstdint>
#include <deque>

#include "core/limits.h"
#include "core/supervisor_work.h"

namespace treadle::core {

class OutcomeBuffer {
 public:
  explicit OutcomeBuffer(WorkTable& works) : works_(works) {}

  // `work` has just ended.
  void add(Work& work);
  // The dispatcher has it for good; `work` is Ended and is removed from the table.
  void settle(Work& work);
  // Moves what is to be said into the message, up to a batch; the rest is left for the next one.
  void fill(Instant now, WorkerMessage& message);
  // The other side may know nothing: everything is to be said again.
  void say_all_again();
  // What was said long ago and is not settled is to be said again: the message, or the answer to it, may be lost.
  void say_overdue_again(Instant now);

  bool has_unsent() const { return !unsent_.empty(); }
  bool over_limits() const { return items_ > limits::kOutcomeBufferItems || bytes_ > limits::kOutcomeBufferBytes; }
  // When say_overdue_again has something to do; never if nothing is out.
  Instant repeat_at() const { return said_.empty() ? Instant::never() : said_.front().at + kRepeat; }
  std::size_t items() const { return items_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  static constexpr Duration kRepeat = 3s;
  struct Said {
    Token token;  // settled already if the table does not know it
    Instant at;
  };
  void say(Work& work);
  void forget_settled();

  WorkTable& works_;
  std::deque<Token> unsent_;
  std::deque<Said> said_;  // in order of time
  std::size_t items_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace treadle::core

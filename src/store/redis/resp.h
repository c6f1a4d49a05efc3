// The bytes of Redis's protocol (RESP2 and RESP3): replies out of a stream cut anywhere, commands into one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/redis/reply.h"

namespace treadle::store::redis {

// What one value may hold. Redis keeps within them; what does not is no Redis, or a stream out of step.
struct RespLimits {
  std::size_t line_bytes = 64u << 10;       // of a status, an error, a number
  std::uint64_t bulk_bytes = 512ull << 20;  // Redis's own limit
  std::uint64_t value_bytes = 1ull << 30;   // of a value with all it holds
  std::size_t items = 1u << 20;             // of a value with all it holds
  std::size_t depth = 32;
};

// Takes the replies of one connection apart. After an error it is of no more use.
class RespParser {
 public:
  struct Value {
    Reply reply;
    bool push = false;  // a message beside the replies: answers no command
  };

  explicit RespParser(RespLimits limits = {}) : limits_(limits) {}

  // Takes bytes off the front of `input` until a value is whole; nullopt: all taken, more are needed.
  Result<std::optional<Value>> next(std::string_view& input);
  // A value was begun and is not whole.
  bool inside() const { return inside_; }

 private:
  enum class Kind : std::uint8_t { Array, Push, Attribute };
  struct Frame {
    Reply reply;
    std::size_t left = 0;  // items still to come, > 0
    Kind kind = Kind::Array;
  };
  enum class Bulk : std::uint8_t { None, Text, Error, Verbatim };

  Result<void> take_line(std::string_view& input, std::optional<std::string_view>& line);
  Result<void> take_bulk(std::string_view& input);
  Result<void> read_line(std::string_view line);
  Result<void> begin_bulk(Bulk kind, std::string_view length);
  Result<void> begin_items(Kind kind, std::string_view count, std::size_t per_entry);
  Result<void> end_bulk();
  void put(Reply reply);
  void reset();

  RespLimits limits_;
  std::vector<Frame> frames_;  // values that are not whole, outermost first
  std::string line_;           // the beginning of a line that was cut
  Bulk bulk_ = Bulk::None;     // what is being read, if not a line
  std::string text_;           // of the bulk so far
  std::uint64_t bulk_size_ = 0;
  std::size_t bulk_end_ = 0;  // bytes of its CRLF that were seen
  std::uint64_t bytes_ = 0;   // of the present value
  std::size_t items_ = 0;     // of the present value
  bool inside_ = false;
  std::optional<Value> whole_;
};

// Commands as bytes to send: small ones gather in one piece, a big argument is moved in as a piece of its own.
class RespWriter {
 public:
  void add(std::vector<std::string> command);
  std::size_t size() const { return bytes_; }
  bool empty() const { return bytes_ == 0; }
  // In the order to send them; valid until clear().
  const std::vector<std::string>& pieces() const { return pieces_; }
  void clear();

 private:
  void text(std::string_view bytes);
  void length(char mark, std::size_t value);

  std::vector<std::string> pieces_;
  bool open_ = false;  // the last piece may be written on
  std::size_t bytes_ = 0;
};

// Bytes that `command` takes at most.
std::size_t resp_size(const std::vector<std::string>& command);

}  // namespace treadle::store::redis

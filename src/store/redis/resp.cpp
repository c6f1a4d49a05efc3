#include "store/redis/resp.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>

namespace treadle::store::redis {
namespace {

constexpr std::size_t kOwnPiece = 16u << 10;        // a copy of less is cheaper than another entry for the kernel
constexpr std::size_t kReserveAtFirst = 64u << 10;  // of a bulk whose length is only claimed yet
constexpr std::size_t kReserveItems = 64;           // of an array whose length is only claimed yet
constexpr std::size_t kKeptPiece = 64u << 10;       // memory that a writer keeps for the next commands

Error broken(const std::string& what) {
  return fail(Code::Unavailable, "What came is not Redis's protocol: " + what + ". Is it a Redis that listens there?");
}

std::optional<std::int64_t> integer(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return std::nullopt;
  }
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> real(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);  // knows inf, -inf, nan
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

bool is_big_number(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Reply text_reply(Reply::Type type, std::string_view text) {
  Reply reply;
  reply.type = type;
  reply.text = text;
  return reply;
}

// The values that are whole at the end of their line; nullopt: not one of them, or not in its form.
std::optional<Reply> simple_value(char mark, std::string_view text) {
  Reply reply;
  switch (mark) {
    case '+': return text_reply(Reply::Type::Status, text);
    case '-': return text_reply(Reply::Type::Error, text);
    case ':': {
      const auto value = integer(text);
      if (!value) return std::nullopt;
      reply.type = Reply::Type::Integer;
      reply.integer = *value;
      return reply;
    }
    case '_': return text.empty() ? std::optional(reply) : std::nullopt;
    case '#':
      if (text != "t" && text != "f") return std::nullopt;
      reply.type = Reply::Type::Bool;
      reply.integer = text == "t";
      return reply;
    case ',': {
      const auto value = real(text);
      if (!value) return std::nullopt;
      reply.type = Reply::Type::Double;
      reply.number = *value;
      return reply;
    }
    case '(': return is_big_number(text) ? std::optional(text_reply(Reply::Type::String, text)) : std::nullopt;
    default: return std::nullopt;
  }
}

std::string shown(char mark) {
  if (mark >= ' ' && mark <= '~') return std::string("'") + mark + "'";
  return "byte " + std::to_string(static_cast<unsigned char>(mark));
}

}  // namespace

// ---- parser ----

Result<std::optional<RespParser::Value>> RespParser::next(std::string_view& input) {
  while (!input.empty()) {
    inside_ = true;
    if (bulk_ != Bulk::None) {
      if (auto taken = take_bulk(input); !taken) return taken.error();
    } else {
      std::optional<std::string_view> line;
      if (auto taken = take_line(input, line); !taken) return taken.error();
      if (!line) break;
      if (auto read = read_line(*line); !read) return read.error();
      line_.clear();
    }
    if (whole_) {
      std::optional<Value> value = std::move(whole_);
      reset();
      return value;
    }
  }
  return std::optional<Value>();
}

// A line without its CRLF: a view of the input, or of line_ if it was cut. A lone CR ends no line.
Result<void> RespParser::take_line(std::string_view& input, std::optional<std::string_view>& line) {
  const std::size_t end = input.find('\n');
  const std::size_t here = end == std::string_view::npos ? input.size() : end + 1;
  if (line_.size() + here > limits_.line_bytes + 2)
    return broken("a line of over " + std::to_string(limits_.line_bytes) + " bytes");
  const bool cut = end == std::string_view::npos;
  if (cut || !line_.empty()) line_.append(input.substr(0, here));
  const std::string_view whole = line_.empty() ? input.substr(0, here) : std::string_view(line_);
  input.remove_prefix(here);
  bytes_ += here;
  if (bytes_ > limits_.value_bytes) return broken("a value of over " + std::to_string(limits_.value_bytes) + " bytes");
  if (cut) return {};
  if (whole.size() < 2 || whole[whole.size() - 2] != '\r') return broken("a line that ends without a carriage return");
  line = whole.substr(0, whole.size() - 2);
  return {};
}

Result<void> RespParser::read_line(std::string_view line) {
  if (line.empty()) return broken("an empty line where a value begins");
  const char mark = line[0];
  line.remove_prefix(1);
  switch (mark) {
    case '$': return begin_bulk(Bulk::Text, line);
    case '!': return begin_bulk(Bulk::Error, line);
    case '=': return begin_bulk(Bulk::Verbatim, line);
    case '*': return begin_items(Kind::Array, line, 1);
    case '~': return begin_items(Kind::Array, line, 1);
    case '%': return begin_items(Kind::Array, line, 2);
    case '>': return begin_items(Kind::Push, line, 1);
    case '|': return begin_items(Kind::Attribute, line, 2);
    default: break;
  }
  auto value = simple_value(mark, line);
  if (!value) return broken("a value that begins with " + shown(mark) + " and is of no known form");
  put(std::move(*value));
  return {};
}

Result<void> RespParser::begin_bulk(Bulk kind, std::string_view length) {
  if (length == "?") return broken("a streamed string, which Redis does not send and Treadle does not read");
  const auto size = integer(length);
  if (size == -1 && kind == Bulk::Text) {
    put({});
    return {};
  }
  if (!size || *size < 0) return broken("a string whose length is no number");
  if (static_cast<std::uint64_t>(*size) > limits_.bulk_bytes || bytes_ + *size > limits_.value_bytes)
    return broken("a string of " + std::to_string(*size) + " bytes, over the limit");
  bulk_ = kind;
  bulk_size_ = static_cast<std::uint64_t>(*size);
  text_.reserve(std::min<std::uint64_t>(bulk_size_, kReserveAtFirst));
  return {};
}

Result<void> RespParser::take_bulk(std::string_view& input) {
  const std::size_t here = std::min<std::uint64_t>(bulk_size_ - text_.size(), input.size());
  if (here > 0) {
    // Once a part of it has really come, there is room for all: no string grows by copying itself again and again.
    if (text_.size() + here > text_.capacity()) text_.reserve(bulk_size_);
    text_.append(input.substr(0, here));
    input.remove_prefix(here);
    bytes_ += here;
  }
  while (text_.size() == bulk_size_ && !input.empty() && bulk_end_ < 2) {
    if (input[0] != "\r\n"[bulk_end_]) return broken("a string that is longer than its length says");
    input.remove_prefix(1);
    ++bulk_end_;
  }
  return bulk_end_ == 2 ? end_bulk() : Result<void>();
}

Result<void> RespParser::end_bulk() {
  Reply reply;
  reply.type = bulk_ == Bulk::Error ? Reply::Type::Error : Reply::Type::String;
  if (bulk_ == Bulk::Verbatim) {
    if (text_.size() < 4 || text_[3] != ':') return broken("a verbatim string without its format ('txt:')");
    text_.erase(0, 4);
  }
  reply.text = std::move(text_);
  text_ = {};
  bulk_ = Bulk::None;
  bulk_end_ = 0;
  put(std::move(reply));
  return {};
}

Result<void> RespParser::begin_items(Kind kind, std::string_view count_text, std::size_t per_entry) {
  if (count_text == "?") return broken("a streamed array, which Redis does not send and Treadle does not read");
  const auto count = integer(count_text);
  if (count == -1 && kind == Kind::Array && per_entry == 1) {
    put({});
    return {};
  }
  if (!count || *count < 0) return broken("an array whose length is no number");
  if (kind == Kind::Push && !frames_.empty()) return broken("a pushed message inside another value");
  const std::size_t room = limits_.items - items_;
  if (static_cast<std::uint64_t>(*count) > room / per_entry)
    return broken("a value of over " + std::to_string(limits_.items) + " items");
  if (frames_.size() >= limits_.depth) return broken("arrays nested over " + std::to_string(limits_.depth) + " deep");
  const std::size_t left = static_cast<std::size_t>(*count) * per_entry;
  items_ += left;
  Frame frame;
  frame.reply.type = Reply::Type::Array;
  frame.left = left;
  frame.kind = kind;
  frame.reply.items.reserve(std::min(left, kReserveItems));
  if (left > 0) {
    frames_.push_back(std::move(frame));
  } else if (kind == Kind::Push) {
    return broken("a pushed message without a name");
  } else if (kind == Kind::Array) {
    put(std::move(frame.reply));
  }  // an attribute is skipped
  return {};
}

// A value is whole: it joins the one around it, which may be whole thereby.
void RespParser::put(Reply reply) {
  bool push = false;
  while (!frames_.empty()) {
    Frame& frame = frames_.back();
    frame.reply.items.push_back(std::move(reply));
    if (--frame.left > 0) return;
    const Kind kind = frame.kind;
    reply = std::move(frame.reply);
    frames_.pop_back();
    if (kind == Kind::Attribute) return;  // what it describes comes next
    push = kind == Kind::Push;
  }
  whole_ = Value{std::move(reply), push};
}

void RespParser::reset() {
  whole_.reset();
  bytes_ = 0;
  items_ = 0;
  inside_ = false;
}

// ---- writer ----

void RespWriter::add(std::vector<std::string> command) {
  length('*', command.size());
  for (std::string& argument : command) {
    length('$', argument.size());
    if (argument.size() >= kOwnPiece) {
      bytes_ += argument.size();
      pieces_.push_back(std::move(argument));
      open_ = false;
    } else {
      text(argument);
    }
    text("\r\n");
  }
}

void RespWriter::text(std::string_view bytes) {
  if (!open_) pieces_.emplace_back();
  open_ = true;
  pieces_.back().append(bytes);
  bytes_ += bytes.size();
}

void RespWriter::length(char mark, std::size_t value) {
  char line[32] = {mark};
  char* end = std::to_chars(line + 1, line + sizeof line - 2, value).ptr;
  *end++ = '\r';
  *end++ = '\n';
  text({line, static_cast<std::size_t>(end - line)});
}

void RespWriter::clear() {
  std::string kept;
  if (!pieces_.empty() && pieces_[0].capacity() <= kKeptPiece) kept = std::move(pieces_[0]);
  kept.clear();
  pieces_.clear();
  pieces_.push_back(std::move(kept));
  open_ = true;
  bytes_ = 0;
}

std::size_t resp_size(const std::vector<std::string>& command) {
  constexpr std::size_t kLine = 24;  // mark, number, CRLF
  std::size_t bytes = kLine;
  for (const std::string& argument : command) bytes += kLine + argument.size();
  return bytes;
}

}  // namespace treadle::store::redis

// Writes a header by hand: it is on the path of every task. Members and places that are zero or empty are left out
// where the reader takes absence for them.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/json_text.h"
#include "core/limits.h"
#include "core/payload.h"
#include "transport/codec.h"

namespace treadle::transport {

template <class Number>
void append_number(std::string& out, Number value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, static_cast<std::size_t>(end - digits));
}

inline void append_quoted(std::string& out, const Uuid& id) {
  char text[38];
  text[0] = text[37] = '"';
  format_uuid(id, text + 1);
  out.append(text, sizeof text);
}

// As 16 hex digits: a JSON number of 64 bits is not safe with every reader.
inline void append_quoted(std::string& out, std::uint64_t value) {
  char text[18];
  text[0] = text[17] = '"';
  format_hex(value, text + 1);
  out.append(text, sizeof text);
}

inline void append_quoted(std::string& out, const Digest& digest) {
  char text[66];
  text[0] = text[65] = '"';
  format_digest(digest, text + 1);
  out.append(text, sizeof text);
}

// Puts payloads where they belong and tells the header where that is.
class Packer {
 public:
  explicit Packer(Offers* offers) : offers_(offers) {}
  void place(std::string& header, const Buffer& bytes, const Digest* known = nullptr);
  void place(std::string& header, const std::string& text);
  void add_to(Frames& frames);

 private:
  bool stays_out(std::size_t size) const;
  void refer(std::string& header, Buffer bytes, const Digest* known);

  Offers* offers_;
  std::uint64_t inline_ = 0;
  std::string pack_;
  Frames own_;
};

class HeaderWriter {
 public:
  // `items`: of all lists together, so that the text seldom grows.
  explicit HeaderWriter(std::size_t items = 0);
  std::string& member(std::string_view name) {
    out_ += ",\"";
    out_ += name;
    out_ += "\":";
    return out_;
  }
  void number(std::string_view name, std::uint64_t value) {
    if (value != 0) append_number(member(name), value);
  }
  void flag(std::string_view name, bool value) {
    if (value) member(name) += "true";
  }
  void text(std::string_view name, std::string_view value) {
    if (!value.empty()) append_json_string(member(name), value);
  }
  void uuid(std::string_view name, const Uuid& value) {
    if (!value.is_nil()) append_quoted(member(name), value);
  }
  // A list of what `each` appends for an item.
  template <class Items, class Each>
  void list(std::string_view name, const Items& items, Each each) {
    if (items.empty()) return;
    char before = '[';
    member(name);
    for (const auto& item : items) {
      out_ += before;
      before = ',';
      each(out_, item);
    }
    out_ += ']';
  }
  Buffer finish() {
    out_ += '}';
    return Buffer::of(std::move(out_));
  }

 private:
  std::string out_;
};

}  // namespace treadle::transport

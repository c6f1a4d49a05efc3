#include "gateway/json_pickle.h"

#include <bit>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "core/pickle.h"

namespace treadle::gateway {
namespace {

namespace json = boost::json;

void little_endian(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> 8 * i & 0xff);
}

void put_text(std::string& out, std::string_view text) {
  if (text.size() < 256) {
    out += '\x8c';  // SHORT_BINUNICODE
    out += static_cast<char>(text.size());
  } else {
    out += 'X';  // BINUNICODE
    little_endian(out, text.size(), 4);
  }
  out += text;
}

void put_integer(std::string& out, std::int64_t value) {
  const bool small =
      value >= std::numeric_limits<std::int32_t>::min() && value <= std::numeric_limits<std::int32_t>::max();
  out += small ? std::string_view("J") : std::string_view("\x8a\x08");  // BININT; LONG1 of 8 bytes
  little_endian(out, static_cast<std::uint64_t>(value), small ? 4 : 8);
}

void put_real(std::string& out, double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value);
  out += 'G';  // BINFLOAT, big-endian
  for (int i = 7; i >= 0; --i) out += static_cast<char>(bits >> 8 * i & 0xff);
}

void put(std::string& out, const json::value& value);  // bounded by the depth of the parser

void put_items(std::string& out, const json::array& items) {
  out += '(';
  for (const json::value& item : items) put(out, item);
}

void put_dict(std::string& out, const json::object& members) {
  out += "}(";
  for (const auto& member : members) {
    put_text(out, {member.key().data(), member.key().size()});
    put(out, member.value());
  }
  out += 'u';  // SETITEMS
}

void put(std::string& out, const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: out += 'N'; return;
    case json::kind::bool_: out += value.get_bool() ? '\x88' : '\x89'; return;
    case json::kind::int64: return put_integer(out, value.get_int64());
    case json::kind::uint64:  // over the greatest int64
      out += "\x8a\x09";
      little_endian(out, value.get_uint64(), 8);
      out += '\0';
      return;
    case json::kind::double_: return put_real(out, value.get_double());
    case json::kind::string: return put_text(out, {value.get_string().data(), value.get_string().size()});
    case json::kind::array:
      out += ']';
      put_items(out, value.get_array());
      out += 'e';  // APPENDS
      return;
    case json::kind::object: return put_dict(out, value.get_object());
  }
}

}  // namespace

Result<core::Payload> pickle_arguments(const json::array* args, const json::object* kwargs) {
  static const json::array kNoArgs;
  static const json::object kNoKwargs;
  std::string bytes("\x80\x04", 2);
  put_items(bytes, args == nullptr ? kNoArgs : *args);
  bytes += 't';  // TUPLE
  put_dict(bytes, kwargs == nullptr ? kNoKwargs : *kwargs);
  bytes += "\x86.";  // TUPLE2, STOP
  core::PickleVerifier verifier;
  verifier.feed(bytes);
  TRY(const core::PickleReport report, verifier.finish());
  return core::Payload{Buffer::of(std::move(bytes)), report.facts};
}

}  // namespace treadle::gateway

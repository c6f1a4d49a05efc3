#include "gateway/numpy_json.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/json_text.h"
#include "gateway/pickle_json.h"

namespace treadle::gateway {
namespace {

using Kind = PlainPickle::Kind;
using Value = PlainPickle::Value;

constexpr std::size_t kMaxDimensions = 64;  // numpy's own limit

Error unreadable() { return fail(Code::Invalid, "a numpy value whose pickle is not understood"); }

bool is_call_of(const PlainPickle& pickle, const Value& call, std::initializer_list<std::string_view> names) {
  if (call.kind != Kind::Call) return false;
  const Value& what = pickle.value(pickle.items(call)[0]);
  for (const std::string_view name : names)
    if (what.kind == Kind::Global && what.text == name) return true;
  return false;
}

// The values of a tuple that has at least `least`; null: it is something else.
const std::vector<PlainPickle::Index>* tuple_at(const PlainPickle& pickle, PlainPickle::Index at, std::size_t least) {
  const Value& value = pickle.value(at);
  if (value.kind != Kind::Tuple || pickle.items(value).size() < least) return nullptr;
  return &pickle.items(value);
}

// dtype('f8', False, True), whose state is (version, '<', ...).
bool read_dtype(const PlainPickle& pickle, PlainPickle::Index at, NumpyValue& to) {
  const Value& call = pickle.value(at);
  if (!is_call_of(pickle, call, {"numpy.dtype"})) return false;
  const auto* args = tuple_at(pickle, pickle.items(call)[1], 1);
  if (args == nullptr || pickle.value((*args)[0]).kind != Kind::Str) return false;
  const std::string_view name = pickle.value((*args)[0]).text;
  if (name.empty()) return false;
  to.type = name[0];
  const auto [end, error] = std::from_chars(name.data() + 1, name.data() + name.size(), to.width);
  if (error != std::errc() || end != name.data() + name.size()) return false;
  if (pickle.items(call).size() < 3) return true;
  const auto* state = tuple_at(pickle, pickle.items(call)[2], 2);
  if (state == nullptr || pickle.value((*state)[1]).kind != Kind::Str) return false;
  to.big_endian = pickle.value((*state)[1]).text == ">";
  return true;
}

bool is_shown(const NumpyValue& value) {
  const bool whole = value.width == 1 || value.width == 2 || value.width == 4 || value.width == 8;
  switch (value.type) {
    case 'b': return value.width == 1;
    case 'i':
    case 'u': return whole;
    case 'f': return whole && value.width > 1;
    case 'U': return value.width <= kMaxJsonText;
    case 'O': return true;
    default: return false;
  }
}

std::uint64_t element_bytes(const NumpyValue& value) { return value.type == 'U' ? value.width * 4 : value.width; }

bool read_shape(const PlainPickle& pickle, PlainPickle::Index at, NumpyValue& to) {
  const auto* sizes = tuple_at(pickle, at, 0);
  if (sizes == nullptr || sizes->size() > kMaxDimensions) return false;
  for (const PlainPickle::Index one : *sizes) {
    const Value& size = pickle.value(one);
    if (size.kind != Kind::Int || size.integer < 0) return false;
    to.shape.push_back(static_cast<std::uint64_t>(size.integer));
    if (__builtin_mul_overflow(to.count, to.shape.back(), &to.count) || to.count > kMaxJsonText) return false;
  }
  return true;
}

// _reconstruct(...), whose state is (version, shape, dtype, by columns, bytes or a list).
bool read_array(const PlainPickle& pickle, const Value& call, NumpyValue& to) {
  if (pickle.items(call).size() < 3) return false;
  const auto* state = tuple_at(pickle, pickle.items(call)[2], 5);
  if (state == nullptr || !read_shape(pickle, (*state)[1], to) || !read_dtype(pickle, (*state)[2], to)) return false;
  to.by_columns = pickle.value((*state)[3]).integer != 0;
  const Value& data = pickle.value((*state)[4]);
  if (data.kind == Kind::Bytes && to.type != 'O') to.bytes = data.text;
  if (data.kind == Kind::List && to.type == 'O') to.objects = &pickle.items(data);
  return data.kind == Kind::Bytes || data.kind == Kind::List;
}

bool read_scalar(const PlainPickle& pickle, const Value& call, NumpyValue& to) {
  const auto* args = tuple_at(pickle, pickle.items(call)[1], 2);
  if (args == nullptr || !read_dtype(pickle, (*args)[0], to)) return false;
  const Value& data = pickle.value((*args)[1]);
  to.bytes = data.text;
  return data.kind == Kind::Bytes;
}

double half(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31) return fraction == 0 ? sign * INFINITY : NAN;
  return sign * (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25));
}

std::uint64_t bits_of(const NumpyValue& of, std::string_view bytes) {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::size_t at = of.big_endian ? i : bytes.size() - 1 - i;
    bits = bits << 8 | static_cast<unsigned char>(bytes[at]);
  }
  return bits;
}

double real_of(std::uint64_t bits, std::uint64_t width) {
  if (width == 2) return half(static_cast<std::uint16_t>(bits));
  if (width == 4) return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
  return std::bit_cast<double>(bits);
}

void append_utf8(std::string& out, std::uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 63));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 63));
    out += static_cast<char>(0x80 | (c & 63));
  } else {
    out += static_cast<char>(0xf0 | (c >> 18 & 7));
    out += static_cast<char>(0x80 | (c >> 12 & 63));
    out += static_cast<char>(0x80 | (c >> 6 & 63));
    out += static_cast<char>(0x80 | (c & 63));
  }
}

// Code points of four bytes; zeros at the end fill it up.
void append_text(std::string& out, const NumpyValue& of, std::string_view bytes) {
  std::string text;
  std::size_t length = 0;
  for (std::size_t i = 0; i + 4 <= bytes.size(); i += 4) {
    append_utf8(text, static_cast<std::uint32_t>(bits_of(of, bytes.substr(i, 4))));
    if (text.back() != '\0') length = text.size();
  }
  text.resize(length);
  append_json_string(out, text);
}

}  // namespace

Result<std::optional<NumpyValue>> read_numpy(const PlainPickle& pickle, const Value& call) {
  const bool scalar = is_call_of(pickle, call, {"numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"});
  const bool array =
      is_call_of(pickle, call, {"numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"});
  if (!scalar && !array) return std::optional<NumpyValue>();
  NumpyValue value;
  if (scalar ? !read_scalar(pickle, call, value) : !read_array(pickle, call, value)) return unreadable();
  if (!is_shown(value)) return fail(Code::Invalid, std::string("a numpy value of type ") + value.type);
  const bool whole = value.objects != nullptr
                         ? value.objects->size() == value.count
                         : value.type != 'O' && value.bytes.size() == value.count * element_bytes(value);
  if (!whole) return unreadable();
  return std::optional<NumpyValue>(std::move(value));
}

bool append_numpy_element(std::string& out, const NumpyValue& of, std::uint64_t at) {
  const std::uint64_t size = element_bytes(of);
  const std::string_view bytes = of.bytes.substr(at * size, size);
  if (of.type == 'U') return append_text(out, of, bytes), true;
  const std::uint64_t bits = bits_of(of, bytes);
  const auto unused = static_cast<int>(64 - 8 * of.width);
  switch (of.type) {
    case 'b': out += bits != 0 ? "true" : "false"; return true;
    case 'i': out += std::to_string(static_cast<std::int64_t>(bits << unused) >> unused); return true;
    case 'u': out += std::to_string(bits); return true;
    default: break;
  }
  const double real = real_of(bits, of.width);
  if (!std::isfinite(real)) return false;
  append_json_real(out, real);
  return true;
}

}  // namespace treadle::gateway

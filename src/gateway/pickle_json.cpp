#include "gateway/pickle_json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/json_text.h"
#include "gateway/numpy_json.h"
#include "gateway/plain_pickle.h"

namespace treadle::gateway {
namespace {

using Kind = PlainPickle::Kind;
using Value = PlainPickle::Value;
using Index = PlainPickle::Index;

// Digits of a two's complement number, least byte first.
std::string decimal(std::string_view bytes) {
  const bool negative = (static_cast<unsigned char>(bytes.back()) & 0x80) != 0;
  std::vector<std::uint32_t> digits;  // of base 1e9, least first
  for (std::size_t i = bytes.size(); i-- > 0;) {
    std::uint64_t carry = static_cast<unsigned char>(negative ? ~bytes[i] : bytes[i]);
    for (std::uint32_t& digit : digits) {
      carry += std::uint64_t{digit} << 8;
      digit = static_cast<std::uint32_t>(carry % 1'000'000'000);
      carry /= 1'000'000'000;
    }
    if (carry > 0) digits.push_back(static_cast<std::uint32_t>(carry));
  }
  if (negative) {  // -(~x) - 1
    std::size_t at = 0;
    while (at < digits.size() && ++digits[at] == 1'000'000'000) digits[at++] = 0;
    if (at == digits.size()) digits.push_back(1);
  }
  std::string text = negative ? "-" : "";
  text += digits.empty() ? "0" : std::to_string(digits.back());
  for (std::size_t i = digits.size(); i-- > 1;) {
    const std::string group = std::to_string(digits[i - 1]);
    text.append(9 - group.size(), '0').append(group);
  }
  return text;
}

// Python's text may have half of a surrogate pair, which no UTF-8 has.
bool has_lone_surrogate(std::string_view text) {
  for (std::size_t i = text.find('\xed'); i != std::string_view::npos; i = text.find('\xed', i + 1))
    if (i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) > 0x9f) return true;
  return false;
}

class Writer {
 public:
  explicit Writer(const PlainPickle& pickle) : pickle_(pickle) {}

  bool write(Index at);
  std::string out;
  Error error;

 private:
  bool refuse(const std::string& why, Code code = Code::Invalid);
  bool fits();
  bool nested(bool (Writer::*write_value)(const Value&), const Value& value);
  bool too_deep();
  bool text(std::string_view value);
  bool real(double value);
  bool big_integer(std::string_view bytes);
  bool list(const Value& value);
  bool object(const Value& value);
  bool call(const Value& value);
  bool array(const NumpyValue& value, std::size_t dimension, std::uint64_t first, std::uint64_t step);
  bool element(const NumpyValue& value, std::uint64_t at);

  const PlainPickle& pickle_;
  struct Step {  // of the way to a value
    std::string_view key;
    std::uint64_t index = 0;
    bool in_dict = false;
  };
  std::vector<Step> path_;
  // Of containers inside each other. Not the length of the path: an array of zero dimensions, which may hold itself,
  // adds no step to it.
  std::size_t depth_ = 0;
};

bool Writer::refuse(const std::string& why, Code code) {
  constexpr std::size_t kShown = 8;  // steps of a path
  constexpr std::size_t kShownKey = 64;
  std::string where = "result";
  for (std::size_t i = 0; i < std::min(path_.size(), kShown); ++i) {
    where += '[';
    if (path_[i].in_dict)
      append_json_string(where, path_[i].key.substr(0, kShownKey));
    else
      where += std::to_string(path_[i].index);
    where += ']';
  }
  if (path_.size() > kShown) where += "...";
  error = fail(code, where + " is " + why);
  return false;
}

bool Writer::fits() {
  if (out.size() <= kMaxJsonText) return true;
  path_.clear();
  return refuse("more than " + std::to_string(kMaxJsonText) + " bytes as JSON", Code::TooLarge);
}

bool Writer::too_deep() {
  return refuse("nested deeper than " + std::to_string(kMaxJsonNesting) + " levels, or contains itself");
}

bool Writer::nested(bool (Writer::*write_value)(const Value&), const Value& value) {
  if (depth_ == kMaxJsonNesting) return too_deep();
  ++depth_;
  const bool written = (this->*write_value)(value);
  --depth_;
  return written;
}

bool Writer::text(std::string_view value) {
  if (has_lone_surrogate(value)) return refuse("text with half of a surrogate pair");
  append_json_string(out, value);
  return fits();
}

bool Writer::real(double value) {
  if (!std::isfinite(value)) return refuse(std::isnan(value) ? "NaN" : "infinite");
  append_json_real(out, value);
  return true;
}

bool Writer::big_integer(std::string_view bytes) {
  if (bytes.size() > kMaxJsonInteger)
    return refuse("an integer of more than " + std::to_string(kMaxJsonInteger) + " bytes");
  out += decimal(bytes);
  return fits();
}

bool Writer::list(const Value& value) {
  out += '[';
  std::uint64_t number = 0;
  for (const Index item : pickle_.items(value)) {
    if (number > 0) out += ',';
    path_.push_back({.index = number++});
    if (!write(item)) return false;
    path_.pop_back();
  }
  out += ']';
  return fits();
}

bool Writer::object(const Value& value) {
  out += '{';
  const std::vector<Index>& items = pickle_.items(value);
  for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
    const Value& key = pickle_.value(items[i]);
    if (key.kind != Kind::Str) return refuse("a dict with a key that is not a str");
    if (i > 0) out += ',';
    if (!text(key.text)) return false;
    path_.push_back({.key = key.text, .in_dict = true});
    out += ':';
    if (!write(items[i + 1])) return false;
    path_.pop_back();
  }
  out += '}';
  return fits();
}

bool Writer::element(const NumpyValue& value, std::uint64_t at) {
  if (value.objects != nullptr) return write((*value.objects)[at]);
  if (!append_numpy_element(out, value, at)) return refuse("NaN or infinite");
  return fits();
}

// The elements under one index of `dimension`, the first of which is number `first`; `step` of the dimension before.
bool Writer::array(const NumpyValue& value, std::size_t dimension, std::uint64_t first, std::uint64_t step) {
  if (dimension == value.shape.size()) return element(value, first);
  const std::size_t deeper = dimension > 0 ? 1 : 0;  // the first is the array itself
  if (depth_ + deeper > kMaxJsonNesting) return too_deep();
  depth_ += deeper;
  const std::uint64_t size = value.shape[dimension];
  const std::uint64_t inner = value.by_columns ? step : size == 0 ? 0 : step / size;
  const std::uint64_t next = value.by_columns ? step * size : inner;
  out += '[';
  for (std::uint64_t i = 0; i < size; ++i) {
    if (i > 0) out += ',';
    path_.push_back({.index = i});
    if (!array(value, dimension + 1, first + i * inner, next)) return false;
    path_.pop_back();
  }
  depth_ -= deeper;
  out += ']';
  return fits();
}

bool Writer::call(const Value& value) {
  const auto numpy = read_numpy(pickle_, value);
  if (!numpy) return refuse(numpy.error().message);
  if (*numpy) return array(**numpy, 0, 0, (*numpy)->by_columns ? 1 : (*numpy)->count);
  constexpr std::size_t kShownName = 128;
  const Value& what = pickle_.value(pickle_.items(value)[0]);
  return refuse(what.kind == Kind::Global ? "an object made by " + std::string(what.text.substr(0, kShownName))
                                          : "an object of a class");
}

bool Writer::write(Index at) {
  const Value& value = pickle_.value(at);
  switch (value.kind) {
    case Kind::None: out += "null"; return true;
    case Kind::Bool: out += value.integer != 0 ? "true" : "false"; return true;
    case Kind::Int: out += std::to_string(value.integer); return true;
    case Kind::BigInt: return big_integer(value.text);
    case Kind::Float: return real(value.real);
    case Kind::Str: return text(value.text);
    case Kind::Bytes: return refuse("bytes");
    case Kind::Set: return refuse("a set");
    case Kind::Global: return refuse("a function or a class");
    case Kind::List:
    case Kind::Tuple: return nested(&Writer::list, value);
    case Kind::Dict: return nested(&Writer::object, value);
    case Kind::Call: return nested(&Writer::call, value);
  }
  return refuse("of a kind that is not known");
}

}  // namespace

void append_json_real(std::string& out, double value) {
  std::array<char, 32> digits;
  const char* end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  const std::string_view text(digits.data(), static_cast<std::size_t>(end - digits.data()));
  out += text;
  if (text.find_first_of(".e") == std::string_view::npos) out += ".0";
}

Result<std::string> pickle_to_json(std::string_view pickle) {
  if (pickle.size() > kMaxJsonPickle)
    return fail(Code::TooLarge, "result is a pickle of more than " + std::to_string(kMaxJsonPickle) + " bytes");
  PlainPickle plain;
  if (auto read = plain.read(pickle); !read) {
    Error error = std::move(read.error());
    error.message = "result is not readable: " + error.message;
    return error;
  }
  Writer writer(plain);
  if (!writer.write(plain.root())) return std::move(writer.error);
  return std::move(writer.out);
}

}  // namespace treadle::gateway

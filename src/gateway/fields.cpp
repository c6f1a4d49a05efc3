#include "gateway/fields.h"

#include <algorithm>
#include <cmath>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "gateway/errors.h"
#include "gateway/time_text.h"

namespace treadle::gateway {
namespace {

namespace json = boost::json;

// What was sent, short enough for a sentence.
std::string shown(const json::value& value) {
  constexpr std::size_t kMost = 60;
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  const std::string text = json::serialize(value);
  return text.size() <= kMost ? text : text.substr(0, kMost) + "...";
}

std::string number_text(double value) {
  const auto whole = static_cast<std::int64_t>(value);
  return static_cast<double>(whole) == value ? std::to_string(whole) : std::to_string(value);
}

}  // namespace

void FieldReader::fail_with(Error error) {
  if (!error_) error_ = std::move(error);
}

void FieldReader::wrong(std::string_view name, const std::string& should_be) {
  const json::value* value = object_.if_contains({name.data(), name.size()});
  fail_with(fail(Code::Invalid, full(name) + " must be " + should_be +
                                    (value == nullptr ? std::string(".") : ", not " + shown(*value) + ".")));
}

void FieldReader::need(std::string_view name, bool there) {
  if (!there) fail_with(fail(Code::Invalid, "The field " + full(name) + " is missing."));
}

const json::value* FieldReader::any(std::string_view name) {
  known_.push_back(name);
  const json::value* value = object_.if_contains({name.data(), name.size()});
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::optional<std::string_view> FieldReader::text(std::string_view name, std::size_t most_bytes) {
  const json::value* value = any(name);
  if (value == nullptr) return std::nullopt;
  const json::string* text = value->if_string();
  if (text == nullptr || text->empty() || text->size() > most_bytes) {
    wrong(name, "a string of 1 to " + std::to_string(most_bytes) + " bytes");
    return std::nullopt;
  }
  return std::string_view(text->data(), text->size());
}

std::optional<std::string_view> FieldReader::word(std::string_view name,
                                                  std::initializer_list<std::string_view> words) {
  const json::value* value = any(name);
  if (value == nullptr) return std::nullopt;
  std::string all;
  const json::string* text = value->if_string();
  for (const std::string_view one : words) {
    if (text != nullptr && std::string_view(text->data(), text->size()) == one) return one;
    all += (all.empty() ? "\"" : " or \"") + std::string(one) + '"';
  }
  wrong(name, all);
  return std::nullopt;
}

std::optional<std::int64_t> FieldReader::integer(std::string_view name, std::int64_t least, std::int64_t most) {
  const json::value* value = any(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_int64() && value->get_int64() >= least && value->get_int64() <= most) return value->get_int64();
  wrong(name, "an integer from " + std::to_string(least) + " to " + std::to_string(most));
  return std::nullopt;
}

std::optional<std::int64_t> FieldReader::milliseconds(std::string_view name, double most_seconds, bool zero) {
  const json::value* value = any(name);
  if (value == nullptr) return std::nullopt;
  double seconds = -1;
  if (value->is_int64()) seconds = static_cast<double>(value->get_int64());
  if (value->is_double()) seconds = value->get_double();
  if (seconds >= 0 && seconds <= most_seconds && (zero || seconds > 0))
    return static_cast<std::int64_t>(std::ceil(seconds * 1000 - 1e-6));
  wrong(name, "a number of seconds " + std::string(zero ? "from 0 to " : "over 0, up to ") + number_text(most_seconds));
  return std::nullopt;
}

std::optional<WallMs> FieldReader::instant(std::string_view name) {
  const auto given = text(name, kMaxTimeText);
  if (!given) return std::nullopt;
  const auto time = parse_rfc3339(*given);
  if (!time) wrong(name, "a time as in RFC 3339, like 2026-11-25T18:07:46Z");
  return time;
}

bool FieldReader::flag(std::string_view name) {
  const json::value* value = any(name);
  if (value == nullptr) return false;
  if (!value->is_bool()) wrong(name, "true or false");
  return value->is_bool() && value->get_bool();
}

const json::object* FieldReader::object(std::string_view name) {
  const json::value* value = any(name);
  if (value == nullptr) return nullptr;
  if (!value->is_object()) wrong(name, "an object");
  return value->if_object();
}

const json::array* FieldReader::array(std::string_view name) {
  const json::value* value = any(name);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) wrong(name, "a list");
  return value->if_array();
}

Result<void> FieldReader::finish() {
  if (error_) return std::move(*error_);
  for (const auto& member : object_) {
    const std::string_view name(member.key().data(), member.key().size());
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    constexpr std::size_t kMostName = 64;
    return unknown_name("field", where_ + std::string(name.substr(0, kMostName)), name, known_);
  }
  return {};
}

}  // namespace treadle::gateway

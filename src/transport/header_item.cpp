// One item of a header's list.
#include <limits>
#include <utility>

#include <boost/json/array.hpp>

#include "core/limits.h"
#include "transport/header_reader.h"

namespace treadle::transport {
namespace {

namespace json = boost::json;

constexpr std::size_t kFirstOwnFrame = 3;
constexpr std::string_view kWantsPayload =
    "its size in frame 2, [frame] with a number from 3 on, or [SHA-256, size] of what is to be pulled";

std::string place_name(std::string_view list, std::uint32_t index, std::size_t place, std::string_view name) {
  std::string out(list);
  out += '[' + std::to_string(index) + "] place " + std::to_string(place) + " (";
  out += name;
  return out + ')';
}

}  // namespace

void Item::complain(std::size_t place, std::string_view name, std::string_view want) {
  reader_.complain(place_name(list_, index_, place, name), at(place), want);
}

core::Held Item::held() {
  core::Held held;
  held.task = TaskId(uuid(0, "task"));
  const json::value* token = at(1);
  if (token && token->is_string()) held.token.value = parse_hex(view_of(token->get_string())).value_or(0);
  if (!held.token) complain(1, "token", "16 hex digits, not all of them 0");
  return held;
}

Uuid Item::uuid(std::size_t place, std::string_view name) {
  const json::value* value = at(place);
  if (value && value->is_string()) {
    if (const auto id = parse_uuid(view_of(value->get_string()))) return *id;
  }
  complain(place, name, "a UUID as text");
  return {};
}

Digest Item::digest(std::size_t place, std::string_view name) {
  const json::value* value = at(place);
  if (value && value->is_string()) {
    if (const auto digest = parse_digest(view_of(value->get_string()))) return *digest;
  }
  complain(place, name, "64 hex digits");
  return {};
}

std::uint64_t Item::number(std::size_t place, std::string_view name, std::uint64_t max) {
  const json::value* value = at(place);
  std::uint64_t number = 0;
  if (!value || (to_unsigned(*value, number) && number <= max)) return number;
  complain(place, name, "a whole number from 0 to " + std::to_string(max));
  return 0;
}

core::PayloadFacts Item::facts(std::size_t place) {
  const auto bits = static_cast<std::uint32_t>(number(place, "facts", std::numeric_limits<std::uint32_t>::max()));
  const auto facts = core::PayloadFacts::unpack(bits);
  if (facts.serializer <= core::Serializer::Json) return facts;
  complain(place, "facts", "a number whose low 4 bits are 0 (pickle), 1 (source) or 2 (JSON)");
  return {};
}

bool Item::flag(std::size_t place, std::string_view name) {
  const json::value* value = at(place);
  if (!value) return false;
  if (!value->is_bool()) complain(place, name, "true or false");
  return value->is_bool() && value->get_bool();
}

std::string_view Item::text(std::size_t place, std::string_view name) {
  const json::value* value = at(place);
  if (value && value->is_string()) return view_of(value->get_string());
  if (value) complain(place, name, "a text");
  return {};
}

std::int64_t Item::signed_number(const json::array& list, std::size_t place, std::int64_t most) {
  if (place >= list.size()) return 0;
  const json::value& value = list[place];
  if (value.is_int64() && value.get_int64() <= most && value.get_int64() >= -most - 1) return value.get_int64();
  reader_.complain("header: " + std::string(list_) + "[" + std::to_string(index_) + "] measure " +
                   std::to_string(place) + " must be a whole number of at most " + std::to_string(most));
  return 0;
}

core::Measures Item::measures(std::size_t place) {
  const json::value* value = at(place);
  if (!value) return {};
  const json::array* list = value->if_array();
  if (!list) {
    complain(place, "measures", "a list of numbers");
    return {};
  }
  constexpr auto k64 = std::numeric_limits<std::int64_t>::max();
  constexpr auto k32 = std::numeric_limits<std::int32_t>::max();
  core::Measures m;
  m.started_ns = signed_number(*list, 0, k64);
  m.finished_ns = signed_number(*list, 1, k64);
  m.exit_code = static_cast<std::int32_t>(signed_number(*list, 2, k32));
  m.signal = static_cast<std::int32_t>(signed_number(*list, 3, k32));
  for (std::size_t i = 4; i < 6 && i < list->size(); ++i) {
    if (!to_unsigned((*list)[i], i == 4 ? m.peak_rss : m.cpu_us)) complain(place, "measures", "numbers of 0 or more");
  }
  return m;
}

Buffer Item::payload(std::size_t place, std::string_view name, Slot slot) {
  const json::value* value = at(place);
  std::uint64_t size = 0;
  if (!value) return {};
  if (const json::array* list = value->if_array()) return referred(*list, place, name, slot);
  if (!to_unsigned(*value, size)) {
    complain(place, name, kWantsPayload);
    return {};
  }
  if (size == 0) return {};
  if (auto bytes = reader_.next_of_pack(size)) return *std::move(bytes);
  reader_.complain("frame 2 (pack) ends inside " + place_name(list_, index_, place, name) + ", which has " +
                   std::to_string(size) + " bytes");
  return {};
}

Buffer Item::referred(const json::array& list, std::size_t place, std::string_view name, Slot slot) {
  std::uint64_t frame = 0;
  if (list.size() == 1 && to_unsigned(list[0], frame) && frame >= kFirstOwnFrame) {
    if (frame < reader_.frames_.size()) return reader_.frames_[frame];
    reader_.complain("header: " + place_name(list_, index_, place, name) + " is in frame " + std::to_string(frame) +
                     "; it must be in one of the message's " + std::to_string(reader_.frames_.size()) + " frames");
    return {};
  }
  if (list.size() == 2 && list[0].is_string()) {
    const auto digest = parse_digest(view_of(list[0].get_string()));
    std::uint64_t size = 0;
    if (digest && to_unsigned(list[1], size) && size > 0) {
      reader_.refs_.push_back({slot, *digest, size});
      return {};
    }
  }
  complain(place, name, kWantsPayload);
  return {};
}

}  // namespace treadle::transport

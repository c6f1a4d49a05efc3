#include "transport/header_reader.h"

#include <utility>

#include <boost/json/kind.hpp>
#include <boost/json/parser.hpp>

#include "core/limits.h"

namespace treadle::transport {
namespace {

namespace json = boost::json;
namespace limits = core::limits;

// Lists of items with a list or an object inside; more is nobody's message.
constexpr std::size_t kMaxDepth = 8;
constexpr std::size_t kParserRoom = 16u << 10;  // on the stack; a larger batch takes more from the heap
constexpr std::string_view kWantsNumber = "a whole number from 0 to ";
constexpr std::string_view kWantsHex = "16 hex digits";
constexpr std::string_view kWantsUuid = "a UUID as text";

std::string described(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return "null";
    case json::kind::bool_: return "true or false";
    case json::kind::int64: return std::to_string(value.get_int64());
    case json::kind::uint64: return std::to_string(value.get_uint64());
    case json::kind::double_: return "a number with a fraction or an exponent";
    case json::kind::string: return "another text";
    case json::kind::array: return "a list";
    case json::kind::object: return "an object";
  }
  return "unknown";
}

}  // namespace

bool to_unsigned(const json::value& value, std::uint64_t& number) {
  if (value.is_uint64()) {
    number = value.get_uint64();
    return true;
  }
  if (!value.is_int64() || value.get_int64() < 0) return false;
  number = static_cast<std::uint64_t>(value.get_int64());
  return true;
}

HeaderReader::HeaderReader(std::span<const Buffer> frames) : frames_(frames) { open(); }

void HeaderReader::open() {
  if (frames_.size() < 2) {
    return complain("a message has at least two frames, its type and a JSON header; this one has " +
                    std::to_string(frames_.size()));
  }
  if (frames_.size() > limits::kMaxFrames) {
    return complain("a message has at most " + std::to_string(limits::kMaxFrames) + " frames; this one has " +
                    std::to_string(frames_.size()));
  }
  const Buffer& header = frames_[1];
  if (header.size() > limits::kMaxFrame) {
    return complain("frame 1 (header) has " + std::to_string(header.size()) + " bytes; at most " +
                    std::to_string(limits::kMaxFrame) + " are taken");
  }
  json::error_code wrong;
  json::parse_options options;
  options.max_depth = kMaxDepth;
  unsigned char room[kParserRoom];
  json::parser parser({}, options, room);
  parser.reset(&resource_);
  parser.write(header.data(), header.size(), wrong);
  if (!wrong) root_ = parser.release();
  if (wrong) return complain("frame 1 (header) is not JSON that can be read: " + wrong.message());
  if (!root_.is_object()) return complain("frame 1 (header) must be a JSON object, not " + described(root_));
  check_protocol();
}

void HeaderReader::check_protocol() {
  if (!has("protocol")) return;
  if (const std::uint64_t theirs = number("protocol"); !failed() && theirs != kProtocol) {
    complain("header: 'protocol' is " + std::to_string(theirs) + ", and this program speaks protocol " +
             std::to_string(kProtocol) + ": run the same version of treadle on both sides");
  }
}

void HeaderReader::complain(std::string where, const json::value* got, std::string_view want) {
  if (failed()) return;
  complain("header: " + std::move(where) + (got ? " is " + described(*got) : " is missing") + "; it must be " +
           std::string(want));
}

const json::value* HeaderReader::find(std::string_view name) const {
  const json::object* object = root_.if_object();
  return object ? object->if_contains(json::string_view(name.data(), name.size())) : nullptr;
}

std::uint64_t HeaderReader::number(std::string_view name, std::uint64_t max) {
  const json::value* value = find(name);
  std::uint64_t number = 0;
  if (!value || (to_unsigned(*value, number) && number <= max)) return number;
  complain("'" + std::string(name) + "'", value, std::string(kWantsNumber) + std::to_string(max));
  return 0;
}

Duration HeaderReader::milliseconds(std::string_view name) {
  return std::chrono::milliseconds(number(name, kMaxMilliseconds));
}

bool HeaderReader::flag(std::string_view name) {
  const json::value* value = find(name);
  if (!value) return false;
  if (!value->is_bool()) complain("'" + std::string(name) + "'", value, "true or false");
  return value->is_bool() && value->get_bool();
}

std::string_view HeaderReader::text(std::string_view name, bool required) {
  const json::value* value = find(name);
  if (value && value->is_string()) return view_of(value->get_string());
  if (value || required) complain("'" + std::string(name) + "'", value, "a text");
  return {};
}

Uuid HeaderReader::uuid(std::string_view name, bool required) {
  const json::value* value = find(name);
  if (!value && !required) return {};
  if (value && value->is_string()) {
    if (const auto id = parse_uuid(view_of(value->get_string()))) return *id;
  }
  complain("'" + std::string(name) + "'", value, kWantsUuid);
  return {};
}

std::uint64_t HeaderReader::hex(std::string_view name, bool required) {
  const json::value* value = find(name);
  if (!value && !required) return 0;
  if (value && value->is_string()) {
    if (const auto number = parse_hex(view_of(value->get_string()))) return *number;
  }
  complain("'" + std::string(name) + "'", value, kWantsHex);
  return 0;
}

Digest HeaderReader::digest(std::string_view name) {
  const json::value* value = find(name);
  if (value && value->is_string()) {
    if (const auto digest = parse_digest(view_of(value->get_string()))) return *digest;
  }
  complain("'" + std::string(name) + "'", value, "64 hex digits");
  return {};
}

const json::array* HeaderReader::list_at(std::string_view name) {
  const json::value* value = find(name);
  if (!value) return nullptr;
  if (!value->is_array()) complain("'" + std::string(name) + "'", value, "a list");
  return value->if_array();
}

const json::array* HeaderReader::item_at(std::string_view name, const json::array& items, std::size_t index) {
  const json::value& item = items[index];
  if (!item.is_array()) complain(std::string(name) + "[" + std::to_string(index) + "]", &item, "a list");
  return item.if_array();
}

std::vector<std::string> HeaderReader::texts(std::string_view name) {
  std::vector<std::string> found;
  const json::array* items = list_at(name);
  for (std::size_t i = 0; items && i < items->size(); ++i) {
    const json::value& item = (*items)[i];
    if (!item.is_string()) complain(std::string(name) + "[" + std::to_string(i) + "]", &item, "a text");
    if (failed()) return {};
    found.emplace_back(view_of(item.get_string()));
  }
  return found;
}

std::vector<Digest> HeaderReader::digests(std::string_view name) {
  std::vector<Digest> found;
  for (const std::string& text : texts(name)) {
    const auto digest = parse_digest(text);
    if (!digest) {
      complain("header: " + std::string(name) + "[" + std::to_string(found.size()) + "] must be 64 hex digits");
      return {};
    }
    found.push_back(*digest);
  }
  return found;
}

std::optional<Buffer> HeaderReader::next_of_pack(std::uint64_t size) {
  const std::size_t left = frames_.size() > 2 ? frames_[2].size() - pack_used_ : 0;
  if (size > left) return std::nullopt;
  const std::string_view bytes = frames_[2].view().substr(pack_used_, size);
  pack_used_ += size;
  return Buffer::of(std::string(bytes));  // a copy: a slice would keep the whole frame alive
}

}  // namespace treadle::transport

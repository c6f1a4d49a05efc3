// Reads a message of any sender. Each reading function gives the value, or zero after a complaint; the first complaint
// is kept, and names the member or place, what stood there and what must stand there. Look at failed() once, at the
// end.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/monotonic_resource.hpp>
#include <boost/json/value.hpp>

#include "base/result.h"
#include "core/message.h"
#include "transport/codec.h"

namespace treadle::transport {

inline constexpr std::uint64_t kMaxMilliseconds = 9'000'000'000'000;  // 285 years: what a Duration can hold

class HeaderReader;

// One item of a list of the header: a JSON list whose places have fixed meanings. A place beyond its end is zero.
class Item {
 public:
  Item(HeaderReader& reader, std::string_view list, std::size_t index, const boost::json::array& places)
      : reader_(reader), list_(list), index_(static_cast<std::uint32_t>(index)), places_(places) {}
  std::uint32_t index() const { return index_; }
  std::size_t size() const { return places_.size(); }
  core::Held held();  // places 0 and 1
  Uuid uuid(std::size_t place, std::string_view name);
  Digest digest(std::size_t place, std::string_view name);
  std::uint64_t number(std::size_t place, std::string_view name, std::uint64_t max);
  core::PayloadFacts facts(std::size_t place);
  bool flag(std::size_t place, std::string_view name);
  std::string_view text(std::size_t place, std::string_view name);
  core::Measures measures(std::size_t place);
  // The payload that the place describes; empty if it is a reference, which is noted for `slot`.
  Buffer payload(std::size_t place, std::string_view name, Slot slot);
  void complain(std::size_t place, std::string_view name, std::string_view want);

 private:
  const boost::json::value* at(std::size_t place) const { return place < places_.size() ? &places_[place] : nullptr; }
  std::int64_t signed_number(const boost::json::array& list, std::size_t place, std::int64_t most);
  Buffer referred(const boost::json::array& list, std::size_t place, std::string_view name, Slot slot);

  HeaderReader& reader_;
  std::string_view list_;
  std::uint32_t index_;
  const boost::json::array& places_;
};

class HeaderReader {
 public:
  explicit HeaderReader(std::span<const Buffer> frames);
  HeaderReader(const HeaderReader&) = delete;
  HeaderReader& operator=(const HeaderReader&) = delete;

  bool failed() const { return !complaint_.empty(); }
  Error error() const { return fail(Code::Invalid, complaint_); }
  void complain(std::string sentence) {
    if (complaint_.empty()) complaint_ = std::move(sentence);
  }

  std::string_view type() const { return frames_[0].view(); }
  bool has(std::string_view name) const { return find(name) != nullptr; }
  // Members of the header. One that is not there is zero, unless it is `required`.
  std::uint64_t number(std::string_view name, std::uint64_t max = std::numeric_limits<std::uint64_t>::max());
  std::uint32_t small(std::string_view name) {
    return static_cast<std::uint32_t>(number(name, std::numeric_limits<std::uint32_t>::max()));
  }
  Duration milliseconds(std::string_view name);
  bool flag(std::string_view name);
  std::string_view text(std::string_view name, bool required = false);
  Uuid uuid(std::string_view name, bool required = false);
  std::uint64_t hex(std::string_view name, bool required = false);  // 16 digits
  Digest digest(std::string_view name);                             // required
  std::vector<std::string> texts(std::string_view name);
  template <class Each>
  void list(std::string_view name, Each each) {
    const boost::json::array* items = list_at(name);
    for (std::size_t i = 0; items && i < items->size() && !failed(); ++i) {
      if (const boost::json::array* places = item_at(name, *items, i)) {
        Item item(*this, name, i, *places);
        each(item);
      }
    }
  }
  std::vector<Digest> digests(std::string_view name);
  std::size_t size_of_list(std::string_view name) {
    const boost::json::array* items = list_at(name);
    return items ? items->size() : 0;
  }

  std::size_t frames() const { return frames_.size(); }
  Buffer frame(std::size_t index) const { return frames_[index]; }
  std::vector<BlobRef> take_refs() { return std::move(refs_); }

 private:
  friend class Item;
  void open();
  void check_protocol();
  const boost::json::value* find(std::string_view name) const;
  const boost::json::array* list_at(std::string_view name);
  const boost::json::array* item_at(std::string_view name, const boost::json::array& items, std::size_t index);
  void complain(std::string where, const boost::json::value* got, std::string_view want);
  std::optional<Buffer> next_of_pack(std::uint64_t size);  // nothing: the pack is shorter

  static constexpr std::size_t kFirstMemory = 64u << 10;  // on the stack: enough for a full batch
  unsigned char memory_[kFirstMemory];
  boost::json::monotonic_resource resource_{memory_, sizeof memory_};
  std::span<const Buffer> frames_;
  boost::json::value root_;
  std::size_t pack_used_ = 0;
  std::vector<BlobRef> refs_;
  std::string complaint_;
};

inline std::string_view view_of(const boost::json::string& text) { return {text.data(), text.size()}; }
// False: not a whole number of 0 or more.
bool to_unsigned(const boost::json::value& value, std::uint64_t& number);

}  // namespace treadle::transport

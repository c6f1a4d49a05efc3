// The unpickler's stack and memo without Python objects: each operation checks what CPython would need, and keeps only
// kinds, weights and names. No recursion; memory is bounded by the limits below, whatever the stream says.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/payload.h"
#include "core/pickle_stack.h"
#include "core/pickle_value.h"

namespace treadle::core {

// Values and marks at once: a tuple lies there whole, but equal atoms in a row take one place. 12 bytes each.
inline constexpr std::size_t kMaxPickleStack = 16u << 20;
// Memo entries, 8 bytes each: more than 128 MiB of distinct strings have.
inline constexpr std::size_t kMaxPickleMemo = 32u << 20;
// hash() of nested tuples recurses in C; 8 MiB of stack hold more than ten times as many.
inline constexpr std::uint16_t kMaxPickleHashDepth = 10'000;
// Values that may be hashed while loading: this many, and so many for each byte that was read. hash() of a tuple is not
// cached.
inline constexpr double kMaxPickleHashed = 1e7, kMaxPickleHashedPerByte = 64;
// Values that nested lists and tuples reach, shared ones counted again ("billion laughs"). One list used n times in a
// payload is far below: only sharing inside sharing gets there.
inline constexpr double kMaxPickleReached = 1e8, kMaxPickleReachedPerByte = 1e5;

class PickleMachine {
 public:
  // nullptr: all is well. Else the rest of a sentence that begins with the opcode, e.g. "takes more values than there
  // are".
  using Fault = const char*;

  void clear();
  void set_offset(std::uint64_t offset) {
    offset_ = offset;
  }  // of the operation that follows; some limits grow with it

  Fault push_atoms(PickleKind kind, std::uint32_t count);
  Fault push(PickleKind kind, std::uint8_t tag = pickle_tag::kNothing, std::uint16_t depth = 0, float weight = 1);
  Fault put(std::uint64_t index);
  Fault memoize() { return put(memo_.size()); }
  Fault get(std::uint64_t index);
  Fault mark();
  Fault pop();
  Fault pop_mark();
  Fault dup();
  Fault tuple_of(std::size_t count);
  Fault tuple();
  Fault frozenset();
  Fault append();
  Fault appends();
  Fault setitem();
  Fault setitems();
  Fault additems();
  Fault global(std::uint8_t module, std::uint8_t name);  // pickle_name() of each
  Fault stack_global();
  Fault reduce();
  Fault newobj(bool keywords);
  Fault build();
  Fault stop(PickleValue& root);  // exactly one value and no mark

  // names_*, pythons; the rest is the caller's.
  const PayloadFacts& facts() const { return facts_; }
  bool only_data() const { return only_data_; }  // no global, so no call either

 private:
  struct Entry {  // of the memo
    PickleKind kind;
    std::uint8_t tag;
    std::uint16_t depth : 15;
    std::uint16_t
        open : 1;  // its original still lies on the stack: a reference to it closes a cycle, and weighs nothing more
    float weight;
  };
  struct Folded {
    std::uint64_t items = 0;
    double weight = 0;
    std::uint16_t depth = 0;
  };

  std::size_t floor() { return marks_.empty() ? 0 : marks_.back(); }
  bool take(PickleValue& value);  // false: nothing above the mark
  void close(const PickleValue& value);
  Folded fold(std::size_t from);       // takes all values from there to the top
  Fault open_mark(std::size_t& from);  // ends the mark; its values begin at `from`
  Fault push_tuple(std::size_t from);
  std::uint8_t shape_of(std::size_t from);
  std::uint8_t code_shape(std::size_t from, std::uint64_t items);
  Fault add_to(PickleKind kind, const Folded& more);  // to the container on top
  bool accepts(PickleKind kind);                      // the value on top is one, or opaque
  Fault hash_key(const PickleValue& key);
  Fault hash_all(std::size_t from, bool pairs);
  Fault check_reached(double weight) const;
  void note_pythons(std::uint8_t shape);

  PickleStack<PickleValue, 64> stack_;
  PickleStack<Entry, 64> memo_;
  PickleStack<std::uint32_t, 16> marks_;  // size of stack_ when each was set; never falls
  std::uint64_t offset_ = 0;
  double hashed_ = 0;
  PayloadFacts facts_;
  bool pythons_conflict_ = false;  // code objects that no one Python can run: then none is named
  bool only_data_ = true;
};

}  // namespace treadle::core

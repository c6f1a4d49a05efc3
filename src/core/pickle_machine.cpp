#include "core/pickle_machine.h"

#include <algorithm>

namespace treadle::core {
namespace {

constexpr std::uint16_t kDepthTop = 0x7fff;
constexpr const char* kTooFew = "takes more values than there are";
constexpr const char* kNoMark = "needs a MARK and there is none";
constexpr const char* kFull = "puts more values on the stack than the verifier allows";

std::uint16_t deeper(std::uint16_t depth) {
  return depth < kDepthTop ? static_cast<std::uint16_t>(depth + 1) : kDepthTop;
}
bool opaque(PickleKind kind) { return kind == PickleKind::Global || kind == PickleKind::Call; }

}  // namespace

void PickleMachine::clear() {
  stack_.clear();
  memo_.clear();
  marks_.clear();
  offset_ = 0;
  hashed_ = 0;
  facts_ = {};
  pythons_conflict_ = false;
  only_data_ = true;
}

PickleMachine::Fault PickleMachine::push_atoms(PickleKind kind, std::uint32_t count) {
  if (stack_.size() > floor() && stack_.back().kind == kind) {
    stack_.back().link += count;  // no overflow: a payload would need 4 GiB for it
    return nullptr;
  }
  if (stack_.size() >= kMaxPickleStack) return kFull;
  stack_.push_back({kind, pickle_tag::kNothing, 0, 1, count - 1});
  return nullptr;
}

PickleMachine::Fault PickleMachine::push(PickleKind kind, std::uint8_t tag, std::uint16_t depth, float weight) {
  if (stack_.size() >= kMaxPickleStack) return kFull;
  stack_.push_back({kind, tag, depth, weight, 0});
  return nullptr;
}

bool PickleMachine::take(PickleValue& value) {
  if (stack_.size() <= floor()) return false;
  PickleValue& top = stack_.back();
  value = top;
  if (top.is_atom() && top.link > 0) {
    --top.link;
    value.link = 0;
    return true;
  }
  stack_.pop_back();
  close(value);
  return true;
}

void PickleMachine::close(const PickleValue& value) {
  if (!value.is_atom() && value.link & PickleValue::kOwner) memo_[(value.link & ~PickleValue::kOwner) - 1].open = 0;
}

PickleMachine::Folded PickleMachine::fold(std::size_t from) {
  Folded folded;
  for (std::size_t i = from; i < stack_.size(); ++i) {
    const PickleValue& value = stack_[i];
    if (value.is_atom()) {
      folded.items += value.link + 1ull;
      folded.weight += value.link + 1.0;
      continue;
    }
    ++folded.items;
    folded.weight += value.weight;
    folded.depth = std::max(folded.depth, value.nesting());
    close(value);
  }
  stack_.cut(from);
  return folded;
}

PickleMachine::Fault PickleMachine::put(std::uint64_t index) {
  if (stack_.size() <= floor()) return "has no value to put into the memo";
  if (index > memo_.size()) return "leaves a gap in the memo";
  if (index >= kMaxPickleMemo) return "makes the memo greater than the verifier allows";
  PickleValue& top = stack_.back();
  // Setting an entry again is odd, and pickletools calls it an error; but CPython's own pickler does it for bound
  // methods and
  // __getnewargs_ex__ below protocol 4, and every Unpickler reads it.
  if (index == memo_.size()) memo_.push_back({});
  memo_[index] = {top.kind, top.tag, top.depth, !top.is_atom(), top.weight};
  if (!top.is_atom()) top.link = static_cast<std::uint32_t>(index + 1) | PickleValue::kOwner;
  return nullptr;
}

PickleMachine::Fault PickleMachine::get(std::uint64_t index) {
  if (index >= memo_.size()) return "gets a memo entry that is not set";
  const Entry& entry = memo_[index];
  if (entry.kind <= PickleKind::Float) return push_atoms(entry.kind, 1);
  if (stack_.size() >= kMaxPickleStack) return kFull;
  stack_.push_back(
      {entry.kind, entry.tag, entry.depth, entry.open ? 1 : entry.weight, static_cast<std::uint32_t>(index + 1)});
  return nullptr;
}

PickleMachine::Fault PickleMachine::mark() {
  if (marks_.size() >= kMaxPickleStack) return kFull;
  marks_.push_back(static_cast<std::uint32_t>(stack_.size()));
  return nullptr;
}

PickleMachine::Fault PickleMachine::open_mark(std::size_t& from) {
  if (marks_.empty()) return kNoMark;
  from = marks_.back();
  marks_.pop_back();
  return nullptr;
}

PickleMachine::Fault PickleMachine::pop() {
  PickleValue dropped;
  if (take(dropped)) return nullptr;
  if (marks_.empty()) return kTooFew;
  marks_.pop_back();
  return nullptr;
}

PickleMachine::Fault PickleMachine::pop_mark() {
  std::size_t from;
  if (const Fault fault = open_mark(from)) return fault;
  fold(from);
  return nullptr;
}

PickleMachine::Fault PickleMachine::dup() {
  if (stack_.size() <= floor()) return kTooFew;
  PickleValue copy = stack_.back();
  if (copy.is_atom()) return push_atoms(copy.kind, 1);
  if (stack_.size() >= kMaxPickleStack) return kFull;
  copy.link &= ~PickleValue::kOwner;
  stack_.push_back(copy);
  return nullptr;
}

PickleMachine::Fault PickleMachine::stop(PickleValue& root) {
  if (!marks_.empty()) return "leaves a MARK open";
  if (!take(root)) return kTooFew;
  if (!stack_.empty()) return "leaves more than one value";
  return nullptr;
}

PickleMachine::Fault PickleMachine::check_reached(double weight) const {
  if (weight <= kMaxPickleReached || weight <= kMaxPickleReachedPerByte * static_cast<double>(offset_)) return nullptr;
  return "shares values inside shared values until they count more than the verifier allows";
}

PickleMachine::Fault PickleMachine::push_tuple(std::size_t from) {
  const std::uint8_t shape = shape_of(from);
  const Folded items = fold(from);
  const double weight = items.weight + 1;
  if (const Fault fault = check_reached(weight)) return fault;
  return push(PickleKind::Tuple, shape, deeper(items.depth), static_cast<float>(weight));
}

PickleMachine::Fault PickleMachine::tuple() {
  std::size_t from;
  if (const Fault fault = open_mark(from)) return fault;
  return push_tuple(from);
}

PickleMachine::Fault PickleMachine::tuple_of(std::size_t count) {
  std::size_t from = stack_.size();
  while (count && from > floor()) {
    const PickleValue& value = stack_[from - 1];
    const std::size_t here = value.is_atom() ? value.link + std::size_t{1} : 1;
    if (here > count) break;
    count -= here;
    --from;
  }
  if (count == 0) return push_tuple(from);
  if (from <= floor()) return kTooFew;
  // The tuple begins inside a run of atoms: divide it.
  stack_[from - 1].link -= static_cast<std::uint32_t>(count);
  if (stack_.size() >= kMaxPickleStack) return kFull;
  stack_.push_back({stack_[from - 1].kind, pickle_tag::kNothing, 0, 1, static_cast<std::uint32_t>(count - 1)});
  for (std::size_t i = stack_.size() - 1; i > from; --i) std::swap(stack_[i], stack_[i - 1]);
  return push_tuple(from);
}

PickleMachine::Fault PickleMachine::hash_key(const PickleValue& key) {
  switch (key.kind) {
    case PickleKind::List:
    case PickleKind::Dict:
    case PickleKind::Set:
    case PickleKind::ByteArray: return "uses a list, dict, set or bytearray as a key, which cannot be hashed";
    default: break;
  }
  if (key.nesting() > kMaxPickleHashDepth) return "hashes tuples nested deeper than the verifier allows";
  hashed_ += key.is_atom() ? key.link + 1.0 : key.weight;
  if (hashed_ > kMaxPickleHashed + kMaxPickleHashedPerByte * static_cast<double>(offset_)) {
    return "hashes more shared values than the verifier allows";
  }
  return nullptr;
}

PickleMachine::Fault PickleMachine::hash_all(std::size_t from, bool pairs) {
  std::uint64_t place = 0;
  for (std::size_t i = from; i < stack_.size(); ++i) {
    const PickleValue& value = stack_[i];
    if (!pairs || place % 2 == 0) {
      if (const Fault fault = hash_key(value)) return fault;
    }
    place += value.is_atom() ? value.link + 1ull : 1;
  }
  return pairs && place % 2 ? "needs pairs and has an odd number of values" : nullptr;
}

PickleMachine::Fault PickleMachine::frozenset() {
  std::size_t from;
  if (const Fault fault = open_mark(from)) return fault;
  if (const Fault fault = hash_all(from, false)) return fault;
  const Folded items = fold(from);
  return push(PickleKind::FrozenSet, pickle_tag::kNothing, 1, static_cast<float>(items.weight + 1));
}

bool PickleMachine::accepts(PickleKind kind) {
  return stack_.size() > floor() && (stack_.back().kind == kind || opaque(stack_.back().kind));
}

PickleMachine::Fault PickleMachine::add_to(PickleKind kind, const Folded& more) {
  PickleValue& target = stack_.back();
  // An object or a dict weighs one: graphs of them share without end, and nothing walks all paths of them while
  // loading.
  if (kind == PickleKind::Dict || target.kind != kind) return nullptr;
  Entry* const entry = target.link ? &memo_[(target.link & ~PickleValue::kOwner) - 1] : nullptr;
  const double weight = (entry ? entry->weight : target.weight) + more.weight;
  target.weight = static_cast<float>(weight);
  if (entry) entry->weight = target.weight;
  return check_reached(weight);
}

PickleMachine::Fault PickleMachine::append() {
  PickleValue item;
  if (!take(item)) return kTooFew;
  if (!accepts(PickleKind::List)) return "has no list to add to";
  return add_to(PickleKind::List, {1, item.is_atom() ? 1.0 : item.weight, 0});
}

PickleMachine::Fault PickleMachine::appends() {
  std::size_t from;
  if (const Fault fault = open_mark(from)) return fault;
  const Folded items = fold(from);
  if (!accepts(PickleKind::List)) return "has no list to add to";
  return add_to(PickleKind::List, items);
}

PickleMachine::Fault PickleMachine::setitem() {
  PickleValue key, value;
  if (!take(value) || !take(key)) return kTooFew;
  if (!accepts(PickleKind::Dict)) return "has no dict to add to";
  return hash_key(key);
}

PickleMachine::Fault PickleMachine::setitems() {
  std::size_t from;
  if (const Fault fault = open_mark(from)) return fault;
  if (const Fault fault = hash_all(from, true)) return fault;
  fold(from);
  return accepts(PickleKind::Dict) ? nullptr : "has no dict to add to";
}

PickleMachine::Fault PickleMachine::additems() {
  std::size_t from;
  if (const Fault fault = open_mark(from)) return fault;
  if (const Fault fault = hash_all(from, false)) return fault;
  const Folded items = fold(from);
  if (!accepts(PickleKind::Set)) return "has no set to add to";
  return add_to(PickleKind::Set, items);
}

}  // namespace treadle::core

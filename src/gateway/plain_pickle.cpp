#include "gateway/plain_pickle.h"

#include <algorithm>
#include <bit>
#include <deque>
#include <optional>
#include <utility>

#include "core/pickle_opcodes.h"

namespace treadle::gateway {

using core::PickleForm;
namespace op = core::pickle_op;

// The unpickler's stack and memo over the tree. Every step answers whether it was possible.
class PlainPickleMachine {
 public:
  using Kind = PlainPickle::Kind;
  using Index = PlainPickle::Index;
  using Value = PlainPickle::Value;

  PlainPickleMachine(PlainPickle& out, std::deque<std::string>& names) : out_(out), names_(names) {}

  bool run(unsigned char code, std::uint64_t number, std::string_view body);
  bool global(std::string_view module, std::string_view name);
  bool full() const { return std::max({out_.values_.size(), stack_.size(), marks_.size()}) >= kMaxPlainValues; }
  std::optional<Index> result() const {
    return marks_.empty() && stack_.size() == 1 ? std::optional<Index>(stack_.back()) : std::nullopt;
  }

 private:
  bool plain(unsigned char code);
  bool put(std::uint64_t place);
  bool get(std::uint64_t place);
  bool pop(Index& value);
  bool pop_mark(std::vector<Index>& values);
  bool add(std::vector<Index> more);
  bool container(Kind kind, std::vector<Index> items);
  bool tuple_of(std::size_t count);
  bool since_mark(Kind kind);
  bool call(bool keywords);
  bool build();
  bool stack_global();
  bool integer(std::int64_t value) { return push({.kind = Kind::Int, .integer = value}); }
  bool long_integer(std::string_view body);
  bool push(Value value) {
    out_.values_.push_back(value);
    stack_.push_back(static_cast<Index>(out_.values_.size() - 1));
    return true;
  }
  bool text(Kind kind, std::string_view body) { return push({.kind = kind, .text = body}); }
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  PlainPickle& out_;
  std::deque<std::string>& names_;
  std::vector<Index> stack_;
  std::vector<std::size_t> marks_;
  std::vector<Index> memo_;
};

bool PlainPickleMachine::pop(Index& value) {
  if (stack_.size() <= floor()) return false;
  value = stack_.back();
  stack_.pop_back();
  return true;
}

bool PlainPickleMachine::pop_mark(std::vector<Index>& values) {
  if (marks_.empty()) return false;
  values.assign(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
  stack_.resize(marks_.back());
  marks_.pop_back();
  return true;
}

bool PlainPickleMachine::put(std::uint64_t place) {
  if (stack_.size() <= floor() || place >= kMaxPlainValues) return false;
  constexpr Index kNothing = ~Index{0};
  if (place >= memo_.size()) memo_.resize(place + 1, kNothing);
  memo_[place] = stack_.back();
  return true;
}

bool PlainPickleMachine::get(std::uint64_t place) {
  if (place >= memo_.size() || memo_[place] >= out_.values_.size()) return false;
  stack_.push_back(memo_[place]);
  return true;
}

bool PlainPickleMachine::container(Kind kind, std::vector<Index> items) {
  out_.items_.push_back(std::move(items));
  return push({.kind = kind, .items = static_cast<std::uint32_t>(out_.items_.size() - 1)});
}

bool PlainPickleMachine::tuple_of(std::size_t count) {
  if (stack_.size() < floor() + count) return false;
  std::vector<Index> items(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
  stack_.resize(stack_.size() - count);
  return container(Kind::Tuple, std::move(items));
}

bool PlainPickleMachine::since_mark(Kind kind) {
  std::vector<Index> items;
  return pop_mark(items) && container(kind, std::move(items));
}

// To the container on top. What a call made keeps its items to itself.
bool PlainPickleMachine::add(std::vector<Index> more) {
  if (stack_.size() <= floor()) return false;
  const Value& to = out_.values_[stack_.back()];
  if (to.kind == Kind::Call) return true;
  if (to.kind != Kind::List && to.kind != Kind::Dict && to.kind != Kind::Set) return false;
  std::vector<Index>& items = out_.items_[to.items];
  items.insert(items.end(), more.begin(), more.end());
  return true;
}

bool PlainPickleMachine::call(bool keywords) {
  Index ignored, args, what;
  if (keywords && !pop(ignored)) return false;
  return pop(args) && pop(what) && container(Kind::Call, {what, args});
}

bool PlainPickleMachine::build() {
  Index state;
  if (!pop(state) || stack_.size() <= floor()) return false;
  const Value& of = out_.values_[stack_.back()];
  if (of.kind != Kind::Call) return false;
  std::vector<Index>& items = out_.items_[of.items];
  items.resize(2);
  items.push_back(state);
  return true;
}

bool PlainPickleMachine::global(std::string_view module, std::string_view name) {
  if (module.size() + name.size() > kMaxGlobalName) return false;
  names_.push_back(std::string(module) + '.' + std::string(name));
  return text(Kind::Global, names_.back());
}

bool PlainPickleMachine::stack_global() {
  Index name, module;
  if (!pop(name) || !pop(module)) return false;
  const Value &of = out_.values_[module], &what = out_.values_[name];
  return of.kind == Kind::Str && what.kind == Kind::Str && global(of.text, what.text);
}

bool PlainPickleMachine::long_integer(std::string_view body) {
  if (body.size() > sizeof(std::int64_t)) return text(Kind::BigInt, body);
  std::uint64_t bits = !body.empty() && (static_cast<unsigned char>(body.back()) & 0x80) != 0 ? ~std::uint64_t{0} : 0;
  for (std::size_t i = body.size(); i-- > 0;) bits = bits << 8 | static_cast<unsigned char>(body[i]);
  return integer(static_cast<std::int64_t>(bits));
}

bool PlainPickleMachine::plain(unsigned char code) {
  Index value, key;
  std::vector<Index> items;
  switch (code) {
    case op::kMark: return marks_.push_back(stack_.size()), true;
    case op::kPop: return stack_.size() > floor() ? pop(value) : pop_mark(items);
    case op::kPopMark: return pop_mark(items);
    case op::kDup: return pop(value) && (stack_.push_back(value), stack_.push_back(value), true);
    case op::kNone: return push({});
    case op::kTrue: return push({.kind = Kind::Bool, .integer = 1});
    case op::kFalse: return push({.kind = Kind::Bool, .integer = 0});
    case op::kEmptyList: return container(Kind::List, {});
    case op::kEmptyDict: return container(Kind::Dict, {});
    case op::kEmptySet: return container(Kind::Set, {});
    case op::kEmptyTuple: return container(Kind::Tuple, {});
    case op::kTuple: return since_mark(Kind::Tuple);
    case op::kTuple1: return tuple_of(1);
    case op::kTuple2: return tuple_of(2);
    case op::kTuple3: return tuple_of(3);
    case op::kFrozenSet: return since_mark(Kind::Set);
    case op::kAppend: return pop(value) && add({value});
    case op::kSetItem: return pop(value) && pop(key) && add({key, value});
    case op::kAppends:
    case op::kAddItems: return pop_mark(items) && add(std::move(items));
    case op::kSetItems: return pop_mark(items) && items.size() % 2 == 0 && add(std::move(items));
    case op::kReduce:
    case op::kNewObj: return call(/*keywords=*/false);
    case op::kNewObjEx: return call(/*keywords=*/true);
    case op::kBuild: return build();
    case op::kStackGlobal: return stack_global();
    case op::kMemoize: return put(memo_.size());
    default: return false;
  }
}

bool PlainPickleMachine::run(unsigned char code, std::uint64_t number, std::string_view body) {
  switch (code) {
    case op::kProto:
    case op::kFrame: return true;
    case op::kFloat8: return push({.kind = Kind::Float, .real = std::bit_cast<double>(__builtin_bswap64(number))});
    case op::kInt1:
    case op::kInt2: return integer(static_cast<std::int64_t>(number));
    case op::kInt4: return integer(static_cast<std::int32_t>(static_cast<std::uint32_t>(number)));
    case op::kGet1:
    case op::kGet4: return get(number);
    case op::kPut1:
    case op::kPut4: return put(number);
    case op::kLong1:
    case op::kLong4: return long_integer(body);
    case op::kStr1:
    case op::kStr4:
    case op::kStr8: return text(Kind::Str, body);
    case op::kBytes1:
    case op::kBytes4:
    case op::kBytes8:
    case op::kByteArray8: return text(Kind::Bytes, body);
    default: return plain(code);
  }
}

namespace {

// Takes pieces off the front; false: there is not so much.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : left_(bytes) {}

  bool take(std::uint64_t size, std::string_view& piece) {
    if (left_.size() < size) return false;
    piece = left_.substr(0, size);
    left_.remove_prefix(size);
    return true;
  }
  bool number(unsigned bytes, std::uint64_t& value) {
    std::string_view piece;
    if (!take(bytes, piece)) return false;
    value = 0;
    for (std::size_t i = bytes; i-- > 0;) value = value << 8 | static_cast<unsigned char>(piece[i]);
    return true;
  }
  bool line(std::string_view& piece) {
    const std::size_t end = left_.find('\n');
    if (end == std::string_view::npos) return false;
    piece = left_.substr(0, end);
    left_.remove_prefix(end + 1);
    return true;
  }
  bool empty() const { return left_.empty(); }

 private:
  std::string_view left_;
};

bool has_body(PickleForm form) {
  return form == PickleForm::Body1 || form == PickleForm::Body4 || form == PickleForm::Body8;
}

// One opcode other than STOP.
bool step(PlainPickleMachine& machine, Cursor& at, unsigned char code) {
  const core::PickleOpcode& known = core::pickle_opcode(code);
  if (known.name == nullptr || known.form == PickleForm::Denied) return false;
  if (known.form == PickleForm::Lines) {
    std::string_view module, name;
    return at.line(module) && at.line(name) && machine.global(module, name);
  }
  std::uint64_t number = 0;
  std::string_view body;
  if (!at.number(core::pickle_number_bytes(known.form), number)) return false;
  if (has_body(known.form) && !at.take(number, body)) return false;
  return machine.run(code, number, body);
}

}  // namespace

Result<void> PlainPickle::read(std::string_view bytes) {
  PlainPickleMachine machine(*this, names_);
  Cursor at(bytes);
  std::string_view code;
  while (at.take(1, code) && static_cast<unsigned char>(code[0]) != op::kStop) {
    if (machine.full()) return fail(Code::TooLarge, "it has more than " + std::to_string(kMaxPlainValues) + " values");
    if (!step(machine, at, static_cast<unsigned char>(code[0])))
      return fail(Code::Invalid, "its pickle cannot be read");
  }
  const auto root = machine.result();
  if (code.empty() || static_cast<unsigned char>(code[0]) != op::kStop || !root)
    return fail(Code::Invalid, "its pickle cannot be read");
  root_ = *root;
  return {};
}

}  // namespace treadle::gateway

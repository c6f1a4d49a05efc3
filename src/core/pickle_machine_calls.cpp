// The part of the machine that knows calls and names: who makes functions and code objects, and what a payload needs to
// load.
#include "core/pickle_machine.h"

#include <algorithm>

#include "core/pickle_code.h"

namespace treadle::core {
namespace {

using namespace pickle_tag;

constexpr const char* kTooFew = "takes more values than there are";

bool callable(PickleKind kind) { return kind == PickleKind::Global || kind == PickleKind::Call; }
bool args(PickleKind kind) { return kind == PickleKind::Tuple || callable(kind); }
bool keywords_ok(PickleKind kind) { return kind == PickleKind::Dict || callable(kind); }

std::uint8_t role_of(std::uint8_t name) {
  switch (name) {
    case kNameMakesFunction: return kRoleMakesFunction;
    case kNameCreateCode:
    case kNameCodeType: return kRoleMakesCode;
    case kNameBuiltinType: return kRoleBuiltinType;
    default: return kNothing;
  }
}

}  // namespace

PickleMachine::Fault PickleMachine::global(std::uint8_t module, std::uint8_t name) {
  if (module == kNameUnfit || name == kNameUnfit) return "has an empty or too long name";
  only_data_ = false;
  facts_.names_main |= module == kNameMain || (module == kNameBuiltins && name == kNameMain);
  facts_.names_dill |= module == kNameDill;
  facts_.names_cloudpickle |= module == kNameCloudpickle;
  return push(PickleKind::Global, role_of(name));
}

PickleMachine::Fault PickleMachine::stack_global() {
  PickleValue module, name;
  if (!take(name) || !take(module)) return kTooFew;
  if (module.kind != PickleKind::Str || name.kind != PickleKind::Str) return "needs two strings";
  return global(module.tag, name.tag);
}

std::uint8_t PickleMachine::shape_of(std::size_t from) {
  const std::size_t places = stack_.size() - from;
  if (places == 1 && stack_[from].kind == PickleKind::Str) {
    if (stack_[from].tag == kNameMain) return kShapeMain;
    if (stack_[from].tag == kNameCodeType) return kShapeCodeType;
    return kNothing;
  }
  if (places == 2) {
    const bool shaped = stack_[from].kind == PickleKind::Tuple && stack_[from + 1].kind == PickleKind::Dict;
    return shaped ? std::uint8_t{kShapeArgs} : kNothing;
  }
  if (places < 8 || places > 19) return kNothing;  // 16 to 19 fields, six numbers of them in one place
  std::uint64_t items = 0;
  for (std::size_t i = from; i < stack_.size(); ++i) items += stack_[i].is_atom() ? stack_[i].link + 1ull : 1;
  return code_shape(from, items);
}

// 16 fields: Python 3.8 to 3.10 (dill puts lnotab before those of 3.10: 17). 18: 3.11 and later (dill: 19).
std::uint8_t PickleMachine::code_shape(std::size_t from, std::uint64_t items) {
  constexpr std::uint8_t kBefore310 = 3, k310 = 4, kLater = 8;
  constexpr std::size_t kLines = 7;  // the line table comes so many values after the bytecode
  if (items < 16 || items > 19) return kNothing;
  const std::size_t numbers = from + items % 2;
  if (stack_[numbers].kind != PickleKind::Int || stack_[numbers].link != 5) return kNothing;
  const PickleValue& code = stack_[numbers + 1];
  // Protocol 2 has no bytes, but calls that make them.
  const std::uint8_t walked = code.kind == PickleKind::Bytes ? code.tag : kUnreadCode;
  if (items >= 18) {
    const auto known = static_cast<std::uint8_t>(walked >> 3 & 15);
    return kShapeCode | kShapeCodeNew | (known ? known : kLater);
  }
  if (items == 17) return kShapeCode | k310;
  const std::size_t lines = numbers + 1 + kLines;
  const bool both = walked != kUnreadCode && lines < stack_.size() && stack_[lines].kind == PickleKind::Bytes;
  if (both && covers(stack_[lines].depth, code.depth)) return kShapeCode | k310;
  const std::uint8_t possible = both ? kBefore310 : kBefore310 | k310;
  return kShapeCode | (walked & possible ? walked & possible : possible);
}

void PickleMachine::note_pythons(std::uint8_t shape) {
  const std::uint8_t low = shape & 15;
  const auto pythons = static_cast<std::uint8_t>(shape & kShapeCodeNew ? low << 3 | (low & 8) << 4 : low);
  if (pythons_conflict_) return;
  facts_.pythons = facts_.pythons == 0 ? pythons : facts_.pythons & pythons;
  pythons_conflict_ = facts_.pythons == 0;
}

PickleMachine::Fault PickleMachine::reduce() {
  PickleValue arguments, callee;
  if (!take(arguments) || !take(callee)) return kTooFew;
  if (!callable(callee.kind)) return "calls a value that is no callable";
  if (!args(arguments.kind)) return "needs a tuple of arguments";
  const std::uint8_t shape = arguments.kind == PickleKind::Tuple ? arguments.tag : std::uint8_t{kNothing};
  if (shape == kShapeMain) facts_.names_main = true;  // import of __main__, however it is spelled
  std::uint8_t role = kNothing;
  if (callee.tag == kRoleMakesFunction) role = kRoleFunction;
  if (callee.tag == kRoleBuiltinType && shape == kShapeCodeType) role = kRoleMakesCode;
  if (callee.tag == kRoleMakesCode && shape & kShapeCode) note_pythons(shape);
  return push(PickleKind::Call, role, static_cast<std::uint16_t>(std::min(arguments.depth + 1, 0x7fff)));
}

PickleMachine::Fault PickleMachine::newobj(bool keywords) {
  PickleValue given, arguments, type;
  if (keywords && !take(given)) return kTooFew;
  if (!take(arguments) || !take(type)) return kTooFew;
  if (!callable(type.kind)) return "needs a class";
  if (!args(arguments.kind)) return "needs a tuple of arguments";
  if (keywords && !keywords_ok(given.kind)) return "needs a dict of keyword arguments";
  return push(PickleKind::Call, kNothing, static_cast<std::uint16_t>(std::min(arguments.depth + 1, 0x7fff)));
}

PickleMachine::Fault PickleMachine::build() {
  PickleValue state;
  if (!take(state)) return kTooFew;
  if (stack_.size() <= floor()) return kTooFew;
  return callable(stack_.back().kind) ? nullptr : "sets the state of a value that has none";
}

}  // namespace treadle::core

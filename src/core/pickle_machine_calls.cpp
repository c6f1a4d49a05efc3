// The part of the machine that knows calls and names: who makes functions and code objects, and what a payload needs to
// load.
#include "core/pickle_machine.h"

#include <algorithm>

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

// Of sound bytecode of exactly one Python.
std::uint8_t only_minor(std::uint8_t versions) {
  for (int bit = 0; bit < 8; ++bit) {
    if (versions == 1u << bit) return static_cast<std::uint8_t>(kBytecodeFirst + bit);
  }
  return 0;
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

// 16 fields: Python 3.8 to 3.10 (dill 0.3.6 puts lnotab before those of 3.10: 17). 18: 3.11 and later (dill: 19).
std::uint8_t PickleMachine::code_shape(std::size_t from, std::uint64_t items) {
  if (items < 16 || items > 19) return kNothing;
  const std::size_t numbers = from + items % 2;
  if (stack_[numbers].kind != PickleKind::Int || stack_[numbers].link != 5) return kNothing;
  if (items == 16) return kShapeCode;
  if (items == 17) return kShapeCode | 10;
  const PickleValue& bytecode = stack_[numbers + 1];
  return kShapeCode | (bytecode.kind == PickleKind::Bytes ? only_minor(bytecode.tag) : 0);
}

void PickleMachine::note_minor(std::uint8_t minor) {
  if (minor == 0 || minor_conflict_) return;
  minor_conflict_ = facts_.python_minor != 0 && facts_.python_minor != minor;
  facts_.python_minor = minor_conflict_ ? 0 : minor;
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
  if (callee.tag == kRoleMakesCode && shape & kShapeCode) note_minor(shape & (kShapeCode - 1));
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

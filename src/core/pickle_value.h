// What the verifier knows of a value without building it. Small and flat: one for each place on the stack of the
// unpickler.
#pragma once

#include <cstdint>

namespace treadle::core {

// Order matters: up to Float a value is an atom, equal ones beside each other share a place on the stack.
enum class PickleKind : std::uint8_t {
  None,
  Bool,
  Int,
  Float,
  BigInt,
  Str,
  Bytes,
  ByteArray,
  List,
  Tuple,
  Dict,
  Set,
  FrozenSet,
  Global,  // by reference: module and name
  Call,    // what a call gives (REDUCE, NEWOBJ): an instance, a function, anything
};

// One more thing worth knowing; what it means depends on the kind.
namespace pickle_tag {
inline constexpr std::uint8_t kNothing = 0;
// Of a Str: a name that matters, or why it can be none.
enum Name : std::uint8_t {
  kNameUnfit = 1,  // empty, or longer than kMaxPickleName
  kNameMain,
  kNameBuiltins,
  kNameDill,
  kNameCloudpickle,  // modules
  kNameMakesFunction,
  kNameCreateCode,
  kNameCodeType,
  kNameBuiltinType,  // of what the libraries call
};
// Of a Global or a Call: what it is or makes.
enum Role : std::uint8_t { kRoleMakesFunction = 1, kRoleMakesCode, kRoleBuiltinType, kRoleFunction };
// Of a Tuple.
enum Shape : std::uint8_t {
  kShapeArgs = 1,     // (tuple, dict): arguments of a task
  kShapeMain,         // ("__main__",)
  kShapeCodeType,     // ("CodeType",)
  kShapeCode = 0x20,  // fields of a code object; the low bits are the Python minor, 0 when not sure
};
// Of Bytes: bit n - kBytecodeFirst: sound bytecode of Python 3.n.
inline constexpr int kBytecodeFirst = 11;
}  // namespace pickle_tag

struct PickleValue {
  PickleKind kind = PickleKind::None;
  std::uint8_t tag = pickle_tag::kNothing;
  std::uint16_t depth = 0;  // tuples and calls inside each other, as hash() descends; saturates
  float weight = 1;         // values inside, each counted as often as it is reached
  std::uint32_t link =
      0;  // atom: how many more of it follow below; else place in the memo + 1, kOwner if it is the original

  static constexpr std::uint32_t kOwner = 1u << 31;
  bool is_atom() const { return kind <= PickleKind::Float; }
};

}  // namespace treadle::core

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
  kShapeArgs = 1,  // (tuple, dict): arguments of a task
  kShapeMain,      // ("__main__",)
  kShapeCodeType,  // ("CodeType",)
  // Fields of a code object. The low bits are the Pythons that it can be of: from 3.8 on, or from 3.11 on if
  // kShapeCodeNew is set; the last of these is 3.14 and all later ones.
  kShapeCode = 0x80,
  kShapeCodeNew = 0x40,
};
// Of Bytes: what bytecode_versions() says.
}  // namespace pickle_tag

struct PickleValue {
  PickleKind kind = PickleKind::None;
  std::uint8_t tag = pickle_tag::kNothing;
  std::uint16_t depth = 0;  // tuples and calls inside each other, as hash() descends; saturates. Bytes: code_lengths()
  float weight = 1;         // values inside, each counted as often as it is reached
  std::uint32_t link =
      0;  // atom: how many more of it follow below; else place in the memo + 1, kOwner if it is the original

  static constexpr std::uint32_t kOwner = 1u << 31;
  std::uint16_t nesting() const { return kind == PickleKind::Bytes ? std::uint16_t{0} : depth; }
  bool is_atom() const { return kind <= PickleKind::Float; }
};

}  // namespace treadle::core

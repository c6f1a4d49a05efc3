// The opcodes of pickle: name, what follows each in the stream, and whether protocols 2 to 5 of Python 3 have a use for
// it.
#pragma once

#include <cstdint>

namespace treadle::core {

namespace pickle_op {
inline constexpr unsigned char kMark = '(', kStop = '.', kPop = '0', kPopMark = '1', kDup = '2', kFloat8 = 'G',
                               kInt4 = 'J', kInt1 = 'K', kInt2 = 'M', kNone = 'N', kReduce = 'R', kStr4 = 'X',
                               kAppend = 'a', kBuild = 'b', kGlobal = 'c', kEmptyDict = '}', kAppends = 'e',
                               kGet1 = 'h', kGet4 = 'j', kEmptyList = ']', kPut1 = 'q', kPut4 = 'r', kSetItem = 's',
                               kTuple = 't', kEmptyTuple = ')', kSetItems = 'u', kBytes4 = 'B', kBytes1 = 'C',
                               kProto = 0x80, kNewObj = 0x81, kTuple1 = 0x85, kTuple2 = 0x86, kTuple3 = 0x87,
                               kTrue = 0x88, kFalse = 0x89, kLong1 = 0x8a, kLong4 = 0x8b, kStr1 = 0x8c, kStr8 = 0x8d,
                               kBytes8 = 0x8e, kEmptySet = 0x8f, kAddItems = 0x90, kFrozenSet = 0x91, kNewObjEx = 0x92,
                               kStackGlobal = 0x93, kMemoize = 0x94, kFrame = 0x95, kByteArray8 = 0x96;
}  // namespace pickle_op

// What follows the opcode byte.
enum class PickleForm : std::uint8_t {
  Denied,  // known or not, it has no place here
  Plain,   // nothing
  Arg1,
  Arg2,
  Arg4,
  Arg8,  // a number of so many bytes
  Body1,
  Body4,
  Body8,  // a length of so many bytes, then as many bytes
  Lines,  // two lines
};

struct PickleOpcode {
  const char* name = nullptr;  // nullptr: no such opcode
  PickleForm form = PickleForm::Denied;
};

const PickleOpcode& pickle_opcode(unsigned char byte);

// Bytes of the number that follows the opcode of this form.
constexpr unsigned pickle_number_bytes(PickleForm form) {
  switch (form) {
    case PickleForm::Arg1:
    case PickleForm::Body1: return 1;
    case PickleForm::Arg2: return 2;
    case PickleForm::Arg4:
    case PickleForm::Body4: return 4;
    case PickleForm::Arg8:
    case PickleForm::Body8: return 8;
    default: return 0;
  }
}

}  // namespace treadle::core

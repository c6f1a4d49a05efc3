#include "core/pickle_opcodes.h"

#include <array>

namespace treadle::core {
namespace {

using enum PickleForm;

constexpr std::array<PickleOpcode, 256> table() {
  using namespace pickle_op;
  std::array<PickleOpcode, 256> t{};
  const auto set = [&t](unsigned char byte, const char* name, PickleForm form) { t[byte] = {name, form}; };
  set(kMark, "MARK", Plain);
  set(kStop, "STOP", Plain);
  set(kPop, "POP", Plain);
  set(kPopMark, "POP_MARK", Plain);
  set(kDup, "DUP", Plain);
  set(kFloat8, "BINFLOAT", Arg8);
  set(kInt4, "BININT", Arg4);
  set(kInt1, "BININT1", Arg1);
  set(kInt2, "BININT2", Arg2);
  set(kNone, "NONE", Plain);
  set(kReduce, "REDUCE", Plain);
  set(kStr4, "BINUNICODE", Body4);
  set(kAppend, "APPEND", Plain);
  set(kBuild, "BUILD", Plain);
  set(kGlobal, "GLOBAL", Lines);
  set(kEmptyDict, "EMPTY_DICT", Plain);
  set(kAppends, "APPENDS", Plain);
  set(kGet1, "BINGET", Arg1);
  set(kGet4, "LONG_BINGET", Arg4);
  set(kEmptyList, "EMPTY_LIST", Plain);
  set(kPut1, "BINPUT", Arg1);
  set(kPut4, "LONG_BINPUT", Arg4);
  set(kSetItem, "SETITEM", Plain);
  set(kTuple, "TUPLE", Plain);
  set(kEmptyTuple, "EMPTY_TUPLE", Plain);
  set(kSetItems, "SETITEMS", Plain);
  set(kBytes4, "BINBYTES", Body4);
  set(kBytes1, "SHORT_BINBYTES", Body1);
  set(kProto, "PROTO", Arg1);
  set(kNewObj, "NEWOBJ", Plain);
  set(kTuple1, "TUPLE1", Plain);
  set(kTuple2, "TUPLE2", Plain);
  set(kTuple3, "TUPLE3", Plain);
  set(kTrue, "NEWTRUE", Plain);
  set(kFalse, "NEWFALSE", Plain);
  set(kLong1, "LONG1", Body1);
  set(kLong4, "LONG4", Body4);
  set(kStr1, "SHORT_BINUNICODE", Body1);
  set(kStr8, "BINUNICODE8", Body8);
  set(kBytes8, "BINBYTES8", Body8);
  set(kEmptySet, "EMPTY_SET", Plain);
  set(kAddItems, "ADDITEMS", Plain);
  set(kFrozenSet, "FROZENSET", Plain);
  set(kNewObjEx, "NEWOBJ_EX", Plain);
  set(kStackGlobal, "STACK_GLOBAL", Plain);
  set(kMemoize, "MEMOIZE", Plain);
  set(kFrame, "FRAME", Arg8);
  set(kByteArray8, "BYTEARRAY8", Body8);
  // Of protocols 0 and 1 and of Python 2; no pickler of Python 3 writes them from protocol 2 on.
  set('I', "INT", Denied);
  set('L', "LONG", Denied);
  set('F', "FLOAT", Denied);
  set('S', "STRING", Denied);
  set('T', "BINSTRING", Denied);
  set('U', "SHORT_BINSTRING", Denied);
  set('V', "UNICODE", Denied);
  set('g', "GET", Denied);
  set('p', "PUT", Denied);
  set('i', "INST", Denied);
  set('o', "OBJ", Denied);
  set('l', "LIST", Denied);
  set('d', "DICT", Denied);
  // These need an agreement with the reader that nobody made: persistent ids, the extension registry, out-of-band
  // buffers.
  set('P', "PERSID", Denied);
  set('Q', "BINPERSID", Denied);
  set(0x82, "EXT1", Denied);
  set(0x83, "EXT2", Denied);
  set(0x84, "EXT4", Denied);
  set(0x97, "NEXT_BUFFER", Denied);
  set(0x98, "READONLY_BUFFER", Denied);
  return t;
}

constexpr std::array<PickleOpcode, 256> kTable = table();

}  // namespace

const PickleOpcode& pickle_opcode(unsigned char byte) { return kTable[byte]; }

}  // namespace treadle::core

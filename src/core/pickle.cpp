#include "core/pickle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <cstring>

#include "core/pickle_code.h"
#include "core/pickle_opcodes.h"

namespace treadle::core {
namespace {

using namespace pickle_op;

// A body up to here is looked at as a whole, for names and bytecode; a longer one passes by in pieces.
constexpr std::uint64_t kShortBody = 4096;
// No payload is longer; keeps sums of offsets and lengths far from overflow.
constexpr std::uint64_t kMaxLength = 1ull << 40;

static_assert(std::endian::native == std::endian::little);
std::uint64_t number_at(const char* p, unsigned bytes) {
  std::uint64_t number = 0;
  std::memcpy(&number, p, bytes);
  return number;
}

// Weights of what hashing or comparing costs beyond one step; see kMaxPickleHashed.
float body_weight(std::uint64_t size) { return 1 + static_cast<float>(size / 256); }

bool is_text(unsigned char op) { return op == kStr1 || op == kStr4 || op == kStr8; }

PickleKind body_kind(unsigned char op) {
  if (is_text(op)) return PickleKind::Str;
  if (op == kByteArray8) return PickleKind::ByteArray;
  return op == kLong1 || op == kLong4 ? PickleKind::BigInt : PickleKind::Bytes;
}

}  // namespace

void PickleVerifier::reset() {
  machine_.clear();
  report_ = {};
  error_.clear();
  offset_ = frame_end_ = body_left_ = need_ = 0;
  op_ = 0;
  body_is_text_ = stopped_ = false;
  utf8_ = {};
  carry_.clear();
}

bool PickleVerifier::feed(std::string_view bytes) {
  const char* p = bytes.data();
  const char* const end = p + bytes.size();
  while (p != end && error_.empty()) {
    if (stopped_) {
      refuse("bytes follow STOP at offset " + std::to_string(offset_));
    } else if (body_left_) {
      p = eat_body(p, end);
    } else if (!carry_.empty()) {
      fill_carry(p, end);
    } else {
      p = run(p, end);
      if (!stuck() && p != end) {
        carry_.assign(p, end);
        p = end;
      }
    }
  }
  return error_.empty();
}

void PickleVerifier::fill_carry(const char*& p, const char* end) {
  const std::size_t more = std::min<std::size_t>(need_ - carry_.size(), static_cast<std::size_t>(end - p));
  carry_.append(p, more);
  p += more;
  if (carry_.size() < need_) return;
  const char* const begin = carry_.data();
  if (run(begin, begin + carry_.size()) != begin) carry_.clear();
}

const char* PickleVerifier::eat_body(const char* p, const char* end) {
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(body_left_, static_cast<std::uint64_t>(end - p)));
  body_left_ -= size;
  if (body_is_text_ && (!utf8_.feed({p, size}) || (body_left_ == 0 && !utf8_.complete()))) fault("is not UTF-8");
  if (body_left_ == 0 && error_.empty()) offset_ = need_;
  return p + size;
}

const char* PickleVerifier::run(const char* p, const char* end) {
  while (p != end && !stuck()) {
    const char* limit = end;
    if (frame_end_ && static_cast<std::uint64_t>(end - p) > frame_end_ - offset_) limit = p + (frame_end_ - offset_);
    const char* const stopped = run_opcodes(p, limit);
    const bool whole = stopped == limit;
    if (frame_end_ && offset_ == frame_end_) frame_end_ = 0;
    if (!whole && stopped == p && !stuck()) return p;  // more bytes are needed
    p = stopped;
  }
  return p;
}

// Up to `end`, an error, STOP, the start of a frame, or a long body. offset_ moves along.
const char* PickleVerifier::run_opcodes(const char* p, const char* end) {
  const std::uint64_t frame = frame_end_;
  if (offset_ == 0 && static_cast<unsigned char>(*p) != kProto) {
    char text[8];
    std::snprintf(text, sizeof text, "0x%02x", static_cast<unsigned char>(*p));
    refuse(std::string("it begins with byte ") + text + ", not with PROTO of protocol 2 to 5");
    return p;
  }
  while (p != end && !stuck() && frame_end_ == frame) {
    op_ = static_cast<unsigned char>(*p);
    if (op_ == kFloat8) {  // long arrays of floats: whole runs at once
      std::uint32_t count = 0;
      for (; end - p >= 9 && *p == kFloat8; p += 9) ++count;
      if (count) {
        machine_.set_offset(offset_);
        if (const char* why = machine_.push_atoms(PickleKind::Float, count)) {
          fault(why);
          return p;
        }
        offset_ += count * 9ull;
        continue;
      }
    }
    const PickleForm form = pickle_opcode(op_).form;
    const char* after = p;
    if (form >= PickleForm::Body1) {
      after = form == PickleForm::Lines ? apply_lines(p, end) : apply_body(p, end, form);
      if (after == p) return p;
      if (body_left_) return after;  // offset_ stays at the opcode until its body is through
    } else {
      const unsigned size = 1 + pickle_number_bytes(form);
      if (end - p < static_cast<std::ptrdiff_t>(size)) {
        wait_for(size);
        return p;
      }
      after = p + size;
      machine_.set_offset(offset_);
      apply(op_, number_at(p + 1, size - 1), offset_ + size);
      if (!error_.empty()) return p;
    }
    offset_ += static_cast<std::uint64_t>(after - p);
    p = after;
  }
  return p;
}

bool PickleVerifier::wait_for(std::uint64_t bytes) {
  need_ = bytes;
  if (frame_end_ && offset_ + bytes > frame_end_) fault("crosses the end of its frame");
  return error_.empty();
}

void PickleVerifier::apply(unsigned char op, std::uint64_t number, std::uint64_t after) {
  const char* why = nullptr;
  switch (op) {
    case kNone: why = machine_.push_atoms(PickleKind::None, 1); break;
    case kTrue:
    case kFalse: why = machine_.push_atoms(PickleKind::Bool, 1); break;
    case kInt1:
    case kInt2:
    case kInt4: why = machine_.push_atoms(PickleKind::Int, 1); break;
    case kFloat8: why = machine_.push_atoms(PickleKind::Float, 1); break;
    case kEmptyTuple: why = machine_.push(PickleKind::Tuple, pickle_tag::kNothing, 1); break;
    case kEmptyList: why = machine_.push(PickleKind::List); break;
    case kEmptyDict: why = machine_.push(PickleKind::Dict); break;
    case kEmptySet: why = machine_.push(PickleKind::Set); break;
    case kMark: why = machine_.mark(); break;
    case kPop: why = machine_.pop(); break;
    case kPopMark: why = machine_.pop_mark(); break;
    case kDup: why = machine_.dup(); break;
    case kTuple1: why = machine_.tuple_of(1); break;
    case kTuple2: why = machine_.tuple_of(2); break;
    case kTuple3: why = machine_.tuple_of(3); break;
    case kTuple: why = machine_.tuple(); break;
    case kFrozenSet: why = machine_.frozenset(); break;
    case kAppend: why = machine_.append(); break;
    case kAppends: why = machine_.appends(); break;
    case kSetItem: why = machine_.setitem(); break;
    case kSetItems: why = machine_.setitems(); break;
    case kAddItems: why = machine_.additems(); break;
    case kStackGlobal: why = machine_.stack_global(); break;
    case kReduce: why = machine_.reduce(); break;
    case kNewObj: why = machine_.newobj(false); break;
    case kNewObjEx: why = machine_.newobj(true); break;
    case kBuild: why = machine_.build(); break;
    case kMemoize: why = machine_.memoize(); break;
    case kPut1:
    case kPut4: why = machine_.put(number); break;
    case kGet1:
    case kGet4: why = machine_.get(number); break;
    case kProto: return proto(number);
    case kFrame: return frame(number, after);
    case kStop: return stop(after);
    default: why = "is not allowed"; break;
  }
  if (why) fault(why);
}

void PickleVerifier::proto(std::uint64_t version) {
  if (offset_ != 0) return fault("stands not only at the beginning");
  if (version < 2 || version > 5) return fault("names a protocol that is not 2 to 5");
  report_.facts.protocol = static_cast<std::uint8_t>(version);
}

void PickleVerifier::frame(std::uint64_t size, std::uint64_t after) {
  if (frame_end_) return fault("begins a frame inside a frame");
  if (size > kMaxLength) return fault("declares more bytes than any payload has");
  if (size) frame_end_ = after + size;
}

void PickleVerifier::stop(std::uint64_t after) {
  if (frame_end_ && frame_end_ != after) return fault("comes before the end of its frame");
  PickleValue root;
  if (const char* why = machine_.stop(root)) return fault(why);
  stopped_ = true;
  const bool function = root.kind == PickleKind::Call && root.tag == pickle_tag::kRoleFunction;
  constexpr std::array kRoots = {RootKind::None,      RootKind::Bool,   RootKind::Int,   RootKind::Float,
                                 RootKind::Int,       RootKind::Str,    RootKind::Bytes, RootKind::ByteArray,
                                 RootKind::List,      RootKind::Tuple,  RootKind::Dict,  RootKind::Set,
                                 RootKind::FrozenSet, RootKind::Global, RootKind::Call};
  report_.root = function ? RootKind::Function : kRoots[static_cast<std::size_t>(root.kind)];
  report_.is_args = root.kind == PickleKind::Tuple && root.tag == pickle_tag::kShapeArgs;
  report_.only_data = machine_.only_data();
  const std::uint8_t protocol = report_.facts.protocol;
  report_.facts = machine_.facts();
  report_.facts.protocol = protocol;
}

// Gives back p while bytes are missing or on a fault.
const char* PickleVerifier::apply_body(const char* p, const char* end, PickleForm form) {
  const unsigned header = 1 + pickle_number_bytes(form);
  if (end - p < static_cast<std::ptrdiff_t>(header)) {
    wait_for(header);
    return p;
  }
  const std::uint64_t size = number_at(p + 1, header - 1);
  if (size > kMaxLength || (op_ == kLong4 && size > 0x7fffffff)) {
    fault("declares more bytes than any payload has");
    return p;
  }
  if (frame_end_ && offset_ + header + size > frame_end_) {
    fault("crosses the end of its frame");
    return p;
  }
  const bool is_short = size <= kShortBody;
  if (is_short && static_cast<std::uint64_t>(end - p) < header + size) {
    wait_for(header + size);
    return p;
  }
  if (is_short) {
    push_body(op_, {p + header, static_cast<std::size_t>(size)});
  } else {
    open_body(op_, size);
    need_ = offset_ + header + size;  // where the stream goes on after the body
  }
  if (!error_.empty()) return p;
  return p + header + (is_short ? size : 0);
}

void PickleVerifier::push_body(unsigned char op, std::string_view body) {
  machine_.set_offset(offset_);
  const PickleKind kind = body_kind(op);
  std::uint8_t tag = pickle_tag::kNothing;
  std::uint16_t lengths = 0;
  if (kind == PickleKind::BigInt && body.size() <= 16) {
    if (const char* why = machine_.push_atoms(PickleKind::Int, 1)) fault(why);
    return;
  }
  if (kind == PickleKind::Str) {
    Utf8Check check;
    if (!check.feed(body) || !check.complete()) return fault("is not UTF-8");
    tag = pickle_name(body);
  } else if (kind == PickleKind::Bytes) {
    tag = bytecode_versions(body);
    lengths = code_lengths(body);
  }
  if (const char* why = machine_.push(kind, tag, lengths, body_weight(body.size()))) fault(why);
}

void PickleVerifier::open_body(unsigned char op, std::uint64_t size) {
  const PickleKind kind = body_kind(op);
  const std::uint8_t tag = kind == PickleKind::Str     ? std::uint8_t{pickle_tag::kNameUnfit}
                           : kind == PickleKind::Bytes ? kUnreadCode
                                                       : std::uint8_t{pickle_tag::kNothing};
  const float weight = kind == PickleKind::BigInt ? 1 + static_cast<float>(size / 64) : body_weight(size);
  if (const char* why = machine_.push(kind, tag, 0, weight)) return fault(why);
  body_left_ = size;
  body_is_text_ = is_text(op);
  utf8_ = {};
}

const char* PickleVerifier::apply_lines(const char* p, const char* end) {
  const std::ptrdiff_t most = 2 * kMaxPickleName + 3;
  const char* const limit = end - p > most ? p + most : end;
  const auto line_end = [limit](const char* from) {
    return static_cast<const char*>(std::memchr(from, '\n', static_cast<std::size_t>(limit - from)));
  };
  const char* const first = line_end(p + 1);
  const char* const second = first ? line_end(first + 1) : nullptr;
  if (!second) {
    if (limit - p == most)
      fault("has an empty or too long name");
    else
      wait_for(static_cast<std::uint64_t>(end - p) + 1);
    return p;
  }
  const std::string_view module(p + 1, static_cast<std::size_t>(first - p - 1));
  const std::string_view name(first + 1, static_cast<std::size_t>(second - first - 1));
  if (!pickle_name_line_ok(module) || !pickle_name_line_ok(name)) {
    fault("has a name that no module or attribute can have");
    return p;
  }
  if (const char* why = machine_.global(pickle_name(module), pickle_name(name))) {
    fault(why);
    return p;
  }
  return second + 1;
}

void PickleVerifier::fault(const char* why) {
  char text[80];
  const char* const name = pickle_opcode(op_).name;
  if (name)
    std::snprintf(text, sizeof text, "opcode 0x%02x (%s) at offset ", op_, name);
  else
    std::snprintf(text, sizeof text, "byte 0x%02x, which is no opcode, at offset ", op_);
  refuse(text + std::to_string(offset_) + " " + why);
}

void PickleVerifier::refuse(std::string why) { error_ = "the payload is not a sound pickle: " + std::move(why); }

Result<PickleReport> PickleVerifier::finish() {
  if (error_.empty() && !stopped_) {
    if (offset_ == 0 && carry_.empty())
      refuse("it is empty");
    else if (body_left_ || !carry_.empty())
      fault("is cut off");
    else
      refuse("it ends at offset " + std::to_string(offset_) + " before STOP");
  }
  machine_.clear();
  if (!error_.empty()) return fail(Code::Invalid, error_);
  return report_;
}

Result<PickleReport> verify_pickle(std::string_view bytes) {
  PickleVerifier verifier;
  verifier.feed(bytes);
  return verifier.finish();
}

std::string_view kind_name(RootKind kind) {
  constexpr std::string_view kNames[] = {"None",  "bool",      "int",       "float",    "str",
                                         "bytes", "bytearray", "list",      "tuple",    "dict",
                                         "set",   "frozenset", "reference", "function", "object"};
  return kNames[static_cast<std::size_t>(kind)];
}

Result<void> check_function(const PickleReport& report) {
  if (report.root >= RootKind::Global) return {};
  return fail(Code::Invalid, "the payload is a pickled " + std::string(kind_name(report.root)) + ", not a function");
}

}  // namespace treadle::core

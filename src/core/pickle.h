// The pickle verifier: says whether bytes are a sound pickle and what they need, by walking the opcodes. Nothing is
// imported, called or built, so it is safe on bytes from anybody; it does not make *loading* them safe, for a pickled
// function is code.
//
// Sound means: CPython's unpickler gets through the stream without a fault of the stream itself. Beyond that it refuses
// what only an attack needs (limits in pickle_machine.h) and what nobody here could serve: protocols 0 and 1,
// persistent ids, extension codes, out-of-band buffers, bytes after STOP. It does not see everything that makes loading
// slow: keys whose hashes collide, or what a called constructor does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/payload.h"
#include "core/pickle_machine.h"
#include "core/pickle_text.h"

namespace treadle::core {

enum class PickleForm : std::uint8_t;  // pickle_opcodes.h

enum class RootKind : std::uint8_t {
  None,
  Bool,
  Int,
  Float,
  Str,
  Bytes,
  ByteArray,
  List,
  Tuple,
  Dict,
  Set,
  FrozenSet,  // plain data
  Global,     // a class or function by reference; whether it can be imported is not known here
  Function,   // made by the function constructor of dill or cloudpickle
  Call,       // made by any other call: an instance, a partial, a class by value ...
};

// As Python spells the type: "list", "None"; "reference", "function", "object" for the last three.
std::string_view kind_name(RootKind kind);

struct PickleReport {
  PayloadFacts facts;
  RootKind root = RootKind::None;
  bool is_args = false;   // the root is a pair of a tuple and a dict: (args, kwargs)
  bool only_data = true;  // no reference to any module, so no call: loading it runs no code
  friend bool operator==(const PickleReport&, const PickleReport&) = default;
};

// Bytes in pieces cut anywhere; the verdict does not depend on the cuts. Keeps no bytes but of an opcode that a cut
// divides. About 2 KB by itself; grows to at most kMaxPickleStack and kMaxPickleMemo entries. Not for several threads
// at once.
class PickleVerifier {
 public:
  PickleVerifier() { reset(); }
  // False: refused, now and for the rest; finish() says why.
  bool feed(std::string_view bytes);
  // Code::Invalid with one sentence that names opcode and offset. Frees what a big pickle took. Once per reset().
  Result<PickleReport> finish();
  void reset();

 private:
  const char* run(const char* p, const char* end);  // whole opcodes; gives back where it stopped
  const char* run_opcodes(const char* p, const char* end);
  void apply(unsigned char op, std::uint64_t number, std::uint64_t after);
  const char* apply_body(const char* p, const char* end, PickleForm form);
  const char* apply_lines(const char* p, const char* end);
  void proto(std::uint64_t version);
  void frame(std::uint64_t size, std::uint64_t after);
  void stop(std::uint64_t after);
  void push_body(unsigned char op, std::string_view body);  // up to kShortBody bytes
  void open_body(unsigned char op, std::uint64_t size);     // more: the bytes follow
  const char* eat_body(const char* p, const char* end);
  void fill_carry(const char*& p, const char* end);
  bool wait_for(std::uint64_t bytes);  // the opcode at offset_ has so many, or more
  void fault(const char* why);         // about the opcode at offset_
  void refuse(std::string why);
  bool stuck() const { return !error_.empty() || stopped_ || body_left_ != 0; }

  PickleMachine machine_;
  PickleReport report_;
  std::string error_;            // a whole sentence; empty while all is well
  std::uint64_t offset_ = 0;     // in the stream, of the opcode that is looked at
  std::uint64_t frame_end_ = 0;  // 0: not in a frame
  std::uint64_t body_left_ = 0;  // bytes of a long body that are still to come
  std::uint64_t need_ = 0;       // bytes that the divided opcode has at least
  unsigned char op_ = 0;         // the opcode that is looked at
  bool body_is_text_ = false;
  bool stopped_ = false;
  Utf8Check utf8_;
  std::string carry_;  // the first bytes of an opcode that a cut divides
};

// All at once.
Result<PickleReport> verify_pickle(std::string_view bytes);

// Whether a function may be registered from it: anything but plain data. Code::Invalid: "the payload is a pickled list,
// not a function".
Result<void> check_function(const PickleReport& report);

}  // namespace treadle::core

#include "core/failure_object.h"

#include <cstdint>

namespace treadle::core {
namespace {

// Opcodes of pickle protocol 2 that the template needs.
constexpr char kProto = '\x80', kGlobal = 'c', kMark = '(', kTuple1 = '\x85', kTuple2 = '\x86', kTuple3 = '\x87';
constexpr char kEmptyDict = '}', kSetItems = 'u', kReduce = 'R', kBuild = 'b', kStop = '.', kBinUnicode = 'X';
constexpr char kPut = 'q', kGet = 'h', kBinInt2 = 'M';
constexpr char kTextMemo = 0, kGetattrMemo = 1;

class Writer {
 public:
  Writer& op(char code) { return bytes_ += code, *this; }
  Writer& text(std::string_view s) {
    const auto size = static_cast<std::uint32_t>(s.size());
    bytes_ += kBinUnicode;
    for (int shift = 0; shift < 32; shift += 8) bytes_ += static_cast<char>(size >> shift & 255);
    bytes_ += s;
    return *this;
  }
  Writer& builtin(std::string_view name) {
    (bytes_ += kGlobal).append("builtins\n").append(name) += '\n';
    return *this;
  }
  Writer& put(char memo) { return op(kPut).op(memo); }
  Writer& get(char memo) { return op(kGet).op(memo); }
  // A method bound to the text: the class can then show and search it without a line of code of its own.
  Writer& method_of_text(std::string_view name) {
    return get(kGetattrMemo).get(kTextMemo).text(name).op(kTuple2).op(kReduce);
  }
  Writer& number(std::uint16_t n) { return op(kBinInt2).op(static_cast<char>(n & 255)).op(static_cast<char>(n >> 8)); }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

Payload failure_object(std::string_view words, TaskId task, std::string_view worker, std::string_view message) {
  const std::string text =
      message.starts_with(words) ? std::string(message) : std::string(words) + ": " + std::string(message);
  Writer w;
  w.op(kProto).op(2);
  w.builtin("type").text("FunctionFailedException").builtin("RuntimeError").op(kTuple1);
  w.op(kEmptyDict).op(kMark);
  w.text("__module__").text("builtins");
  w.text("__str__")
      .builtin("getattr")
      .put(kGetattrMemo)
      .text(text)
      .put(kTextMemo)
      .text("__str__")
      .op(kTuple2)
      .op(kReduce);
  w.text("__contains__").method_of_text("__contains__");
  w.op(kSetItems).op(kTuple3).op(kReduce);
  w.get(kTextMemo).op(kTuple1).op(kReduce);
  w.op(kEmptyDict).op(kMark);
  w.text("error_code").number(500).text("task_id").text(to_string(task));
  w.text("worker_id").text(worker).text("error_message").text(text);
  w.op(kSetItems).op(kBuild).op(kStop);
  PayloadFacts facts;
  facts.protocol = 2;
  return {Buffer::of(w.take()), facts};
}

}  // namespace

Payload worker_failure_object(TaskId task, std::string_view worker, std::string_view message) {
  return failure_object("Worker Failure", task, worker, message);
}

Payload function_failure_object(TaskId task, std::string_view worker, std::string_view message) {
  return failure_object("Function Failure", task, worker, message);
}

}  // namespace treadle::core

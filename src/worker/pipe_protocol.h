// Frames of the executor socket (docs/executor-protocol.md 3), without any I/O: one side makes them, the other reads
// bytes from a process that runs foreign code and is trusted in nothing. Lengths are checked before anything is
// allocated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "core/payload.h"

namespace treadle::worker {

inline constexpr std::size_t kFrameHeader = 16;
inline constexpr std::size_t kMemfdAbove = 1u << 20;  // larger raw bytes travel as a sealed memfd
// Raw bytes that may stand in a frame, the error texts of a result, and its fixed struct.
inline constexpr std::size_t kMaxFrame = kMemfdAbove + (256u << 10);
inline constexpr std::uint8_t kFlagMemfd = 1;
inline constexpr std::uint32_t kProtocolVersion = 1;

enum class Down : std::uint8_t { Task = 1, Function = 2, Cancel = 3, Settings = 4, Exit = 5 };
enum class Up : std::uint8_t {
  Ready = 129,
  Result = 130,
  Idle = 131,
  NeedFunction = 132,
  Progress = 133,
  Started = 134,
  GaveUp = 135,
};

enum TaskFlag : std::uint32_t { kTaskMarkOutput = 1, kTaskReadsCloudpickle = 2, kTaskConcurrent = 4 };
enum ResultFlag : std::uint16_t { kResultRecycle = 1 };

struct TaskHeader {
  std::uint64_t seq = 0;
  std::uint32_t function = 0;
  core::PayloadFacts facts;
  TaskId task;
  std::uint32_t attempt = 0;
  std::uint32_t flags = 0;
  std::uint64_t time_limit_ms = 0;
};

// Each appends a whole frame except its raw bytes, whose number it is told; the caller puts them behind it, or in a
// memfd if they are more than kMemfdAbove.
void append_task(std::string& to, const TaskHeader& task, std::size_t raw_bytes);
void append_function(std::string& to, std::uint32_t function, core::PayloadFacts facts, std::size_t raw_bytes);
void append_settings(std::string& to, std::string_view json);
void append_cancel(std::string& to, std::uint64_t seq);
void append_exit(std::string& to);

// One frame of the executor. `body` points into the reader and is valid until its next call.
struct UpFrame {
  Up type{};
  bool memfd = false;
  std::uint64_t seq = 0;
  std::string_view body;  // what follows the header
};

// Cuts a stream into frames. After Bad it must not be used again: the stream has lost its shape.
class FrameReader {
 public:
  enum class Next { Frame, More, Bad };

  // Where the next bytes of the stream go: never empty. Invalidates all frames handed out.
  std::span<char> space();
  void added(std::size_t bytes);
  Next next(UpFrame& frame);
  // Whether a whole RESULT is waiting. Looks only at the first frame: in order is how they are read.
  bool has_frame() const;
  std::size_t buffered() const { return end_ - begin_; }
  std::string_view why_bad() const { return why_; }

 private:
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;  // unread bytes are [begin_, end_)
  std::size_t end_ = 0;
  std::string why_;
};

struct ReadyBody {
  std::uint32_t protocol = 0;
  std::uint32_t pid = 0;
  std::uint16_t python_major = 0;
  std::uint16_t python_minor = 0;
};

struct ResultBody {
  std::uint8_t kind = 0;
  std::uint8_t made_by = 0;
  std::uint16_t flags = 0;
  std::int64_t start_ns = 0;
  std::int64_t end_ns = 0;
  std::uint64_t cpu_us = 0;
  std::uint64_t peak_rss = 0;     // bytes; 0: not looked at
  std::uint64_t memfd_bytes = 0;  // with UpFrame::memfd
  std::string_view type;          // the views point into the frame
  std::string_view message;
  std::string_view traceback;
  std::string_view pickle;
};

struct ProgressBody {
  std::int32_t ppm = -1;  // parts per million, or -1
  std::string_view note;
};

// False: the body is not of the promised shape.
bool parse_ready(const UpFrame& frame, ReadyBody& body);
bool parse_result(const UpFrame& frame, ResultBody& body);
bool parse_need_function(const UpFrame& frame, std::uint32_t& function);
bool parse_progress(const UpFrame& frame, ProgressBody& body);

}  // namespace treadle::worker

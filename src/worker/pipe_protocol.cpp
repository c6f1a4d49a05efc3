#include "worker/pipe_protocol.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.h"
#include "core/limits.h"
#include "core/model.h"

namespace treadle::worker {
namespace {

static_assert(std::endian::native == std::endian::little, "frames are little-endian and copied as they are");

constexpr std::size_t kTaskStruct = 40;
constexpr std::size_t kFunctionStruct = 8;
constexpr std::size_t kResultStruct = 48;
constexpr std::size_t kReadyStruct = 16;
constexpr std::size_t kNeedFunctionStruct = 8;
constexpr std::size_t kProgressStruct = 8;
constexpr std::size_t kGaveUpMax = 64u << 10;
constexpr std::size_t kReadAtOnce = 64u << 10;

template <class T>
void put(char*& at, T value) {
  std::memcpy(at, &value, sizeof value);
  at += sizeof value;
}

template <class T>
T get(std::string_view bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

void put_header(char*& at, Down type, std::size_t fixed, std::size_t raw, std::uint64_t seq) {
  const bool memfd = raw > kMemfdAbove;
  put<std::uint32_t>(at, static_cast<std::uint32_t>(fixed + (memfd ? sizeof(std::uint64_t) : raw)));
  put<std::uint8_t>(at, static_cast<std::uint8_t>(type));
  put<std::uint8_t>(at, memfd ? kFlagMemfd : 0);
  put<std::uint16_t>(at, 0);
  put<std::uint64_t>(at, seq);
}

void put_memfd_size(char*& at, std::size_t raw) {
  if (raw > kMemfdAbove) put<std::uint64_t>(at, raw);
}

bool known(std::uint8_t type) {
  switch (static_cast<Up>(type)) {
    case Up::Ready:
    case Up::Result:
    case Up::Idle:
    case Up::NeedFunction:
    case Up::Progress:
    case Up::Started:
    case Up::GaveUp: return true;
  }
  return false;
}

// A frame of the executor may have a body of this many bytes at least and at most.
std::pair<std::size_t, std::size_t> body_limits(Up type) {
  switch (type) {
    case Up::Ready: return {kReadyStruct, kReadyStruct};
    case Up::Result: return {kResultStruct, kMaxFrame};
    case Up::Idle:
    case Up::Started: return {0, 0};
    case Up::NeedFunction: return {kNeedFunctionStruct, kNeedFunctionStruct};
    case Up::Progress: return {kProgressStruct, kProgressStruct + core::limits::kProgressNote};
    case Up::GaveUp: return {0, kGaveUpMax};
  }
  return {0, 0};
}

bool kind_is_sent(std::uint8_t kind) {
  switch (static_cast<core::ErrorKind>(kind)) {
    case core::ErrorKind::None:
    case core::ErrorKind::FunctionFailed:
    case core::ErrorKind::DeserializeFailed:
    case core::ErrorKind::PythonMismatch:
    case core::ErrorKind::EnvironmentFailed:
    case core::ErrorKind::OutOfMemory:
    case core::ErrorKind::LimitExceeded:
    case core::ErrorKind::Unserializable:
    case core::ErrorKind::ResultTooLarge: return true;
    default: return false;
  }
}

}  // namespace

void append_task(std::string& to, const TaskHeader& task, std::size_t raw_bytes) {
  char frame[kFrameHeader + kTaskStruct + sizeof(std::uint64_t)];
  char* at = frame;
  put_header(at, Down::Task, kTaskStruct, raw_bytes, task.seq);
  put<std::uint32_t>(at, task.function);
  put<std::uint32_t>(at, task.facts.pack());
  put<std::uint64_t>(at, __builtin_bswap64(task.task.hi));  // the id is big-endian, as it is printed
  put<std::uint64_t>(at, __builtin_bswap64(task.task.lo));
  put<std::uint32_t>(at, task.attempt);
  put<std::uint32_t>(at, task.flags);
  put<std::uint64_t>(at, task.time_limit_ms);
  put_memfd_size(at, raw_bytes);
  to.append(frame, at);
}

void append_function(std::string& to, std::uint32_t function, core::PayloadFacts facts, std::size_t raw_bytes) {
  char frame[kFrameHeader + kFunctionStruct + sizeof(std::uint64_t)];
  char* at = frame;
  put_header(at, Down::Function, kFunctionStruct, raw_bytes, 0);
  put<std::uint32_t>(at, function);
  put<std::uint32_t>(at, facts.pack());
  put_memfd_size(at, raw_bytes);
  to.append(frame, at);
}

void append_settings(std::string& to, std::string_view json) {
  TREADLE_ASSERT(json.size() <= kMemfdAbove);
  char frame[kFrameHeader];
  char* at = frame;
  put_header(at, Down::Settings, 0, json.size(), 0);
  to.append(frame, at);
  to.append(json);
}

void append_cancel(std::string& to, std::uint64_t seq) {
  char frame[kFrameHeader];
  char* at = frame;
  put_header(at, Down::Cancel, 0, 0, seq);
  to.append(frame, at);
}

void append_exit(std::string& to) {
  char frame[kFrameHeader];
  char* at = frame;
  put_header(at, Down::Exit, 0, 0, 0);
  to.append(frame, at);
}

std::span<char> FrameReader::space() {
  const std::size_t unread = end_ - begin_;
  std::size_t wanted = kReadAtOnce;
  if (unread >= sizeof(std::uint32_t)) {
    // next() has refused a length over kMaxFrame before anybody reads on, so this cannot grow without bound.
    const std::size_t length = get<std::uint32_t>({buffer_.get() + begin_, unread}, 0);
    const std::size_t whole = std::min(length, kMaxFrame) + kFrameHeader;
    if (whole > unread) wanted = std::max(wanted, whole - unread);
  }
  const bool too_big = capacity_ > 4 * kReadAtOnce && unread + wanted <= 2 * kReadAtOnce;
  if (capacity_ - unread < wanted || too_big) {
    const std::size_t capacity = unread + wanted <= 2 * kReadAtOnce ? 2 * kReadAtOnce : unread + wanted;
    auto larger = std::make_unique_for_overwrite<char[]>(capacity);
    if (unread > 0) std::memcpy(larger.get(), buffer_.get() + begin_, unread);
    buffer_ = std::move(larger);
    capacity_ = capacity;
    begin_ = 0;
    end_ = unread;
  } else if (capacity_ - end_ < wanted) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, unread);
    begin_ = 0;
    end_ = unread;
  }
  return {buffer_.get() + end_, capacity_ - end_};
}

void FrameReader::added(std::size_t bytes) {
  TREADLE_ASSERT(bytes <= capacity_ - end_);
  end_ += bytes;
}

bool FrameReader::has_frame() const {
  const std::size_t unread = end_ - begin_;
  return unread >= kFrameHeader && unread - kFrameHeader >= get<std::uint32_t>({buffer_.get() + begin_, unread}, 0);
}

FrameReader::Next FrameReader::next(UpFrame& frame) {
  const std::string_view unread{buffer_.get() + begin_, end_ - begin_};
  if (unread.size() < kFrameHeader) return Next::More;
  const std::size_t length = get<std::uint32_t>(unread, 0);
  const std::uint8_t type = get<std::uint8_t>(unread, 4);
  const std::uint8_t flags = get<std::uint8_t>(unread, 5);
  if (!known(type)) {
    why_ = "frame of unknown type " + std::to_string(type);
    return Next::Bad;
  }
  const auto [least, most] = body_limits(static_cast<Up>(type));
  if (length < least || length > most) {
    why_ = "frame of type " + std::to_string(type) + " with " + std::to_string(length) + " bytes";
    return Next::Bad;
  }
  if ((flags & ~kFlagMemfd) || (flags && static_cast<Up>(type) != Up::Result) || get<std::uint16_t>(unread, 6) != 0) {
    why_ = "frame of type " + std::to_string(type) + " with unknown flags";
    return Next::Bad;
  }
  if (unread.size() - kFrameHeader < length) return Next::More;
  frame.type = static_cast<Up>(type);
  frame.memfd = flags & kFlagMemfd;
  frame.seq = get<std::uint64_t>(unread, 8);
  frame.body = unread.substr(kFrameHeader, length);
  begin_ += kFrameHeader + length;
  if (begin_ == end_) begin_ = end_ = 0;
  return Next::Frame;
}

bool parse_ready(const UpFrame& frame, ReadyBody& body) {
  if (frame.body.size() != kReadyStruct) return false;
  body.protocol = get<std::uint32_t>(frame.body, 0);
  body.pid = get<std::uint32_t>(frame.body, 4);
  body.python_major = get<std::uint16_t>(frame.body, 8);
  body.python_minor = get<std::uint16_t>(frame.body, 10);
  return true;
}

bool parse_result(const UpFrame& frame, ResultBody& body) {
  std::string_view bytes = frame.body;
  if (bytes.size() < kResultStruct) return false;
  body.kind = get<std::uint8_t>(bytes, 0);
  body.made_by = get<std::uint8_t>(bytes, 1);
  body.flags = get<std::uint16_t>(bytes, 2);
  const std::uint64_t type = get<std::uint32_t>(bytes, 4);
  const std::uint64_t message = get<std::uint32_t>(bytes, 8);
  const std::uint64_t traceback = get<std::uint32_t>(bytes, 12);
  body.start_ns = get<std::int64_t>(bytes, 16);
  body.end_ns = get<std::int64_t>(bytes, 24);
  body.cpu_us = get<std::uint64_t>(bytes, 32);
  body.peak_rss = get<std::uint64_t>(bytes, 40);
  bytes.remove_prefix(kResultStruct);
  body.memfd_bytes = 0;
  if (frame.memfd) {
    if (bytes.size() < sizeof(std::uint64_t)) return false;
    body.memfd_bytes = get<std::uint64_t>(bytes, 0);
    bytes.remove_prefix(sizeof(std::uint64_t));
  }
  if (type + message + traceback > bytes.size() || !kind_is_sent(body.kind) || body.made_by > 4) return false;
  body.type = bytes.substr(0, type);
  body.message = bytes.substr(type, message);
  body.traceback = bytes.substr(type + message, traceback);
  body.pickle = bytes.substr(type + message + traceback);
  return !frame.memfd || body.pickle.empty();
}

bool parse_need_function(const UpFrame& frame, std::uint32_t& function) {
  if (frame.body.size() != kNeedFunctionStruct) return false;
  function = get<std::uint32_t>(frame.body, 0);
  return true;
}

bool parse_progress(const UpFrame& frame, ProgressBody& body) {
  if (frame.body.size() < kProgressStruct) return false;
  body.ppm = get<std::int32_t>(frame.body, 0);
  body.note = frame.body.substr(kProgressStruct);
  return body.ppm >= -1 && body.ppm <= 1'000'000;
}

}  // namespace treadle::worker

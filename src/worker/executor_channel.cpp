#include "worker/executor_channel.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "base/assert.h"
#include "core/limits.h"

namespace treadle::worker {
namespace {

constexpr std::size_t kErrorClasses = 1024;  // bytes of the names of an exception's class and its bases

// Whole words only: a part of a name is another name.
std::string_view first_words(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  const std::size_t end = text.rfind(' ', most);
  return text.substr(0, end == std::string_view::npos ? 0 : end);
}

constexpr int kReadsAtOnce = 4;                   // of the socket in one turn
constexpr std::size_t kPipeCapacity = 64u << 10;  // what can be in a pipe when a RESULT is sent
constexpr std::size_t kStackKept = core::limits::kErrorText;
constexpr std::size_t kFdsWaiting = 8;  // received and not claimed by a frame yet

// Bytes that nobody can change any more: only so may they be looked at twice.
bool map_sealed(const UniqueFd& fd, std::uint64_t size, Buffer& buffer, std::string& why) {
  constexpr int kNeeded = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  struct stat facts;
  if (seals < 0 || (seals & kNeeded) != kNeeded) {
    why = "a result's memfd is not sealed";
    return false;
  }
  if (::fstat(fd.get(), &facts) != 0 || static_cast<std::uint64_t>(facts.st_size) != size || size == 0) {
    why = "a result's memfd is not of the promised size";
    return false;
  }
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (address == MAP_FAILED) {
    why = std::string("a result's memfd cannot be mapped: ") + std::strerror(errno);
    return false;
  }
  std::shared_ptr<const void> owner(address, [size](void* mapped) { ::munmap(mapped, size); });
  buffer = Buffer::from(std::move(owner), {static_cast<const char*>(address), size});
  return true;
}

}  // namespace

std::unique_ptr<ExecutorChannel> ExecutorChannel::make(core::ExecutorNo no, const Mark& mark, std::uint64_t max_result,
                                                       TheirEnds& theirs) {
  std::unique_ptr<ExecutorChannel> channel(new ExecutorChannel(no, mark, max_result));
  FdPair sockets = make_socket_pair(SOCK_STREAM);
  FdPair out = make_pipe();
  FdPair err = make_pipe();
  channel->semaphore_ = UniqueFd(::eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC));
  channel->stack_ = make_memfd("treadle-stacks", {}, false);
  UniqueFd semaphore(::fcntl(channel->semaphore_.get(), F_DUPFD_CLOEXEC, 0));
  UniqueFd stack(::fcntl(channel->stack_.get(), F_DUPFD_CLOEXEC, 0));
  if (!sockets.first || !out.first || !err.first || !semaphore || !stack) return nullptr;
  channel->socket_ = std::move(sockets.first);
  channel->pipes_ = {std::move(out.first), std::move(err.first)};
  theirs.push_back(std::move(sockets.second));
  theirs.push_back(std::move(semaphore));
  theirs.push_back(std::move(out.second));
  theirs.push_back(std::move(err.second));
  theirs.push_back(std::move(stack));
  return channel;
}

void ExecutorChannel::settings(std::string_view json) { append_settings(queue_.frame(), json); }

void ExecutorChannel::cancel(std::uint64_t seq) { append_cancel(queue_.frame(), seq); }

void ExecutorChannel::exit() { append_exit(queue_.frame()); }

void ExecutorChannel::function(const core::command::SendFunction& command) {
  std::string& frame = queue_.frame();
  const std::size_t before = frame.size();
  append_function(frame, command.function, command.body.facts, command.body.bytes.size());
  add_payload(command.body.bytes, frame.size() - before);
}

void ExecutorChannel::task(const core::command::SendTask& command) {
  TREADLE_ASSERT_MSG(command.seq == last_sent_ + 1, "tasks of an executor are numbered without gaps");
  TREADLE_ASSERT_MSG(!recall_pending_, "no task is sent between a recall and the IDLE that answers it");
  TaskHeader header;
  header.seq = command.seq;
  header.function = command.function;
  header.facts = command.args.facts;
  header.task = command.task;
  header.attempt = command.attempt;
  header.flags = (command.mark_output ? kTaskMarkOutput : 0u) |
                 (command.reads_cloudpickle ? kTaskReadsCloudpickle : 0u) | (command.concurrent ? kTaskConcurrent : 0u);
  header.time_limit_ms =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(command.time_limit).count());
  std::string& frame = queue_.frame();
  const std::size_t before = frame.size();
  append_task(frame, header, command.args.bytes.size());
  add_payload(command.args.bytes, frame.size() - before);
  TREADLE_ASSERT_MSG(command.concurrent || ahead_.empty(), "nothing is sent behind tasks that run side by side");
  side_by_side_ = command.concurrent;
  last_sent_ = may_run_ = command.seq;
  ++tokens_owed_;
}

void ExecutorChannel::add_payload(const Buffer& raw, std::size_t frame_bytes) {
  if (raw.size() <= kMemfdAbove) return queue_.add_raw(raw);
  UniqueFd memfd = make_memfd("treadle-payload", raw.view(), true);
  if (!memfd)
    return fail(std::string("no memory for a payload of ") + std::to_string(raw.size()) +
                " bytes: " + std::strerror(errno));
  queue_.add_memfd(std::move(memfd), frame_bytes);
}

// Tokens go first: the executor may see a token without its frame, never a frame without its token.
void ExecutorChannel::add_tokens() {
  if (tokens_owed_ == 0) return;
  const ssize_t n = ::write(semaphore_.get(), &tokens_owed_, sizeof tokens_owed_);
  if (n != sizeof tokens_owed_) return fail("its semaphore is full, though only tasks add to it");
  tokens_owed_ = 0;
}

bool ExecutorChannel::flush() {
  add_tokens();
  if (!socket_ || !error_.empty()) return true;
  // A broken socket is seen by `read`, which knows what came before.
  return queue_.send(socket_.get()) != SendQueue::Sent::Full;
}

std::uint32_t ExecutorChannel::recall(std::uint32_t count) {
  add_tokens();  // of frames that have not left yet: their tasks are taken back as any other
  std::uint32_t taken = 0;
  std::uint64_t token;
  while (taken < count && may_run_ >= oldest_ && ::read(semaphore_.get(), &token, sizeof token) == sizeof token) {
    ++taken;
    --may_run_;
  }
  recall_pending_ |= taken > 0;
  return taken;
}

void ExecutorChannel::fail(std::string why) {
  if (error_.empty()) error_ = std::move(why);
}

bool ExecutorChannel::broken(std::string why) {
  fail(std::move(why));
  return false;
}

ExecutorChannel::State ExecutorChannel::read(std::vector<core::ExecutorEvent>& events) {
  for (int round = 0; round < kReadsAtOnce && error_.empty(); ++round) {
    const std::span<char> space = reader_.space();
    bool truncated = false;
    const ssize_t n = receive_with_fds(socket_.get(), space.data(), space.size(), received_fds_, truncated);
    if (n < 0 && errno == EAGAIN) return State::Open;
    if (n <= 0) return State::Closed;
    reader_.added(static_cast<std::size_t>(n));
    if (truncated || received_fds_.size() > kFdsWaiting) {
      fail("it sent too many descriptors");
      break;
    }
    // What a task wrote is in the pipes before its result is in the socket.
    if (reader_.has_frame()) drain_output();
    UpFrame frame;
    FrameReader::Next next;
    while ((next = reader_.next(frame)) == FrameReader::Next::Frame) {
      if (!take(frame, events)) return State::Broken;
    }
    if (next == FrameReader::Next::Bad) fail(std::string(reader_.why_bad()));
    if (static_cast<std::size_t>(n) < space.size() && received_fds_.empty()) break;
  }
  return error_.empty() ? State::Open : State::Broken;
}

bool ExecutorChannel::take(const UpFrame& frame, std::vector<core::ExecutorEvent>& events) {
  if (frame.type != Up::Ready && frame.type != Up::GaveUp && pid_said_ == 0) return broken("it spoke before READY");
  switch (frame.type) {
    case Up::Ready: return take_ready(frame, events);
    case Up::Result: return take_result(frame, events);
    case Up::Idle: return take_idle(frame, events);
    case Up::Started: return take_started(frame, events);
    case Up::Progress: return take_progress(frame, events);
    case Up::GaveUp: gave_up_ = printable_tail(frame.body, core::limits::kErrorText); return true;
    case Up::NeedFunction: break;
  }
  std::uint32_t function = 0;
  if (!parse_need_function(frame, function) || frame.seq != oldest_ || oldest_ > may_run_) {
    return broken("NEED_FUNCTION for task " + std::to_string(frame.seq) + ", which is not its turn");
  }
  events.emplace_back(core::event::NeedFunction{no_, frame.seq, function});
  return true;
}

bool ExecutorChannel::take_ready(const UpFrame& frame, std::vector<core::ExecutorEvent>& events) {
  ReadyBody body;
  if (!parse_ready(frame, body) || body.protocol != kProtocolVersion || body.pid == 0 || frame.seq != 0) {
    return broken("READY of another protocol");
  }
  if (pid_said_ != 0) return broken("READY twice");
  pid_said_ = body.pid;
  events.emplace_back(core::event::ExecutorReady{no_, body.pid, body.python_major, body.python_minor});
  return true;
}

bool ExecutorChannel::take_result(const UpFrame& frame, std::vector<core::ExecutorEvent>& events) {
  if (!may_answer(frame.seq)) {
    return broken("RESULT of task " + std::to_string(frame.seq) + ", which is not its turn");
  }
  ResultBody body;
  if (!parse_result(frame, body)) return broken("RESULT of the wrong shape");
  auto& done = std::get<core::event::TaskDone>(events.emplace_back(core::event::TaskDone{}));
  if (!take_payload(frame, body, done.outcome.result.bytes)) {
    events.pop_back();
    return false;
  }
  answered(frame.seq);
  done.no = no_;
  done.seq = frame.seq;
  done.outcome.kind = static_cast<core::ErrorKind>(body.kind);
  done.made_by = static_cast<core::MadeBy>(body.made_by);
  done.recycle = body.flags & kResultRecycle;
  done.outcome.measures.started_ns = body.start_ns;
  done.outcome.measures.finished_ns = body.end_ns;
  done.outcome.measures.cpu_us = body.cpu_us;
  done.outcome.measures.peak_rss = body.peak_rss;
  if (body.kind != 0) {
    const std::size_t line = std::min(body.type.find('\n'), body.type.size());  // behind it: class and bases
    done.outcome.error_type = printable_tail(body.type.substr(0, line), core::limits::kErrorText);
    body.type.remove_prefix(std::min(line + 1, body.type.size()));
    done.outcome.error_classes = printable_tail(first_words(body.type, kErrorClasses), body.type.size());
    done.outcome.error_message = printable_tail(body.message, core::limits::kErrorText);
    done.outcome.traceback = printable_tail(body.traceback, core::limits::kErrorText);
  }
  OutputCutter::Taken output = output_.take(frame.seq, idle(), side_by_side_, read_of(frame.seq));
  read_.erase(frame.seq);
  done.outcome.output = std::move(output.text);
  done.unread = std::move(output.unread);
  done.output_bytes = output.bytes;
  done.output_unmarked = output.unmarked;
  done.output_mixed = output.mixed;
  if (stack_expected_) done.stack = read_stack();
  return true;
}

// It runs, and is the first of its function: others were not sent yet.
bool ExecutorChannel::take_started(const UpFrame& frame, std::vector<core::ExecutorEvent>& events) {
  if (!may_answer(frame.seq)) {
    return broken("STARTED of task " + std::to_string(frame.seq) + ", which is not its turn");
  }
  events.emplace_back(core::event::TaskStarted{no_, frame.seq});
  return true;
}

// One that comes late, from a thread that a task left behind, is nobody's.
bool ExecutorChannel::take_progress(const UpFrame& frame, std::vector<core::ExecutorEvent>& events) {
  ProgressBody body;
  if (!parse_progress(frame, body)) return broken("PROGRESS of the wrong shape");
  if (frame.seq > may_run_) return broken("PROGRESS of task " + std::to_string(frame.seq) + ", which was not sent");
  if (!may_answer(frame.seq)) return true;
  core::event::TaskProgress told{no_, frame.seq, {body.ppm, printable_tail(body.note, core::limits::kProgressNote)}};
  events.emplace_back(std::move(told));
  return true;
}

const std::uint64_t* ExecutorChannel::read_of(std::uint64_t seq) const {
  const auto at = read_.find(seq);
  return at == read_.end() ? nullptr : &at->second;
}

core::OutputPart ExecutorChannel::read_output_of(std::uint64_t seq, std::uint64_t from) {
  core::OutputPart part = output_.read(seq, from, side_by_side_);
  read_[seq] = part.end;
  return part;
}

bool ExecutorChannel::may_answer(std::uint64_t seq) const {
  if (seq < oldest_ || seq > may_run_) return false;
  return side_by_side_ ? !ahead_.contains(seq) : seq == oldest_;
}

void ExecutorChannel::answered(std::uint64_t seq) {
  if (seq != oldest_) {
    ahead_.insert(seq);
    return;
  }
  for (++oldest_; !ahead_.empty() && *ahead_.begin() == oldest_; ++oldest_) ahead_.erase(ahead_.begin());
}

bool ExecutorChannel::take_payload(const UpFrame& frame, const ResultBody& body, Buffer& payload) {
  const std::uint64_t size = frame.memfd ? body.memfd_bytes : body.pickle.size();
  if (size > max_result_)
    return broken("RESULT of " + std::to_string(size) + " bytes, over the limit that it was told");
  if (!frame.memfd) {
    payload = Buffer::of(std::string(body.pickle));
    return true;
  }
  if (received_fds_.empty()) return broken("RESULT promises a memfd that did not come");
  const UniqueFd fd = std::move(received_fds_.front());
  received_fds_.erase(received_fds_.begin());
  std::string why;
  return map_sealed(fd, size, payload, why) || broken(std::move(why));
}

bool ExecutorChannel::take_idle(const UpFrame& frame, std::vector<core::ExecutorEvent>& events) {
  const bool allowed = recall_pending_ && oldest_ > may_run_ && frame.seq >= oldest_ && frame.seq <= last_sent_;
  if (!allowed) return broken("IDLE at task " + std::to_string(frame.seq) + ", though that was not taken back");
  oldest_ = frame.seq + 1;
  if (oldest_ > last_sent_) {
    recall_pending_ = false;
    may_run_ = last_sent_;
  }
  events.emplace_back(core::event::ExecutorIdle{no_, frame.seq});
  return true;
}

std::size_t ExecutorChannel::read_output(int which, std::size_t budget) {
  char bytes[16 << 10];
  std::size_t total = 0;
  while (pipes_[which] && total < budget) {
    const ssize_t n = ::read(pipes_[which].get(), bytes, std::min(sizeof bytes, budget - total));
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) break;
    if (n <= 0) {
      pipes_[which].reset();
      break;
    }
    output_.add(which, {bytes, static_cast<std::size_t>(n)}, idle());
    total += static_cast<std::size_t>(n);
    if (static_cast<std::size_t>(n) < sizeof bytes) break;
  }
  return total;
}

void ExecutorChannel::drain_output() {
  for (const int which : {0, 1}) read_output(which, kPipeCapacity);
}

std::string ExecutorChannel::read_stack() {
  stack_expected_ = false;
  struct stat facts;
  if (::fstat(stack_.get(), &facts) != 0 || facts.st_size <= 0) return {};
  const std::size_t wanted = std::min<std::size_t>(static_cast<std::size_t>(facts.st_size), kStackKept);
  std::string text(wanted, '\0');
  const ssize_t n = ::pread(stack_.get(), text.data(), wanted, facts.st_size - static_cast<off_t>(wanted));
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  // The executor's descriptor is the same open file: its next stack starts at the front again.
  if (::ftruncate(stack_.get(), 0) == 0) ::lseek(stack_.get(), 0, SEEK_SET);
  return printable_tail(text, kStackKept);
}

void ExecutorChannel::finish(core::event::ExecutorDied& died, std::vector<core::ExecutorEvent>& events) {
  // Everything that could write is gone, so what is left is at most what the kernel keeps for one socket and two pipes.
  while (socket_ && error_.empty()) {
    const auto before = std::make_pair(events.size(), reader_.buffered());
    if (read(events) != State::Open || before == std::make_pair(events.size(), reader_.buffered())) break;
  }
  drain_output();
  if (side_by_side_) died.unbegun = recall(std::numeric_limits<std::uint32_t>::max());
  died.no = no_;
  died.was_ready = pid_said_ != 0;
  died.stack = read_stack();
  OutputCutter::Taken output = output_.take_rest(read_of(oldest_));
  died.output = std::move(output.text);
  died.unread = std::move(output.unread);
  died.gave_up = std::move(gave_up_);
  died.protocol_error = std::move(error_);
}

}  // namespace treadle::worker

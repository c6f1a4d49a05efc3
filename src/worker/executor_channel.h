// One executor as its supervisor sees it: the socket, the token semaphore, the two output pipes and the stack file.
// Keeps the law of the pipe (docs/executor-protocol.md 3) and distrusts everything that it reads.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/executor_port.h"
#include "worker/fds.h"
#include "worker/output.h"
#include "worker/pipe_protocol.h"
#include "worker/send_queue.h"

namespace treadle::worker {

class ExecutorChannel {
 public:
  // The executor's ends, in the order in which the guard passes them on.
  using TheirEnds = std::vector<UniqueFd>;
  // Nothing, with errno, if the system has no descriptors left.
  static std::unique_ptr<ExecutorChannel> make(core::ExecutorNo no, const Mark& mark, std::uint64_t max_result,
                                               TheirEnds& theirs);

  int socket() const { return socket_.get(); }
  int pipe(int which) const { return pipes_[which].get(); }

  // Queue frames; `flush` sends them.
  void settings(std::string_view json);
  void function(const core::command::SendFunction& command);
  void task(const core::command::SendTask& command);
  void cancel(std::uint64_t seq);
  void exit();
  // False while some of it has to wait for room in the socket.
  bool flush();
  std::uint32_t recall(std::uint32_t count);

  enum class State { Open, Closed, Broken };
  // Reads what is there (bounded) and appends events. Closed: the executor's end is closed. Broken: it broke the
  // protocol, `error()` says how; nothing more is read from it.
  State read(std::vector<core::ExecutorEvent>& events);
  // Reads up to `budget` bytes of one pipe; returns how many. The pipe is closed when its other end is.
  std::size_t read_output(int which, std::size_t budget);
  void close_socket() { socket_.reset(); }

  // The end: all that is left in socket and pipes, then what there is to say about the dead.
  void finish(core::event::ExecutorDied& died, std::vector<core::ExecutorEvent>& events);

  void expect_stack() { stack_expected_ = true; }
  const std::string& error() const { return error_; }
  // What a task has written and nobody has read yet.
  core::OutputPart read_output_of(std::uint64_t seq, std::uint64_t from);
  std::uint64_t pending_output() const { return output_.pending_bytes(); }
  bool ready() const { return pid_said_ != 0; }
  std::uint32_t pid_said() const { return pid_said_; }  // by the executor itself, in READY
  void fail(std::string why);

 private:
  ExecutorChannel(core::ExecutorNo no, const Mark& mark, std::uint64_t max_result)
      : no_(no), max_result_(max_result), output_(mark) {}
  bool idle() const { return oldest_ > may_run_; }  // nothing runs, and nothing will before the next task is sent
  void add_payload(const Buffer& raw, std::size_t frame_bytes);
  void add_tokens();
  void drain_output();
  bool take(const UpFrame& frame, std::vector<core::ExecutorEvent>& events);
  bool take_ready(const UpFrame& frame, std::vector<core::ExecutorEvent>& events);
  bool take_result(const UpFrame& frame, std::vector<core::ExecutorEvent>& events);
  bool take_progress(const UpFrame& frame, std::vector<core::ExecutorEvent>& events);
  const std::uint64_t* read_of(std::uint64_t seq) const;
  bool take_started(const UpFrame& frame, std::vector<core::ExecutorEvent>& events);
  bool may_answer(std::uint64_t seq) const;
  void answered(std::uint64_t seq);
  bool take_idle(const UpFrame& frame, std::vector<core::ExecutorEvent>& events);
  bool take_payload(const UpFrame& frame, const ResultBody& body, Buffer& payload);
  bool broken(std::string why);
  std::string read_stack();

  core::ExecutorNo no_;
  std::uint64_t max_result_;
  UniqueFd socket_;
  UniqueFd semaphore_;
  std::array<UniqueFd, 2> pipes_;  // stdout, stderr
  UniqueFd stack_;
  bool stack_expected_ = false;

  SendQueue queue_;
  std::uint64_t tokens_owed_ = 0;  // for frames in queue_ that have none yet
  FrameReader reader_;
  std::vector<UniqueFd> received_fds_;  // memfds whose frames were not read yet, in order
  OutputCutter output_;
  std::map<std::uint64_t, std::uint64_t> read_;  // by seq, of tasks that run: bytes of output that were read

  std::uint32_t pid_said_ = 0;
  std::uint64_t last_sent_ = 0;    // seq of the last task; 0: none
  std::uint64_t oldest_ = 1;       // seq of the oldest unanswered task, or last_sent_ + 1
  std::uint64_t may_run_ = 0;      // seq of the last task that was not recalled
  bool side_by_side_ = false;      // the last task sent was concurrent: all unanswered ones run, and end in any order
  std::set<std::uint64_t> ahead_;  // answered though oldest_ is not; only then
  bool recall_pending_ = false;    // a recall took tokens, and IDLE(last_sent_) has not come
  std::string gave_up_;
  std::string error_;
};

}  // namespace treadle::worker

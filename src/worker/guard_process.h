// The supervisor's end of the guard: starts it, speaks with it, notices its death.
#pragma once

#include <sys/types.h>

#include <deque>
#include <string>
#include <vector>

#include "base/result.h"
#include "worker/fds.h"
#include "worker/guard_protocol.h"

namespace treadle::worker {

// How the guard is started: `program` with `arguments` after its name.
struct GuardCommand {
  std::string program = "/proc/self/exe";
  std::vector<std::string> arguments = {"--guard"};
};

// One life of a guard. Destroying it closes the socket, which makes the guard kill all below it, and waits for its end:
// at most five seconds, then the guard is killed.
class GuardProcess {
 public:
  // Must be called on a thread that lives as long as the guard may (the main thread, or the loop's).
  static Result<GuardProcess> start(const GuardCommand& command);
  GuardProcess(GuardProcess&&) = default;
  GuardProcess& operator=(GuardProcess&&) = delete;
  ~GuardProcess();

  int socket() const { return socket_.get(); }
  pid_t pid() const { return pid_; }
  // Queued if the socket is full; `flush` goes on. A guard that is gone is noticed by `receive`.
  void send(std::string packet, std::vector<UniqueFd> fds = {});
  void flush();
  bool has_unsent() const { return !outgoing_.empty(); }

  enum class Received { Packet, Nothing, Lost };
  // `packet` points into an inner buffer and is valid until the next call.
  Received receive(Packet& packet);

 private:
  struct Outgoing {
    std::string packet;
    std::vector<UniqueFd> fds;
  };
  GuardProcess(pid_t pid, UniqueFd socket) : pid_(pid), socket_(std::move(socket)), bytes_(kMaxPacket, '\0') {}

  pid_t pid_ = -1;
  UniqueFd socket_;
  std::deque<Outgoing> outgoing_;
  std::string bytes_;
};

}  // namespace treadle::worker

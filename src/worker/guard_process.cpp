#include "worker/guard_process.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "worker/guard.h"

namespace treadle::worker {
namespace {

constexpr int kGuardEndMs = 5000;

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

int spawn_with_socket(const std::string& program, char* const* argv, int socket, pid_t& pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_adddup2(&actions, socket, kGuardSocket);
  sigset_t none;
  sigset_t all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  // A session of its own from the first instruction: ^C at a terminal is the supervisor's to decide.
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
  const int error = ::posix_spawn(&pid, program.c_str(), &actions, &attributes, argv, environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  return error;
}

}  // namespace

Result<GuardProcess> GuardProcess::start(const GuardCommand& command) {
  FdPair sockets = make_socket_pair(SOCK_SEQPACKET);
  if (!sockets.first) return fail(Code::Internal, std::string("no socket for the guard: ") + std::strerror(errno));
  std::vector<std::string> arguments{"treadle"};
  arguments.insert(arguments.end(), command.arguments.begin(), command.arguments.end());
  const std::vector<char*> argv = pointers(arguments);
  pid_t pid = -1;
  if (const int error = spawn_with_socket(command.program, argv.data(), sockets.second.get(), pid); error != 0) {
    return fail(Code::Internal, "cannot start the guard " + command.program + ": " + std::strerror(error));
  }
  return GuardProcess(pid, std::move(sockets.first));
}

GuardProcess::~GuardProcess() {
  if (!socket_) return;  // moved from
  const UniqueFd pidfd = open_pidfd(pid_);
  socket_.reset();
  pollfd ending{pidfd.get(), POLLIN, 0};
  if (pidfd && ::poll(&ending, 1, kGuardEndMs) == 0) ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void GuardProcess::send(std::string packet, std::vector<UniqueFd> fds) {
  outgoing_.push_back({std::move(packet), std::move(fds)});
  flush();
}

void GuardProcess::flush() {
  while (!outgoing_.empty()) {
    const Outgoing& next = outgoing_.front();
    std::vector<int> numbers;
    for (const UniqueFd& fd : next.fds) numbers.push_back(fd.get());
    const iovec part{const_cast<char*>(next.packet.data()), next.packet.size()};
    if (send_with_fds(socket_.get(), {&part, 1}, numbers) < 0 && errno == EAGAIN) return;
    outgoing_.pop_front();  // sent, or there is nobody to send it to
  }
}

GuardProcess::Received GuardProcess::receive(Packet& packet) {
  std::vector<UniqueFd> fds;
  bool truncated = false;
  const ssize_t n = receive_with_fds(socket_.get(), bytes_.data(), bytes_.size(), fds, truncated);
  if (n < 0 && errno == EAGAIN) return Received::Nothing;
  if (n <= 0 || truncated || !parse_packet({bytes_.data(), static_cast<std::size_t>(n)}, packet)) return Received::Lost;
  return Received::Packet;
}

}  // namespace treadle::worker

#include "worker/guard.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "worker/guard_state.h"
#include "worker/zygote_launch.h"

namespace treadle::worker {
namespace {

constexpr int kPrecedence = 10;  // of nice
constexpr std::uint64_t kSliceNs = 300'000;
constexpr std::uint64_t kKeepPolicy = 8;  // SCHED_FLAG_KEEP_POLICY
constexpr std::size_t kSpawnFds = 5;      // socket, semaphore, stdout, stderr, stack file

// Who made the socket is who started us: an inherited pid in argv could be forged or stale, this cannot.
pid_t peer_of(int socket) {
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET) return -1;
  ucred peer{};
  size = sizeof peer;
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.pid : -1;
}

/// As Linux defines it; sched.h of newer C libraries has it too, under the same name.
struct Attributes {
  std::uint32_t size, policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime, deadline, period;
};

/// For this process and all below it: a sleep ends when it was asked to, and not up to 50 us later (the timer slack of
/// 1 ns); and who wakes need not wait until another's time slice of 1.4 ms or more is used up, since its own is shorter
/// (Linux 6.12).
void wake_in_time() {
  ::prctl(PR_SET_TIMERSLACK, 1);
  Attributes attributes{.size = sizeof(Attributes),
                        .policy = 0,
                        .flags = kKeepPolicy,
                        .nice = ::getpriority(PRIO_PROCESS, 0),
                        .priority = 0,
                        .runtime = kSliceNs,
                        .deadline = 0,
                        .period = 0};
  ::syscall(SYS_sched_setattr, 0, &attributes, 0);
}

}  // namespace

bool Guard::prepare() {
  supervisor_ = peer_of(control_);
  if (supervisor_ <= 0) return false;
  sigset_t heard;
  ::sigemptyset(&heard);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE}) ::sigaddset(&heard, number);
  ::sigprocmask(SIG_SETMASK, &heard, nullptr);
  ::close_range(kGuardSocket + 1, ~0u, 0);
  signals_ = UniqueFd(::signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK));
  ::prctl(PR_SET_NAME, "treadle-guard");
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  wake_in_time();
  if (::getppid() != supervisor_) leave();
  // To end what forks as fast as it can, the guard must be faster. Where that is not allowed, it takes longer.
  niceness_ = ::getpriority(PRIO_PROCESS, 0);
  ::setpriority(PRIO_PROCESS, 0, niceness_ - kPrecedence);
  ::setsid();  // away from the terminal: ^C is the supervisor's to decide
  UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  ::dup2(null.get(), 0);
  ::dup2(null.get(), 1);
  ::fcntl(control_, F_SETFD, FD_CLOEXEC);
  return static_cast<bool>(signals_);
}

void Guard::run() {
  while (!leaving_ || sweep_due_) {
    wait_for_work();
    read_signals();
    if (!leaving_) read_control();
    read_zygotes();
    if (sweep_due_) sweep();
    flush();
  }
}

void Guard::wait_for_work() {
  std::vector<pollfd> watched{{signals_.get(), POLLIN, 0}};
  if (!leaving_) {
    watched.push_back({control_, static_cast<short>(outgoing_.empty() ? POLLIN : POLLIN | POLLOUT), 0});
  }
  for (const auto& [no, zygote] : zygotes_) {
    if (zygote.socket) watched.push_back({zygote.socket.get(), POLLIN, 0});
    if (zygote.errors) watched.push_back({zygote.errors.get(), POLLIN, 0});
  }
  ::poll(watched.data(), watched.size(), sweep_due_ ? sweep_delay_ms_ : -1);
}

void Guard::read_signals() {
  signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGCHLD) sweep_due_ = true;
    if (info.ssi_signo == SIGTERM && ::getppid() != supervisor_) leave();
  }
}

void Guard::read_control() {
  static char bytes[kMaxPacket];
  while (!leaving_) {
    std::vector<UniqueFd> fds;
    bool truncated = false;
    const ssize_t n = receive_with_fds(control_, bytes, sizeof bytes, fds, truncated);
    if (n < 0 && errno == EAGAIN) return;
    Packet packet;
    if (n <= 0 || truncated || !parse_packet({bytes, static_cast<std::size_t>(n)}, packet)) return leave();
    obey(packet, fds);
  }
}

void Guard::obey(const Packet& packet, std::vector<UniqueFd>& fds) {
  switch (packet.type) {
    case GuardPacket::StartZygote: return start_zygote(packet, fds);
    case GuardPacket::Spawn: return spawn(packet, fds);
    case GuardPacket::Signal:
      if (const auto it = executors_.find(packet.id);
          it != executors_.end() && it->second.pid > 0 && !it->second.exited) {
        ::kill(it->second.pid, static_cast<int>(packet.small));
      }
      return;
    case GuardPacket::KillTree: return kill_tree(packet.id);
    case GuardPacket::StopZygote:
      if (const auto it = zygotes_.find(packet.small); it != zygotes_.end() && !it->second.exited) {
        ::kill(it->second.pid, SIGKILL);
      }
      return;
    default:
      std::fprintf(stderr, "treadle guard: unknown packet %u\n", static_cast<unsigned>(packet.type));
      return leave();
  }
}

void Guard::start_zygote(const Packet& packet, const std::vector<UniqueFd>& fds) {
  if (fds.size() != 1) return leave();
  auto launched = launch_zygote(packet.rest, fds[0].get(), niceness_);
  if (!launched) {
    return report(make_packet(GuardPacket::ZygoteDied, packet.small, 0, launched.error().message));
  }
  Zygote& zygote = zygotes_[packet.small];
  zygote.pid = launched->pid;
  zygote.socket = std::move(launched->socket);
  zygote.errors = std::move(launched->errors);
}

void Guard::spawn(const Packet& packet, const std::vector<UniqueFd>& fds) {
  const auto it = zygotes_.find(packet.small);
  if (it == zygotes_.end() || it->second.exited || !it->second.socket) {
    return fail_spawn(packet.id, ESRCH, "its zygote is gone");
  }
  if (fds.size() != kSpawnFds) return fail_spawn(packet.id, EBADF, "descriptors are missing");
  std::string message = "F";
  message.append(reinterpret_cast<const char*>(&packet.id), sizeof packet.id);
  message.append(packet.rest);
  int numbers[kSpawnFds];
  for (std::size_t i = 0; i < kSpawnFds; ++i) numbers[i] = fds[i].get();
  const iovec part{message.data(), message.size()};
  if (send_with_fds(it->second.socket.get(), {&part, 1}, numbers) < 0) {
    return fail_spawn(packet.id, static_cast<std::uint32_t>(errno), "its zygote does not take orders");
  }
  executors_[packet.id].zygote = packet.small;
}

// An executor may have said READY, and worse, before its middle parent has reported it: then it is killed when that
// comes.
void Guard::kill_tree(std::uint64_t id) {
  const auto it = executors_.find(id);
  if (it == executors_.end()) return;
  it->second.kill = true;
  sweep_due_ = true;
  sweep_delay_ms_ = 0;
}

void Guard::report(std::string packet) {
  if (leaving_) return;
  outgoing_.push_back(std::move(packet));
  flush();
}

void Guard::flush() {
  while (!outgoing_.empty() && !leaving_) {
    const iovec part{outgoing_.front().data(), outgoing_.front().size()};
    if (send_with_fds(control_, {&part, 1}, {}) < 0) {
      if (errno != EAGAIN) leave();
      return;
    }
    outgoing_.pop_front();
  }
}

// The supervisor is gone. From now on every child is a victim, and the loop ends when none is left.
void Guard::leave() {
  leaving_ = true;
  sweep_due_ = true;
  sweep_delay_ms_ = 0;
}

int run_guard() {
  Guard guard(kGuardSocket);
  if (!guard.prepare()) {
    std::fputs("treadle --guard is started by treadle itself, with a socket as descriptor 3\n", stderr);
    return 2;
  }
  guard.run();
  return 0;
}

}  // namespace treadle::worker

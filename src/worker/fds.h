// File descriptors that close themselves, and the few system calls that pass them between processes.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace treadle::worker {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

struct FdPair {
  UniqueFd first;
  UniqueFd second;
};

// All are close-on-exec; the first end (ours) does not block. Empty when the system has no descriptors left.
FdPair make_socket_pair(int type);
FdPair make_pipe();  // first: the read end

// A memfd with these bytes. `sealed`: nobody can change it any more. Empty, with errno, on failure.
UniqueFd make_memfd(const char* name, std::string_view bytes, bool sealed);

inline constexpr std::size_t kMaxPassedFds = 8;  // in one message

// One sendmsg without SIGPIPE and without waiting. As `sendmsg`: bytes sent, or -1 with errno.
ssize_t send_with_fds(int socket, std::span<const iovec> parts, std::span<const int> fds);

// One recvmsg without waiting. Received descriptors (close-on-exec) are appended to `fds`. `truncated` is set when more
// bytes or descriptors came than there was room for.
ssize_t receive_with_fds(int socket, char* to, std::size_t room, std::vector<UniqueFd>& fds, bool& truncated);

// For a signal to, or news of, exactly this process; empty if it is gone.
UniqueFd open_pidfd(pid_t pid);

}  // namespace treadle::worker

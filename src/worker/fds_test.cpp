#include "worker/fds.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace treadle::worker {
namespace {

ssize_t send_text(int socket, const std::string& text, std::span<const int> fds = {}) {
  const iovec part{const_cast<char*>(text.data()), text.size()};
  return send_with_fds(socket, {&part, 1}, fds);
}

std::string receive_text(int socket, std::vector<UniqueFd>& fds, bool& truncated) {
  char bytes[64];
  const ssize_t n = receive_with_fds(socket, bytes, sizeof bytes, fds, truncated);
  return n < 0 ? std::string("error ") + std::to_string(errno) : std::string(bytes, static_cast<std::size_t>(n));
}

TEST(Fds, ArriveAsTheFilesThatWereSent) {
  const FdPair pair = make_socket_pair(SOCK_SEQPACKET);
  const UniqueFd first = make_memfd("first", "one", true);
  const UniqueFd second = make_memfd("second", "two", false);
  const int both[] = {first.get(), second.get()};
  EXPECT_EQ(send_text(pair.second.get(), "hello", both), 5);
  std::vector<UniqueFd> fds;
  bool truncated = true;
  EXPECT_EQ(receive_text(pair.first.get(), fds, truncated), "hello");
  EXPECT_FALSE(truncated);
  ASSERT_EQ(fds.size(), 2u);
  char text[4] = {};
  EXPECT_EQ(::pread(fds[1].get(), text, 3, 0), 3);
  EXPECT_STREQ(text, "two");
  EXPECT_TRUE(::fcntl(fds[0].get(), F_GETFD) & FD_CLOEXEC);
  EXPECT_LT(::pwrite(fds[0].get(), "x", 1, 0), 0) << "sealed";
  EXPECT_EQ(::pwrite(fds[1].get(), "x", 1, 0), 1) << "not sealed";
}

TEST(Fds, MoreThanThereIsRoomForIsTold) {
  const FdPair pair = make_socket_pair(SOCK_SEQPACKET);
  send_text(pair.second.get(), std::string(65, 'x'));
  std::vector<UniqueFd> fds;
  bool truncated = false;
  receive_text(pair.first.get(), fds, truncated);
  EXPECT_TRUE(truncated);
}

// A process that dies with unread packets makes the kernel say ECONNRESET before it hands over what that process had
// sent.
TEST(Fds, LastWordsOfAPeerThatReadNothingAreHeard) {
  for (const int type : {SOCK_SEQPACKET, SOCK_STREAM}) {
    FdPair pair = make_socket_pair(type);
    EXPECT_GT(send_text(pair.first.get(), "never read"), 0);
    EXPECT_GT(send_text(pair.second.get(), "last words"), 0);
    pair.second.reset();
    std::vector<UniqueFd> fds;
    bool truncated = false;
    EXPECT_EQ(receive_text(pair.first.get(), fds, truncated), "last words");
    EXPECT_EQ(receive_text(pair.first.get(), fds, truncated), "");
  }
}

TEST(Fds, AnEmptySocketSaysSo) {
  const FdPair pair = make_socket_pair(SOCK_STREAM);
  std::vector<UniqueFd> fds;
  bool truncated = false;
  EXPECT_EQ(receive_text(pair.first.get(), fds, truncated), "error " + std::to_string(EAGAIN));
}

}  // namespace
}  // namespace treadle::worker

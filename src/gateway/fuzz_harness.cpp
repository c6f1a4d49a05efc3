#include "gateway/fuzz_harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/assert.h"
#include "gateway/testing.h"

namespace treadle::gateway {

namespace {

// libFuzzer's alarm (one every few seconds, without SA_RESTART) can interrupt any call here. An interrupted connect
// goes on by itself: wait for its end.
int connect_whole(int fd, const sockaddr_in& to) {
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) return 0;
  if (errno != EINTR) return errno;
  pollfd ended{fd, POLLOUT, 0};
  while (poll(&ended, 1, -1) < 0 && errno == EINTR) {
  }
  int error = 0;
  socklen_t size = sizeof error;
  TREADLE_ASSERT(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0);
  return error;
}

template <class Call>
ssize_t uninterrupted(Call call) {
  ssize_t got = 0;
  do {
    got = call();
  } while (got < 0 && errno == EINTR);
  return got;
}

}  // namespace

struct FuzzHarness::Impl {
  testing::TestClock clock;
  testing::FakeStore store;
  testing::FakeStatus status;
  IdSource ids{clock};
  boost::asio::io_context io{1};
  std::unique_ptr<Gateway> gateway;
  std::string answers;
  unsigned connections = 0;
  bool ended = false;  // the gateway closed its side

  Impl() {
    GatewayConfig config;
    config.port = 0;
    config.max_payload = 10'000;
    gateway = std::make_unique<Gateway>(io, store, config, status, ids, clock);
    TREADLE_ASSERT(gateway->listen().has_value());
    store.keep_submissions = false;
  }

  int connect_to() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // Where the gateway closed first, the pair of ports rests for a minute: take another loopback address now and then.
    sockaddr_in from{};
    from.sin_family = AF_INET;
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + connections++ / 10'000 % 250);
    const int late = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &late, sizeof late);
    TREADLE_ASSERT(bind(fd, reinterpret_cast<sockaddr*>(&from), sizeof from) == 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(gateway->port());
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int error = connect_whole(fd, to);
    TREADLE_ASSERT_MSG(error == 0, std::strerror(error));
    TREADLE_ASSERT(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    return fd;
  }

  void spin(int fd) {
    std::size_t handlers = 0;
    do {
      handlers = io.poll();
      gateway->turn(clock.now());
      for (auto& [task, done] : std::exchange(store.waits, {})) done(fail(Code::NotFound, "no task"));
      char piece[4096];
      ssize_t got = 0;
      while ((got = uninterrupted([&] { return recv(fd, piece, sizeof piece, 0); })) > 0)
        answers.append(piece, static_cast<std::size_t>(got));
      ended = ended || got == 0;
    } while (handlers > 0);
  }
};

FuzzHarness::FuzzHarness() : impl_(std::make_unique<Impl>()) {}
FuzzHarness::~FuzzHarness() = default;

void FuzzHarness::run(std::string_view bytes, std::size_t cut) {
  Impl& impl = *impl_;
  impl.answers.clear();
  impl.ended = false;
  const int fd = impl.connect_to();
  for (; !bytes.empty() && !impl.ended; bytes.remove_prefix(std::min(cut, bytes.size()))) {
    const std::string_view piece = bytes.substr(0, cut);
    if (uninterrupted([&] { return send(fd, piece.data(), piece.size(), MSG_NOSIGNAL); }) < 0) break;
    impl.spin(fd);
  }
  shutdown(fd, SHUT_WR);
  for (int i = 0; i < 100 && !impl.ended; ++i) impl.spin(fd);
  TREADLE_ASSERT_MSG(impl.ended, "the gateway did not close after the end of the input");
  TREADLE_ASSERT_MSG(impl.answers.empty() || impl.answers.starts_with("HTTP/1.1 "), "not an HTTP answer");
  TREADLE_ASSERT_MSG(impl.answers.find("HTTP/1.1 500 Internal Server Error\r\nDate: ") == std::string::npos,
                     "a request was answered 500");
  close(fd);
  impl.store.tasks.clear();
  impl.store.stories.clear();
  impl.store.keys.clear();
  if (impl.store.functions.size() > 100) impl.store.functions.clear();
}

}  // namespace treadle::gateway

#include "tests/redis/tap.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <deque>
#include <list>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <vector>

#include "store/redis/resp.h"

namespace treadle::store::redis::testing {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kBacklogMax = 4u << 20;  // taken from one side and not passed on yet

struct Fault {
  int left = 0;  // commands until it strikes; 0: not armed
  std::string command;

  bool hit(const std::string& name, bool counted) {
    if (left == 0 || (command.empty() ? !counted : command != name)) return false;
    return --left == 0;
  }
};

// Bytes on their way to one side.
struct Flow {
  int from = -1, to = -1;
  std::deque<std::pair<Clock::time_point, std::string>> backlog;  // each with the time when it may go
  std::size_t waiting = 0;
  RespParser parser;
  std::uint64_t passed_values = 0;
};

struct Connection {
  Flow up, down;
  std::optional<std::uint64_t> doomed_reply;  // number of the reply that breaks the connection
  bool closed = false;
  ~Connection() {
    ::close(up.from);
    ::close(down.from);
  }
};

int connect_to(const Address& server) {
  int fd = -1;
  int result = -1;
  if (server.kind == Address::Kind::Unix) {
    fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, server.path.c_str(), sizeof address.sun_path - 1);
    result = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
  } else {
    fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server.port);
    ::inet_pton(AF_INET, server.host.c_str(), &address.sin_addr);
    result = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
  }
  if (result == 0) return fd;
  ::close(fd);
  return -1;
}

void no_delay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

bool is_counted(const std::string& name) {
  for (const char* quiet : {"HELLO", "AUTH", "SELECT", "CLIENT", "PING", "SUBSCRIBE", "UNSUBSCRIBE"})
    if (name == quiet) return false;
  return true;
}

}  // namespace

struct Tap::Impl {
  explicit Impl(const Address& server_in) : server(server_in) {
    listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener, 64) != 0 ||
        ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw std::runtime_error("the tap cannot listen");
    port = ntohs(address.sin_port);
    wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    thread = std::thread([this] { run(); });
  }

  ~Impl() {
    change([this] { stopping = true; });
    thread.join();
    connections.clear();
    ::close(listener);
    ::close(wake);
  }

  template <class F>
  void change(F f) {
    {
      const std::lock_guard hold(mutex);
      f();
    }
    const std::uint64_t one = 1;
    (void)!::write(wake, &one, sizeof one);
  }

  // ---- the thread ----

  void run() {
    std::unique_lock hold(mutex);
    while (!stopping) {
      std::vector<pollfd> fds{{wake, POLLIN, 0}, {listener, POLLIN, 0}};
      for (const auto& c : connections)
        for (const Flow* flow : {&c.up, &c.down})
          if (!frozen && flow->waiting < kBacklogMax) fds.push_back({flow->from, POLLIN, 0});
      const int timeout = next_timeout();
      hold.unlock();
      ::poll(fds.data(), fds.size(), timeout);
      hold.lock();
      std::uint64_t count;
      (void)!::read(wake, &count, sizeof count);
      if (fds[1].revents) accept();
      if (frozen) continue;
      for (auto& c : connections) {
        take(c, c.up, true);
        if (!c.closed) take(c, c.down, false);
        if (!c.closed) pass(c, c.up);
        if (!c.closed) pass(c, c.down);
      }
      connections.remove_if([](const Connection& c) { return c.closed; });
    }
  }

  int next_timeout() const {
    int timeout = 100;
    for (const auto& c : connections)
      for (const Flow* flow : {&c.up, &c.down})
        if (!flow->backlog.empty()) timeout = 1;
    return frozen ? 100 : timeout;
  }

  void accept() {
    const int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0) return;
    const int upstream = refused ? -1 : connect_to(server);
    if (upstream < 0) {
      ::close(client);
      return;
    }
    ++accepted;
    no_delay(client);
    no_delay(upstream);
    auto& c = connections.emplace_back();
    c.up.from = c.down.to = client;
    c.up.to = c.down.from = upstream;
  }

  // Reads what has come, and looks for the commands or replies in it.
  void take(Connection& c, Flow& flow, bool commands_flow) {
    char buffer[64 << 10];
    while (flow.waiting < kBacklogMax) {
      const ssize_t n = ::recv(flow.from, buffer, sizeof buffer, MSG_DONTWAIT);
      if (n < 0) return;
      if (n == 0) {
        c.closed = true;
        flush_before_close(c);
        return;
      }
      std::string_view input(buffer, static_cast<std::size_t>(n));
      while (!input.empty() && !c.closed) look(c, flow, input, commands_flow);
      if (c.closed) return;
    }
  }

  // Passes on one value of `input`, or the piece of one; or strikes.
  void look(Connection& c, Flow& flow, std::string_view& input, bool commands_flow) {
    const std::string_view before = input;
    auto value = flow.parser.next(input);
    if (!value) throw std::runtime_error("the tap does not understand: " + value.error().message);
    const std::string_view piece = before.substr(0, before.size() - input.size());
    if (*value && commands_flow ? strikes_command(c, flow, (*value)->reply)
                                : *value && !(*value)->push && strikes_reply(c, flow)) {
      ++struck;
      c.closed = true;
      return flush_before_close(c);
    }
    put(c, flow, piece, commands_flow);
  }

  bool strikes_command(Connection& c, Flow& flow, const Reply& command) {
    std::string name = command.items.empty() ? "" : command.items[0].text;
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char ch) { return std::toupper(ch); });
    const bool counted = is_counted(name);
    if (counted) ++commands;
    if (drop_command.hit(name, counted)) return true;
    if (name == "SUBSCRIBE" || name == "UNSUBSCRIBE") return false;  // answered by a push, not by a reply
    const std::uint64_t number = flow.passed_values++;
    if (drop_reply.hit(name, counted)) c.doomed_reply = number;
    return false;
  }

  bool strikes_reply(Connection& c, Flow& flow) {
    const std::uint64_t number = flow.passed_values++;
    return c.doomed_reply && *c.doomed_reply == number;
  }

  void put(Connection& c, Flow& flow, std::string_view piece, bool to_server) {
    auto& budget = to_server ? cut_to_server : cut_to_client;
    bool cut = false;
    if (budget) {
      cut = piece.size() >= *budget;
      piece = piece.substr(0, *budget);
      *budget -= piece.size();
    }
    flow.backlog.emplace_back(Clock::now() + (to_server ? std::chrono::milliseconds(0) : delay), std::string(piece));
    flow.waiting += piece.size();
    if (!cut) return;
    budget.reset();
    ++struck;
    c.closed = true;
    flush_before_close(c);
  }

  void pass(Connection& c, Flow& flow) {
    while (!flow.backlog.empty() && flow.backlog.front().first <= Clock::now()) {
      std::string& piece = flow.backlog.front().second;
      const ssize_t n = ::send(flow.to, piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0 && errno != EAGAIN) c.closed = true;
      if (n <= 0 && !piece.empty()) return;
      flow.waiting -= static_cast<std::size_t>(std::max<ssize_t>(n, 0));
      piece.erase(0, static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
      if (!piece.empty()) return;
      flow.backlog.pop_front();
    }
  }

  // What came before the break arrives, as it would on a wire.
  void flush_before_close(Connection& c) {
    for (Flow* flow : {&c.up, &c.down})
      for (const auto& [when, piece] : flow->backlog)
        (void)!::send(flow->to, piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }

  const Address server;
  int listener = -1, wake = -1;
  std::uint16_t port = 0;
  std::thread thread;

  mutable std::mutex mutex;  // guards all that follows
  std::list<Connection> connections;
  Fault drop_reply, drop_command;
  std::optional<std::uint64_t> cut_to_client, cut_to_server;
  std::chrono::milliseconds delay{0};
  bool frozen = false, refused = false, stopping = false;
  int struck = 0, commands = 0, accepted = 0;
};

Tap::Tap(const Address& server) : impl_(std::make_unique<Impl>(server)) {}
Tap::~Tap() = default;

Address Tap::address() const {
  Address address = impl_->server;
  address.kind = Address::Kind::Tcp;
  address.host = "127.0.0.1";
  address.port = impl_->port;
  return address;
}

void Tap::drop_reply(int nth, std::string command) {
  impl_->change([&] { impl_->drop_reply = {nth, std::move(command)}; });
}
void Tap::drop_command(int nth, std::string command) {
  impl_->change([&] { impl_->drop_command = {nth, std::move(command)}; });
}
void Tap::cut_after_bytes_to_client(std::uint64_t bytes) {
  impl_->change([&] { impl_->cut_to_client = bytes; });
}
void Tap::cut_after_bytes_to_server(std::uint64_t bytes) {
  impl_->change([&] { impl_->cut_to_server = bytes; });
}
void Tap::delay(std::chrono::milliseconds each) {
  impl_->change([&] { impl_->delay = each; });
}
void Tap::freeze(bool frozen) {
  impl_->change([&] { impl_->frozen = frozen; });
}
void Tap::refuse(bool refused) {
  impl_->change([&] {
    impl_->refused = refused;
    if (refused) impl_->connections.clear();
  });
}
void Tap::cut_all() {
  impl_->change([&] { impl_->connections.clear(); });
}

int Tap::struck() const {
  const std::lock_guard hold(impl_->mutex);
  return impl_->struck;
}
bool Tap::armed() const {
  const std::lock_guard hold(impl_->mutex);
  return impl_->drop_reply.left > 0 || impl_->drop_command.left > 0 || impl_->cut_to_client || impl_->cut_to_server ||
         std::any_of(impl_->connections.begin(), impl_->connections.end(),
                     [](const Connection& c) { return c.doomed_reply.has_value(); });
}
int Tap::commands() const {
  const std::lock_guard hold(impl_->mutex);
  return impl_->commands;
}
int Tap::accepted() const {
  const std::lock_guard hold(impl_->mutex);
  return impl_->accepted;
}

}  // namespace treadle::store::redis::testing

#include "cli/http_get.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <utility>

namespace treadle::cli {
namespace {

constexpr std::string_view kScheme = "http://";

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

int milliseconds(Duration time) { return static_cast<int>(time / 1ms); }

bool wait_for(int fd, short events, Duration patience) {
  pollfd one{fd, events, 0};
  int ready = 0;
  do {
    ready = poll(&one, 1, milliseconds(patience));
  } while (ready < 0 && errno == EINTR);
  return ready == 1;
}

Error unreachable(const ServiceUrl& service, const std::string& why) {
  return fail(Code::Unavailable, "cannot reach " + service.text + " (" + why +
                                     "). Is the service running (treadle serve)? Name another with --url.");
}

// One address; nothing if nobody listens there.
int connect_to(const addrinfo& address) {
  const int fd = socket(address.ai_family, address.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address.ai_protocol);
  if (fd < 0) return -1;
  Socket guard(fd);
  if (connect(fd, address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return -1;
    int error = ETIMEDOUT;
    socklen_t size = sizeof error;
    if (wait_for(fd, POLLOUT, kHttpConnect)) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
      errno = error;
      return -1;
    }
  }
  return dup(fd);
}

Result<Socket> open_socket(const ServiceUrl& service) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(service.host.c_str(), std::to_string(service.port).c_str(), &hints, &found);
  if (failed != 0) return unreachable(service, gai_strerror(failed));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> all(found, freeaddrinfo);
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    if (const int fd = connect_to(*one); fd >= 0) return Socket(fd);
  }
  return unreachable(service, std::strerror(errno));
}

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0)
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    else if (sent < 0 && errno != EINTR && (errno != EAGAIN || !wait_for(fd, POLLOUT, kHttpSilence)))
      return false;
  }
  return true;
}

Result<std::string> read_to_end(int fd, const ServiceUrl& service) {
  std::string bytes;
  char piece[64u << 10];
  while (true) {
    if (!wait_for(fd, POLLIN, kHttpSilence)) return unreachable(service, "it does not answer");
    const ssize_t got = recv(fd, piece, sizeof piece, 0);
    if (got == 0) return bytes;
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return unreachable(service, std::strerror(errno));
    bytes.append(piece, static_cast<std::size_t>(got));
    if (bytes.size() > kHttpMostBytes)
      return fail(Code::Unavailable, "the answer of " + service.text + " is over " + std::to_string(kHttpMostBytes) +
                                         " bytes; this is not a treadle service.");
  }
}

}  // namespace

Result<ServiceUrl> parse_service_url(const std::string& text) {
  const Error wrong = fail(Code::Invalid, "'" + text + "' is not an address like http://127.0.0.1:8000.");
  ServiceUrl url;
  url.text = text;
  while (url.text.ends_with('/')) url.text.pop_back();
  if (!url.text.starts_with(kScheme)) return wrong;
  std::string_view rest = std::string_view(url.text).substr(kScheme.size());
  const auto port = rest.rfind(':');
  const bool bracket = rest.ends_with(']');
  if (port != std::string_view::npos && !bracket) {
    const std::string_view digits = rest.substr(port + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
    if (error != std::errc() || end != digits.data() + digits.size() || url.port == 0) return wrong;
    rest = rest.substr(0, port);
  }
  if (rest.starts_with('[') && rest.ends_with(']')) rest = rest.substr(1, rest.size() - 2);
  if (rest.empty() || rest.find_first_of("/?#@ ") != std::string_view::npos) return wrong;
  url.host = rest;
  return url;
}

// HTTP/1.0: the answer ends with the connection and is never chunked.
Result<HttpAnswer> http_get(const ServiceUrl& service, const std::string& path) {
  TRY(const Socket socket, open_socket(service));
  const std::string host = service.text.substr(kScheme.size());
  if (!send_all(socket.fd(), "GET " + path + " HTTP/1.0\r\nHost: " + host + "\r\nAccept: application/json\r\n\r\n"))
    return unreachable(service, "it closed the connection");
  TRY(const std::string bytes, read_to_end(socket.fd(), service));
  HttpAnswer answer;
  const auto end = bytes.find("\r\n\r\n");
  const bool http = bytes.starts_with("HTTP/1.") && bytes.size() > 12 && end != std::string::npos;
  if (!http || std::from_chars(bytes.data() + 9, bytes.data() + 12, answer.status).ec != std::errc())
    return unreachable(service, "what answers there does not speak HTTP");
  answer.body = bytes.substr(end + 4);
  return answer;
}

}  // namespace treadle::cli

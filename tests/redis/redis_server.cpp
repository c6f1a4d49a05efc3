#include "tests/redis/redis_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>
#include <vector>

namespace treadle::store::redis::testing {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 20s;  // for a start or an end, on a busy machine

pid_t spawn(const std::vector<std::string>& words, const std::string& log) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("fork failed");
  if (pid > 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that crashes leaves nothing behind
  const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  ::dup2(fd, 1);
  ::dup2(fd, 2);
  ::execvp(argv[0], argv.data());
  ::_exit(127);
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void run(const std::vector<std::string>& words, const std::filesystem::path& folder) {
  const std::string log = (folder / "command.log").string();
  int status = 0;
  if (::waitpid(spawn(words, log), &status, 0) < 0 || status != 0)
    throw std::runtime_error(words[0] + " failed: " + text_of(log));
}

bool accepts(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  const bool connected = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return connected;
}

}  // namespace

std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool bound = ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  ::close(fd);
  if (!bound) throw std::runtime_error("no free port");
  return ntohs(address.sin_port);
}

RedisServer::RedisServer(ServerOptions options) : options_(std::move(options)) {
  std::string name = (std::filesystem::temp_directory_path() / "treadle-redis-XXXXXX").string();
  if (!::mkdtemp(name.data())) throw std::runtime_error("no folder for a redis-server");
  folder_ = name;
  try {
    if (options_.tls) make_certificate();
    // Between the choice of a port and its use another program may take it: then another is chosen.
    for (int left = 5;; --left) {
      port_ = free_port();
      tls_port_ = options_.tls ? free_port() : 0;
      write_settings();
      try {
        start();
        return;
      } catch (const std::runtime_error&) {
        if (left == 0 || text_of(folder_ / "redis.log").find("bind: Address already in use") == std::string::npos)
          throw;
      }
    }
  } catch (...) {
    std::filesystem::remove_all(folder_);
    throw;
  }
}

RedisServer::~RedisServer() {
  if (pid_ > 0) kill();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void RedisServer::write_settings() {
  std::map<std::string, std::string> lines = {{"bind", "127.0.0.1"},
                                              {"port", std::to_string(port_)},
                                              {"unixsocket", (folder_ / "redis.sock").string()},
                                              {"dir", folder_.string()},
                                              {"save", "\"\""},
                                              {"appendonly", "no"},
                                              {"daemonize", "no"},
                                              {"enable-debug-command", "yes"}};
  if (options_.tls) {
    lines["tls-port"] = std::to_string(tls_port_);
    lines["tls-cert-file"] = (folder_ / "server.crt").string();
    lines["tls-key-file"] = (folder_ / "server.key").string();
    lines["tls-ca-cert-file"] = ca_file();
    lines["tls-auth-clients"] = "no";
  }
  for (const auto& [key, value] : options_.settings) lines[key] = value;
  std::ofstream out(folder_ / "redis.conf");
  for (const auto& [key, value] : lines) out << key << ' ' << value << '\n';
}

void RedisServer::make_certificate() {
  run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
       "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout",
       (folder_ / "server.key").string(), "-out", (folder_ / "server.crt").string()},
      folder_);
}

std::string RedisServer::ca_file() const { return (folder_ / "server.crt").string(); }

void RedisServer::start() {
  if (pid_ > 0) throw std::runtime_error("redis-server runs already");
  std::filesystem::remove(folder_ / "redis.sock");
  pid_ = spawn({options_.program, (folder_ / "redis.conf").string()}, (folder_ / "redis.log").string());
  wait_until_up();
}

void RedisServer::wait_until_up() {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!accepts((folder_ / "redis.sock").string())) {
    int status = 0;
    const bool ended = ::waitpid(pid_, &status, WNOHANG) == pid_;
    if (!ended && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(2ms);
      continue;
    }
    if (!ended) end_with(SIGKILL);
    pid_ = -1;
    throw std::runtime_error("redis-server did not start: " + text_of(folder_ / "redis.log"));
  }
}

void RedisServer::end_with(int signal) {
  if (pid_ <= 0) throw std::runtime_error("redis-server does not run");
  ::kill(pid_, signal);
  if (signal != SIGKILL) ::kill(pid_, SIGCONT);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void RedisServer::terminate() { end_with(SIGTERM); }
void RedisServer::kill() { end_with(SIGKILL); }
void RedisServer::pause() { ::kill(pid_, SIGSTOP); }
void RedisServer::resume() { ::kill(pid_, SIGCONT); }

Address RedisServer::tcp() const {
  Address address;
  address.port = port_;
  if (const auto at = options_.settings.find("requirepass"); at != options_.settings.end())
    address.password = at->second;
  return address;
}

Address RedisServer::unix_socket() const {
  Address address = tcp();
  address.kind = Address::Kind::Unix;
  address.path = (folder_ / "redis.sock").string();
  return address;
}

Address RedisServer::tls() const {
  Address address = tcp();
  address.kind = Address::Kind::Tls;
  address.host = "localhost";
  address.port = tls_port_;
  address.ca_file = ca_file();
  return address;
}

}  // namespace treadle::store::redis::testing

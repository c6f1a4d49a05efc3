#include "cli/port_owner.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace treadle::cli {
namespace {

namespace fs = std::filesystem;
constexpr int kListen = 0x0A;
constexpr int kPortsTried = 100;

// Inodes of the sockets that listen on the port, from one of /proc/net/tcp and tcp6.
void listening_inodes(const char* table, std::uint16_t port, std::set<std::string>& inodes) {
  std::ifstream file(table);
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string slot, local, remote, state, queues, timer, retransmits, uid, timeout, inode;
    words >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> uid >> timeout >> inode;
    const auto colon = local.rfind(':');
    if (colon == std::string::npos) continue;
    const bool here =
        std::stoul(local.substr(colon + 1), nullptr, 16) == port && std::stoul(state, nullptr, 16) == kListen;
    if (here) inodes.insert("socket:[" + inode + "]");
  }
}

bool holds_one_of(const fs::path& process, const std::set<std::string>& inodes) {
  std::error_code error;
  for (const auto& fd : fs::directory_iterator(process / "fd", error)) {
    if (inodes.contains(fs::read_symlink(fd.path(), error).string())) return true;
  }
  return false;
}

}  // namespace

std::string port_owner(std::uint16_t port) {
  std::set<std::string> inodes;
  listening_inodes("/proc/net/tcp", port, inodes);
  listening_inodes("/proc/net/tcp6", port, inodes);
  std::error_code error;
  for (const auto& process : fs::directory_iterator("/proc", error)) {
    const std::string pid = process.path().filename().string();
    if (pid.find_first_not_of("0123456789") != std::string::npos || !holds_one_of(process.path(), inodes)) continue;
    std::ifstream name_file(process.path() / "comm");
    std::string name;
    std::getline(name_file, name);
    return "pid " + pid + " (" + name + ")";
  }
  return "another process";
}

std::uint16_t next_free_port(std::uint16_t port) {
  for (int candidate = port + 1; candidate < port + kPortsTried && candidate < 65536; ++candidate) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(candidate));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool free = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    close(fd);
    if (free) return static_cast<std::uint16_t>(candidate);
  }
  return 0;
}

}  // namespace treadle::cli

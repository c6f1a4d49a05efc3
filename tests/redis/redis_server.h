// A redis-server of one test: in a folder of its own, stopped, killed and started again at will.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "base/result.h"
#include "store/redis/address.h"

namespace treadle::store::redis::testing {

struct ServerOptions {
  // Lines of redis.conf, e.g. {"appendonly", "yes"}. A setting that the fixture makes too is overridden.
  std::map<std::string, std::string> settings;
  bool tls = false;  // also listens with TLS, under a certificate for "localhost" and 127.0.0.1 made by the fixture
  std::string program = "redis-server";
};

// Throws std::runtime_error where it cannot do what it is told. Nothing survives the object.
class RedisServer {
 public:
  explicit RedisServer(ServerOptions options = {});
  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  // With requirepass these carry the password.
  Address tcp() const;
  Address unix_socket() const;
  Address tls() const;
  std::string ca_file() const;
  const std::filesystem::path& folder() const { return folder_; }
  pid_t pid() const { return pid_; }

  // Starts it, on the same ports and data; returns when it accepts connections (it may still be loading).
  void start();
  void terminate();  // SIGTERM: saves what its settings say; returns when it is gone
  void kill();       // SIGKILL
  void pause();      // SIGSTOP
  void resume();     // SIGCONT

 private:
  void write_settings();
  void make_certificate();
  void wait_until_up();
  void end_with(int signal);

  ServerOptions options_;
  std::filesystem::path folder_;
  std::uint16_t port_ = 0, tls_port_ = 0;
  pid_t pid_ = -1;
};

// A loopback port that was free a moment ago.
std::uint16_t free_port();

}  // namespace treadle::store::redis::testing

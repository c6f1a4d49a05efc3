#include <gtest/gtest.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/cpus.h"
#include "cli/port_owner.h"
#include "cli/serve_options.h"

namespace treadle::cli {
namespace {

TEST(ServeOptions, SeedSpellingsOfTheSlotsMeanTheSame) {
  for (const char* flag : {"-w", "--workers", "--worker", "--num_workers", "--num_worker_processors"}) {
    const auto parsed = parse_serve_options({"-m", "local", flag, "7", "-t", "1.5"});
    ASSERT_TRUE(std::holds_alternative<ServeOptions>(parsed)) << flag;
    EXPECT_EQ(std::get<ServeOptions>(parsed).slots, 7);
    EXPECT_DOUBLE_EQ(std::get<ServeOptions>(parsed).timeout_s, 1.5);
  }
}

TEST(ServeOptions, WrongFlagsModesAndValuesExitWithTwo) {
  for (const Arguments& wrong : {Arguments{"--nosuchflag"}, Arguments{"-m", "sideways"}, Arguments{"-m", "push"},
                                 Arguments{"--port", "70000"}, Arguments{"-w", "0"}, Arguments{"--durability", "maybe"},
                                 Arguments{"--created-status", "204"}, Arguments{"--store", "redis"}}) {
    const auto parsed = parse_serve_options(wrong);
    ASSERT_TRUE(std::holds_alternative<int>(parsed)) << wrong[0];
    EXPECT_EQ(std::get<int>(parsed), kExitUsage) << wrong[0];
  }
}

TEST(PortOwner, NamesThisProcessAndFindsAFreeNeighbour) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(fd, 1), 0);
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  const std::uint16_t port = ntohs(address.sin_port);
  EXPECT_NE(port_owner(port).find("pid " + std::to_string(getpid())), std::string::npos);
  if (port < 65000) {
    EXPECT_GT(next_free_port(port), port);
  }
  close(fd);
}

TEST(Cpus, AtLeastOneAndNoMoreThanTheMachineHas) {
  EXPECT_GE(usable_cpus(), 1);
  EXPECT_LE(usable_cpus(), sysconf(_SC_NPROCESSORS_ONLN));
}

}  // namespace
}  // namespace treadle::cli

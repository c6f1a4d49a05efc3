#include "cli/takeover.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace treadle::cli {
namespace {

// The name that a process of this pid would have had.
std::string name_of(const std::string& name, pid_t pid) {
  const std::string own = lasting_name(name, "host");
  return own.substr(0, own.rfind('/') + 1) + std::to_string(pid);
}

pid_t dead_pid() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  return child;
}

TEST(Takeover, OnlyOfADeadProcessOfTheSameNameMachineAndBoot) {
  const std::string own = lasting_name("d1", "host");
  const pid_t dead = dead_pid();
  EXPECT_TRUE(is_dead_predecessor(own, name_of("d1", dead)));
  EXPECT_FALSE(is_dead_predecessor(own, name_of("d2", dead)));
  EXPECT_FALSE(is_dead_predecessor(own, name_of("d11", dead)));
  EXPECT_FALSE(is_dead_predecessor(own, name_of("d1", getppid()))) << "it lives";
  EXPECT_FALSE(is_dead_predecessor(own, own));
  std::string elsewhere = name_of("d1", dead);
  elsewhere.replace(elsewhere.find('@') + 1, 1, "\1");
  EXPECT_FALSE(is_dead_predecessor(own, elsewhere)) << "another machine";
}

TEST(Takeover, NamesThatAreNoneOfOursAreLeftAlone) {
  const std::string own = lasting_name("d1", "host");
  for (const std::string& other : {std::string(), std::string("host:123"), own.substr(0, own.rfind('/') + 1),
                                   name_of("d1", 0), name_of("d1", 1), name_of("d1", dead_pid()) + "x"})
    EXPECT_FALSE(is_dead_predecessor(own, other)) << other;
}

}  // namespace
}  // namespace treadle::cli

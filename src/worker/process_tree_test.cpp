#include "worker/process_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "worker/fds.h"

namespace treadle::worker {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

bool alive(pid_t pid) {
  const auto all = list_processes();
  return std::any_of(all.begin(), all.end(), [&](const ProcessEntry& e) { return e.pid == pid && !e.zombie; });
}

void write_pid(int pipe) {
  const pid_t self = ::getpid();
  if (::write(pipe, &self, sizeof self) != sizeof self) ::_exit(1);
}

[[noreturn]] void sleep_for_ever() {
  while (true) ::pause();
}

// A subreaper with a child in its own session and a daemon (double fork). Gives the pids of all three, root first.
std::vector<pid_t> make_tree() {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t root = ::fork();
  if (root == 0) {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (::fork() == 0) {
      ::setsid();
      write_pid(ends[1]);
      sleep_for_ever();
    }
    const pid_t middle = ::fork();
    if (middle == 0) {
      const pid_t parent = ::getpid();
      if (::fork() == 0) {
        ::setsid();
        while (::getppid() == parent) ::usleep(100);
        write_pid(ends[1]);
        sleep_for_ever();
      }
      ::_exit(0);
    }
    ::waitpid(middle, nullptr, 0);
    write_pid(ends[1]);  // the daemon's father is gone, not even a zombie
    sleep_for_ever();
  }
  std::vector<pid_t> pids(3);
  for (pid_t& pid : pids) EXPECT_EQ(::read(ends[0], &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
  std::ranges::partition(pids, [&](pid_t pid) { return pid == root; });
  ::close(ends[0]);
  ::close(ends[1]);
  return pids;
}

TEST(ProcessTree, FindsSessionsAndDaemonsBelowASubreaper) {
  const auto pids = make_tree();
  const auto all = list_processes();
  EXPECT_THAT(children(all, ::getpid()), Contains(pids[0]));
  EXPECT_THAT(descendants(all, pids[0]), UnorderedElementsAre(pids[1], pids[2]));
  const UniqueFd root = open_pidfd(pids[0]);
  EXPECT_TRUE(kill_foreign_tree(pids[0], root.get()));
  ::waitpid(pids[0], nullptr, 0);
  for (const pid_t pid : pids) EXPECT_FALSE(alive(pid)) << pid;
}

TEST(ProcessTree, ToleratesAListingThatIsNoTree) {
  // Such a listing can come about while processes come and go: a pid twice, and a ring.
  const std::vector<ProcessEntry> odd = {{10, 1}, {11, 10}, {10, 11}, {12, 11}, {12, 10}, {20, 1}};
  EXPECT_THAT(descendants(odd, 10), UnorderedElementsAre(11, 12));
  EXPECT_THAT(descendants(odd, 99), ElementsAre());
}

TEST(ProcessTree, SaysSoWhenTheRootWasGoneBefore) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(0);
  const UniqueFd root = open_pidfd(pid);
  ::waitpid(pid, nullptr, 0);
  EXPECT_FALSE(kill_foreign_tree(pid, root.get()));
}

TEST(ProcessTree, EndsWhatADeadChildHasLeftToUs) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const pid_t kept = ::fork();
  if (kept == 0) {
    ::pause();
    ::_exit(0);
  }
  int told[2];
  ASSERT_EQ(::pipe(told), 0);
  const pid_t middle = ::fork();
  if (middle == 0) {
    for (int i = 0; i < 3; ++i) {
      if (::fork() > 0) continue;
      ::setsid();
      if (::fork() == 0) ::pause();
      const pid_t self = ::getpid();
      if (::write(told[1], &self, sizeof self) != sizeof self) ::_exit(1);
      ::pause();
    }
    ::_exit(0);
  }
  pid_t orphans[3];
  for (pid_t& orphan : orphans) ASSERT_EQ(::read(told[0], &orphan, sizeof orphan), static_cast<ssize_t>(sizeof orphan));
  ASSERT_EQ(::waitpid(middle, nullptr, 0), middle);
  EXPECT_GE(living_below(::getpid()), 4u);
  EXPECT_TRUE(end_orphans({kept}));
  EXPECT_EQ(living_below(::getpid()), 1u);
  EXPECT_EQ(children(list_processes(), ::getpid()), std::vector<pid_t>{kept}) << "and they were waited for";
  ::kill(kept, SIGKILL);
  ::waitpid(kept, nullptr, 0);
  for (const int fd : told) ::close(fd);
}

}  // namespace
}  // namespace treadle::worker

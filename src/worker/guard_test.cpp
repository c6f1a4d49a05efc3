// Whatever dies, and however: nothing that a task started is left. Survivors are found by a random text in the
// environment that all of them inherited.
#include "worker/guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "worker/pool_harness.h"

namespace treadle::worker::test {
namespace {

using ::testing::HasSubstr;
namespace command = core::command;
namespace event = core::event;

HarnessOptions plain() {
  HarnessOptions options;
  options.executor = TREADLE_PLAIN_EXECUTOR;
  return options;
}

// Leaves a daemon (double fork, own session) and a child that ignores signals; then answers, waits or dies by its
// argument.
constexpr char kBreeder[] = R"py(
import os, signal, time
def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)
            time.sleep(1000)
        os._exit(0)
def run(args, api):
    daemon()
    daemon()
    if os.fork() == 0:
        time.sleep(1000)
    if args == b'die': os._exit(1)
    if args == b'wait': time.sleep(1000)
    return b'%d' % os.getpid()
)py";

// The processes of one executor that runs kBreeder: itself, two daemons, one child.
constexpr std::size_t kFamily = 4;
constexpr std::size_t kGuardAndZygote = 2;

bool family_is_complete(PoolHarness& harness, std::size_t families, std::size_t others = 0) {
  const std::size_t all = kGuardAndZygote + families * kFamily + others;
  return harness.until([&] { return carriers_of(harness.mark()).size() == all; });
}

TEST(Guard, KillEndsDaemonsAndChildrenOfATask) {
  PoolHarness harness(plain());
  const ExecutorNo no = harness.spawn_with(kBreeder);
  harness.task(no, "wait");
  ASSERT_TRUE(family_is_complete(harness, 1));
  harness.run(command::Kill{no});
  const event::ExecutorDied died = harness.died(no);
  EXPECT_EQ(WTERMSIG(died.wait_status), SIGKILL);
  EXPECT_EQ(carriers_of(harness.mark()).size(), kGuardAndZygote) << "ExecutorDied comes when all of it is gone";
}

TEST(Guard, AnExecutorThatDiesTakesWhatItsTasksStartedAlong) {
  PoolHarness harness(plain());
  const ExecutorNo stays = harness.spawn_with(kBreeder);
  harness.task(stays, "wait");
  ASSERT_TRUE(family_is_complete(harness, 1));
  for (int i = 0; i < 3; ++i) {
    const ExecutorNo no = harness.spawn_with(kBreeder);
    harness.task(no, "die");
    EXPECT_EQ(WEXITSTATUS(harness.died(no).wait_status), 1);
    EXPECT_EQ(carriers_of(harness.mark()).size(), kGuardAndZygote + kFamily) << "of the other executor";
  }
  const ExecutorNo leaves = harness.spawn_with(kBreeder);
  harness.task(leaves);
  harness.run(command::Exit{leaves});
  EXPECT_EQ(harness.died(leaves).wait_status, 0);
  EXPECT_EQ(carriers_of(harness.mark()).size(), kGuardAndZygote + kFamily);
}

TEST(Guard, ATaskThatForksAsFastAsItCanIsEnded) {
  PoolHarness harness(plain());
  const ExecutorNo no = harness.spawn_with(R"py(
import os, time
def run(args, api):
    for i in range(8):
        if os.fork() == 0:
            while True:
                if os.fork() == 0: os.setsid()
                else: os._exit(0)
    time.sleep(1000)
)py");
  harness.task(no);
  harness.until([] { return false; }, 0.2);  // several thousand forks
  harness.run(command::Kill{no});
  EXPECT_EQ(WTERMSIG(harness.died(no).wait_status), SIGKILL);
  EXPECT_EQ(carriers_of(harness.mark()).size(), kGuardAndZygote);
}

TEST(Guard, KilledItselfLeavesNothingAndIsReplaced) {
  PoolHarness harness(plain());
  const ExecutorNo busy = harness.spawn_with(kBreeder);
  const ExecutorNo idle = harness.spawn_with(kBreeder);
  harness.task(busy, "wait");
  ASSERT_TRUE(family_is_complete(harness, 1, 1));
  const pid_t first = harness.pool().guard_pid();
  ::kill(first, SIGKILL);
  const event::ExecutorDied died = harness.died(busy);
  EXPECT_TRUE(died.guard_lost);
  EXPECT_FALSE(died.exited);
  EXPECT_TRUE(harness.died(idle).guard_lost);
  EXPECT_NE(harness.pool().guard_pid(), first);
  const ExecutorNo next = harness.spawn_with("def run(args, api): return b'alive'");
  harness.task(next);
  EXPECT_EQ(harness.done(next).outcome.result.bytes.view(), "alive");
  // The new guard, its zygote, the new executor: all of the old is gone, the old zygote too.
  EXPECT_TRUE(eventually([&] { return carriers_of(harness.mark()).size() == kGuardAndZygote + 1; }));
}

TEST(Guard, ThatEndsAtOnceIsNotStartedForEver) {
  HarnessOptions options = plain();
  options.guard = "/bin/true";
  PoolHarness harness(options);
  EXPECT_THAT(harness.take<event::ZygoteFailed>([](const auto&) { return true; }).text,
              HasSubstr("as soon as it was started"));
  const pid_t last = harness.pool().guard_pid();
  EXPECT_EQ(last, 0);
  const ExecutorNo no = harness.spawn();  // tries once more
  EXPECT_TRUE(harness.died(no).guard_lost);
}

TEST(Guard, ThatCannotBeStartedFailsTheStart) {
  PoolOptions options;
  options.guard = {"/nowhere/treadle", {}};
  options.interpreters = {{"/usr/bin/python3", {}, {}, 1}};
  const auto pool = ExecutorPool::start(std::move(options));
  ASSERT_FALSE(pool);
  EXPECT_THAT(pool.error().message, HasSubstr("cannot start the guard /nowhere/treadle: No such file"));
}

TEST(Guard, ADeadZygoteHarmsNoExecutorAndIsReplaced) {
  PoolHarness harness(plain());
  const ExecutorNo old =
      harness.spawn_with("import time\ndef run(args, api):\n    time.sleep(0.2)\n    return b'done'\n");
  harness.task(old);
  const pid_t first = harness.pool().zygote_pid(0);
  ASSERT_GT(first, 0);
  ::kill(first, SIGKILL);
  EXPECT_THAT(harness.take<event::ZygoteFailed>([](const auto&) { return true; }).text, HasSubstr("signal 9"));
  EXPECT_EQ(harness.done(old).outcome.result.bytes.view(), "done");
  const ExecutorNo next = harness.spawn_with("def run(args, api): return b'new'");
  EXPECT_NE(harness.pool().zygote_pid(0), first);
  harness.task(next);
  harness.task(old);
  EXPECT_EQ(harness.done(next).outcome.result.bytes.view(), "new");
  EXPECT_EQ(harness.done(old).outcome.result.bytes.view(), "done");
}

TEST(Guard, ExecutorsSurviveASigtermToTheGuard) {
  PoolHarness harness(plain());
  const ExecutorNo no = harness.spawn_with("def run(args, api): return args");
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) ::kill(harness.pool().guard_pid(), number);
  harness.task(no, "still here");
  EXPECT_EQ(harness.done(no).outcome.result.bytes.view(), "still here");
}

// A process that hosts a pool, so that it can be killed from outside.
pid_t fork_a_supervisor(std::string& mark, int& ready) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t pid = ::fork();
  if (pid != 0) {
    ::close(ends[1]);
    ready = ends[0];
    char text[256];
    const ssize_t n = ::read(ready, text, sizeof text);
    mark.assign(text, n > 0 ? static_cast<std::size_t>(n) : 0);
    return pid;
  }
  PoolHarness harness(plain());
  const ExecutorNo first = harness.spawn_with(kBreeder);
  const ExecutorNo second = harness.spawn_with(kBreeder);
  harness.task(first, "wait");
  harness.task(second, "wait");
  if (!family_is_complete(harness, 2)) ::_exit(1);
  if (::write(ends[1], harness.mark().data(), harness.mark().size()) < 0) ::_exit(1);
  harness.until([] { return false; }, 60);
  ::_exit(1);
}

TEST(Guard, LeavesNothingWhenTheSupervisorIsKilled) {
  std::string mark;
  int ready = -1;
  const pid_t supervisor = fork_a_supervisor(mark, ready);
  ASSERT_FALSE(mark.empty());
  ASSERT_TRUE(eventually([&] { return carriers_of(mark).size() == kGuardAndZygote + 2 * kFamily; }));
  ::kill(supervisor, SIGKILL);
  int status = 0;
  ::waitpid(supervisor, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(eventually([&] { return carriers_of(mark).empty(); })) << carriers_of(mark).size();
  ::close(ready);
}

TEST(Guard, RefusesToRunByHand) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::close(kGuardSocket);
    ::close(2);
    ::execl(TREADLE_GUARD_PROGRAM, "treadle", "--guard", nullptr);
    ::_exit(99);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 2);
}

}  // namespace
}  // namespace treadle::worker::test

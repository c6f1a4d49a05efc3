// An executor that lies: each breach of the protocol ends it, tells how it broke it, and hurts nobody else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/pool_harness.h"

namespace treadle::worker::test {
namespace {

using ::testing::HasSubstr;
namespace command = core::command;
namespace event = core::event;

struct Lie {
  const char* name;
  const char* code;  // runs inside the first of two tasks
  const char* error;
};

class Hostile : public ::testing::TestWithParam<Lie> {};

TEST_P(Hostile, IsEndedAndTellsWhy) {
  HarnessOptions options;
  options.executor = TREADLE_PLAIN_EXECUTOR;
  options.max_result = 4u << 20;
  PoolHarness harness(options);
  const ExecutorNo good = harness.spawn_with("def run(args, api): return args");
  const ExecutorNo no = harness.spawn_with(std::string("import array, fcntl, os, socket, struct, time\n"
                                                       "def run(args, api):\n"
                                                       "    api.silent = True\n") +
                                           GetParam().code + "    time.sleep(100)\n");
  harness.task(no);
  harness.task(no);
  const event::ExecutorDied died = harness.died(no, 5);
  EXPECT_THAT(died.protocol_error, HasSubstr(GetParam().error));
  EXPECT_TRUE(died.exited);
  EXPECT_EQ(harness.count<event::TaskDone>(), 0u);
  harness.task(good, "well");
  EXPECT_EQ(harness.done(good).outcome.result.bytes.view(), "well");
}

constexpr char kNotSealed[] =
    "    m = os.memfd_create('x', os.MFD_ALLOW_SEALING); os.write(m, b'y' * 2000000)\n"
    "    body = struct.pack('<BBHIIIQQQQQ', 0, 1, 0, 0, 0, 0, 1, 2, 0, 0, 2000000)\n"
    "    api.sock.sendmsg([struct.pack('<IBBHQ', len(body), 130, 1, 0, 1) + body], [(1, 1, array.array('i', [m]))])\n";
constexpr char kWrongSize[] =
    "    m = os.memfd_create('x', os.MFD_ALLOW_SEALING); os.write(m, b'y' * 2000000); fcntl.fcntl(m, 1033, 15)\n"
    "    body = struct.pack('<BBHIIIQQQQQ', 0, 1, 0, 0, 0, 0, 1, 2, 0, 0, 2000001)\n"
    "    api.sock.sendmsg([struct.pack('<IBBHQ', len(body), 130, 1, 0, 1) + body], [(1, 1, array.array('i', [m]))])\n";
constexpr char kNoMemfd[] =
    "    api.frame(130, 1, struct.pack('<BBHIIIQQQQQ', 0, 1, 0, 0, 0, 0, 1, 2, 0, 0, 2000000), 1)\n";
constexpr char kManyFds[] =
    "    for i in range(20): api.sock.sendmsg([b'\\x00'], [(1, 1, array.array('i', [0, 1, 2]))])\n";
constexpr char kTooLarge[] = "    api.result(1, b'x' * (5 << 20))\n";
constexpr char kTextsTooLong[] =
    "    api.frame(130, 1, struct.pack('<BBHIIIQQQQ', 1, 1, 0, 0xffffffff, 0xffffffff, 2, 1, 2, 0, 0) + b'xyz')\n";

INSTANTIATE_TEST_SUITE_P(
    Lies, Hostile,
    ::testing::Values(
        Lie{"ResultOutOfTurn", "    api.result(2, b'x')\n", "RESULT of task 2, which is not its turn"},
        Lie{"ResultOfNothing", "    api.result(9, b'x')\n", "RESULT of task 9, which is not its turn"},
        Lie{"IdleWithoutRecall", "    api.frame(131, 1)\n", "IDLE at task 1, though that was not taken back"},
        Lie{"NeedOutOfTurn", "    api.frame(132, 2, b'\\0' * 8)\n", "NEED_FUNCTION for task 2"},
        Lie{"UnknownFrame", "    api.frame(77, 1)\n", "frame of unknown type 77"},
        Lie{"UnknownFlags", "    api.frame(131, 1, b'', 2)\n", "unknown flags"},
        Lie{"ShortProgress", "    api.frame(133, 1)\n", "frame of type 133 with 0 bytes"},
        Lie{"StartedOutOfTurn", "    api.frame(134, 2)\n", "STARTED of task 2, which is not its turn"},
        Lie{"StartedOfNothing", "    api.frame(134, 9)\n", "STARTED of task 9, which is not its turn"},
        Lie{"HugeLength", "    api.sock.send(struct.pack('<IBBHQ', 0xffffffff, 130, 0, 0, 1))\n",
            "with 4294967295 bytes"},
        Lie{"ShortResult", "    api.frame(130, 1, b'short')\n", "frame of type 130 with 5 bytes"},
        Lie{"UnknownKind", "    api.result(1, b'x', kind=3)\n", "RESULT of the wrong shape"},
        Lie{"TextsTooLong", kTextsTooLong, "RESULT of the wrong shape"},
        Lie{"ReadyTwice", "    api.frame(129, 0, struct.pack('<IIHHI', 1, 1, 3, 11, 0))\n", "READY twice"},
        Lie{"Garbage", "    api.sock.send(os.urandom(3) + b'\\xff' * 64)\n", "frame of"},
        Lie{"NotSealed", kNotSealed, "not sealed"}, Lie{"WrongSize", kWrongSize, "not of the promised size"},
        Lie{"NoMemfd", kNoMemfd, "memfd that did not come"}, Lie{"ManyFds", kManyFds, "too many descriptors"},
        Lie{"TooLarge", kTooLarge, "RESULT of 5242880 bytes, over the limit"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(HostileExecutor, ThatTakesTokensOfOthersCannotAnswerForThem) {
  HarnessOptions options;
  options.executor = TREADLE_PLAIN_EXECUTOR;
  PoolHarness harness(options);
  const ExecutorNo no = harness.spawn_with(
      "import time\ndef run(args, api):\n    time.sleep(0.2)\n    api.take_token = lambda: True\n    return b''\n");
  for (int i = 0; i < 3; ++i) harness.task(no);
  harness.until([] { return false; }, 0.1);
  EXPECT_EQ(harness.recall(no, 2), 2u);
  EXPECT_EQ(harness.done(no).seq, 1u);
  EXPECT_THAT(harness.died(no).protocol_error, HasSubstr("RESULT of task 2, which is not its turn"));
}

TEST(HostileExecutor, ThatNeverReadsIsKilledWithAllThatWaitsForIt) {
  HarnessOptions options;
  options.executor = TREADLE_PLAIN_EXECUTOR;
  PoolHarness harness(options);
  const ExecutorNo no = harness.spawn_with("import time\ndef run(args, api): time.sleep(100)");
  for (int i = 0; i < 64; ++i) harness.task(no, std::string(100'000, 'x'));
  EXPECT_FALSE(harness.until([&] { return !harness.events().empty(); }, 0.1));
  EXPECT_EQ(harness.recall(no, 64), 63u) << "tasks that are still in our buffer are taken back like others";
  harness.run(command::Kill{no});
  EXPECT_EQ(harness.died(no).protocol_error, "");
}

TEST(HostileExecutor, ThatAnswersOneOfManyTwiceIsEnded) {
  HarnessOptions options;
  options.executor = TREADLE_PLAIN_EXECUTOR;
  PoolHarness harness(options);
  const ExecutorNo no = harness.spawn_with(
      "import time\ndef run(args, api):\n    api.result(3, b'x')\n    api.result(3, b'y')\n    time.sleep(100)\n");
  for (int i = 0; i < 3; ++i) {
    command::SendTask command;
    command.no = no;
    command.function = 1;
    command.concurrent = true;
    harness.task(command);
  }
  EXPECT_EQ(harness.done(no).seq, 3u) << "those that run side by side are answered in any order";
  const event::ExecutorDied died = harness.died(no, 5);
  EXPECT_THAT(died.protocol_error, HasSubstr("RESULT of task 3, which is not its turn"));
  EXPECT_EQ(died.unbegun, 2u) << "it has taken one token";
}

}  // namespace
}  // namespace treadle::worker::test

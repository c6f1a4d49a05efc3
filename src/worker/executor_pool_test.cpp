// The pool on real processes, with the small executor of testdata: life and death of executors, tasks, output.
#include "worker/executor_pool.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "worker/pool_harness.h"

namespace treadle::worker::test {
namespace {

using ::testing::HasSubstr;
namespace command = core::command;
namespace event = core::event;

constexpr char kEcho[] = "def run(args, api): return args";

HarnessOptions plain() {
  HarnessOptions options;
  options.executor = TREADLE_PLAIN_EXECUTOR;
  return options;
}

class TemporaryFile {
 public:
  TemporaryFile() : path_(std::filesystem::temp_directory_path() / ("treadle-test-" + random_text())) {}
  ~TemporaryFile() { std::filesystem::remove(path_); }
  std::string path() const { return path_; }
  bool exists() const { return std::filesystem::exists(path_); }
  void create() const { std::ofstream(path_) << "x"; }
  std::string text() const {
    std::ostringstream all;
    all << std::ifstream(path_).rdbuf();
    return all.str();
  }

 private:
  std::filesystem::path path_;
};

std::string view(const event::TaskDone& done) { return std::string(done.outcome.result.bytes.view()); }

TEST(ExecutorPool, RunsATaskAndTellsItWhatItIs) {
  PoolHarness harness(plain());
  const ExecutorNo no = harness.spawn();
  harness.function(
      no, 7,
      std::string(
          "def run(args, api): return b'%s %d %d ' % (api.uuid.hex().encode(), api.attempt, api.limit) + args"));
  const event::ExecutorReady ready = harness.ready(no);
  EXPECT_EQ(ready.python_major, 3);
  EXPECT_GE(ready.python_minor, 9);
  EXPECT_TRUE(harness.until([&] { return harness.pool().executor_pid(no) == static_cast<pid_t>(ready.pid); }));
  command::SendTask task;
  task.no = no;
  task.function = 7;
  task.task = *TaskId::parse("01234567-89ab-4cde-8f01-23456789abcd");
  task.attempt = 3;
  task.time_limit = 1500ms;
  task.args.bytes = Buffer::of("tail");
  const Instant before = now();
  harness.task(task);
  const event::TaskDone done = harness.done(no);
  EXPECT_EQ(done.seq, 1u);
  EXPECT_TRUE(done.outcome.completed());
  EXPECT_EQ(done.made_by, core::MadeBy::Pickle);
  EXPECT_EQ(view(done), "0123456789ab4cde8f0123456789abcd 3 1500 tail");
  EXPECT_GE(done.outcome.measures.started_ns, before.ns);
  EXPECT_LE(done.outcome.measures.started_ns, done.outcome.measures.finished_ns);
  EXPECT_LE(done.outcome.measures.finished_ns, now().ns);
}

TEST(ExecutorPool, RunsAThousandTasksInTheirOrder) {
  PoolHarness harness(plain());
  const ExecutorNo no = harness.spawn_with("def run(args, api): return args + b'!'");
  std::uint64_t sent = 0, answered = 0;
  while (answered < 1000) {
    for (; sent < 1000 && sent < answered + 64; ++sent) harness.task(no, std::to_string(sent));
    ASSERT_TRUE(harness.until([&] { return harness.count<event::TaskDone>() > 0; }));
    for (auto& one : harness.events()) {
      auto* done = std::get_if<event::TaskDone>(&one);
      if (!done) continue;
      ASSERT_EQ(done->seq, answered + 1);
      ASSERT_EQ(view(*done), std::to_string(answered) + "!");
      ++answered;
    }
    harness.events().clear();
  }
}

TEST(ExecutorPool, TasksSentBeforeTheExecutorExistsWaitForIt) {
  PoolHarness harness(plain());
  const ExecutorNo no = harness.spawn();
  harness.function(no, 1, std::string(kEcho));
  harness.task(no, "early");
  EXPECT_EQ(view(harness.done(no)), "early");
}

TEST(ExecutorPool, ARecallTakesTheTasksSentLastAlthoughTheExecutorIsStuck) {
  PoolHarness harness(plain());
  const TemporaryFile gate, runs;
  const ExecutorNo no = harness.spawn_with(
      "import os, time\n"
      "def run(args, api):\n"
      "    with open('" +
      runs.path() +
      "', 'a') as f: f.write('%d ' % api.seq)\n"
      "    while not os.path.exists('" +
      gate.path() +
      "'): time.sleep(0.002)\n"
      "    return args\n");
  for (int i = 0; i < 10; ++i) harness.task(no);
  ASSERT_TRUE(harness.until([&] { return runs.text() == "1 "; }));
  EXPECT_EQ(harness.recall(no, 5), 5u);
  EXPECT_EQ(harness.recall(no, 2), 2u);
  gate.create();
  for (std::uint64_t seq = 1; seq <= 3; ++seq) EXPECT_EQ(harness.done(no).seq, seq);
  harness.take<event::ExecutorIdle>([&](const auto& idle) { return idle.seq == 10; });
  EXPECT_EQ(harness.task(no, "after"), 11u);
  EXPECT_EQ(view(harness.done(no)), "after");
  EXPECT_EQ(runs.text(), "1 2 3 11 ");
  EXPECT_EQ(harness.recall(no, 3), 0u) << "there is nothing to take back";
}

TEST(ExecutorPool, ARecallOfMoreThanWaitsLeavesTheRunningTask) {
  PoolHarness harness(plain());
  const TemporaryFile begun;
  const ExecutorNo no = harness.spawn_with("import time\ndef run(args, api):\n    open('" + begun.path() +
                                           "', 'w').close()\n    time.sleep(0.1)\n    return b'ran'\n");
  harness.task(no);
  harness.task(no);
  ASSERT_TRUE(harness.until([&] { return begun.exists(); }));
  EXPECT_EQ(harness.recall(no, 100), 1u);
  EXPECT_EQ(view(harness.done(no)), "ran");
  EXPECT_EQ(harness.take<event::ExecutorIdle>([](const auto&) { return true; }).seq, 2u);
}

TEST(ExecutorPool, AFunctionThatTheExecutorDroppedIsAskedForAgain) {
  PoolHarness harness(plain());
  const ExecutorNo no = harness.spawn_with("def run(args, api):\n    api.functions.clear()\n    return args\n");
  harness.task(no, "one");
  harness.task(no, "two");
  harness.task(no, "three");
  EXPECT_EQ(view(harness.done(no)), "one");
  const auto need = harness.take<event::NeedFunction>([](const auto&) { return true; });
  EXPECT_EQ(need.seq, 2u);
  EXPECT_EQ(need.function, 1u);
  harness.function(no, 1, std::string(kEcho));
  EXPECT_EQ(view(harness.done(no)), "two");
  EXPECT_EQ(view(harness.done(no)), "three");
}

TEST(ExecutorPool, LargeArgumentsAndResultsArriveWhole) {
  PoolHarness harness(plain());
  const ExecutorNo no = harness.spawn_with("def run(args, api): return args[::-1]");
  // Sizes on both sides of what goes by memfd, of the gathered frames, and of the socket's room.
  for (const std::size_t size : {0u, 1u, 4096u, 4097u, 300'000u, 1u << 20, (1u << 20) + 1, 8u << 20}) {
    std::string args(size, '\0');
    for (std::size_t i = 0; i < size; ++i) args[i] = static_cast<char>(i * 2654435761u >> 13);
    harness.task(no, "small");
    harness.task(no, args);
    harness.task(no, args);
    harness.task(no, "small");
    std::reverse(args.begin(), args.end());
    EXPECT_EQ(view(harness.done(no)), "llams");
    EXPECT_TRUE(view(harness.done(no)) == args) << size;
    EXPECT_TRUE(view(harness.done(no)) == args) << size;
    EXPECT_EQ(view(harness.done(no)), "llams");
  }
}

TEST(ExecutorPool, AFailureBringsItsTexts) {
  PoolHarness harness(plain());
  const ExecutorNo no = harness.spawn_with("def run(args, api): raise ValueError('no \\u00e9')");
  harness.task(no);
  const event::TaskDone done = harness.done(no);
  EXPECT_EQ(done.outcome.kind, core::ErrorKind::FunctionFailed);
  EXPECT_EQ(done.made_by, core::MadeBy::SafeText);
  EXPECT_EQ(done.outcome.error_type, "ValueError");
  EXPECT_EQ(done.outcome.error_message, "no \xc3\xa9");
  EXPECT_EQ(done.outcome.traceback, "traceback");
}

TEST(ExecutorPool, OutputGoesToTheTaskThatWroteIt) {
  PoolHarness harness(plain());
  const ExecutorNo no = harness.spawn_with(
      "def run(args, api):\n"
      "    if args:\n"
      "        api.say(b'out of ' + args)\n"
      "        api.say(b', err of ' + args, 2)\n"
      "    return b''\n");
  for (const char* args : {"1", "", "3", "4", ""}) harness.task(no, args);
  const auto output = [&] {
    const event::TaskDone done = harness.done(no);
    EXPECT_FALSE(done.output_unmarked);
    return done.outcome.output;
  };
  const auto is_of = [](const std::string& text, const std::string& task) {
    // The two pipes are read one after the other, so their order is not promised.
    return text == "out of " + task + ", err of " + task || text == ", err of " + task + "out of " + task;
  };
  EXPECT_PRED2(is_of, output(), "1");
  EXPECT_EQ(output(), "");
  EXPECT_PRED2(is_of, output(), "3");
  EXPECT_PRED2(is_of, output(), "4");
  EXPECT_EQ(output(), "");
}

TEST(ExecutorPool, OutputIsThereThoughItIsReadAfterTheResult) {
  PoolHarness harness(plain());
  const ExecutorNo no = harness.spawn_with("def run(args, api):\n    api.say(b'of ' + args)\n    return args\n");
  for (const char* args : {"1", "2", "3"}) harness.task(no, args);
  harness.pool().flush();
  ::usleep(100'000);  // all of it is in socket and pipe when the pool looks, and it looks at the socket first
  for (const char* args : {"1", "2", "3"}) EXPECT_EQ(harness.done(no).outcome.output, std::string("of ") + args);
}

TEST(ExecutorPool, OnlyTheEndOfLongOutputIsKept) {
  PoolHarness harness(plain());
  const ExecutorNo no =
      harness.spawn_with("def run(args, api):\n    for i in range(40): api.say('%099999d\\n' % i)\n    return b''\n");
  harness.task(no);
  const event::TaskDone done = harness.done(no);
  EXPECT_EQ(done.outcome.output.size(), core::limits::kOutputKept);
  EXPECT_THAT(done.outcome.output, HasSubstr("00039\n"));
  EXPECT_EQ(done.outcome.output.back(), '\n');
}

TEST(ExecutorPool, OutputPastTheMarksIsNoticedAndMarksCutIt) {
  PoolHarness harness(plain());
  const ExecutorNo no =
      harness.spawn_with("import os\ndef run(args, api):\n    os.write(1, b'silent ' + args)\n    return b''\n");
  harness.task(no, "one");
  const event::TaskDone unmarked = harness.done(no);
  EXPECT_EQ(unmarked.outcome.output, "silent one");
  EXPECT_TRUE(unmarked.output_unmarked);
  command::SendTask marked;
  marked.no = no;
  marked.function = 1;
  marked.mark_output = true;
  for (const char* args : {"two", "three"}) {
    marked.args.bytes = Buffer::of(args);
    harness.task(marked);
  }
  for (const char* args : {"two", "three"}) {
    const event::TaskDone done = harness.done(no);
    EXPECT_EQ(done.outcome.output, std::string("silent ") + args);
    EXPECT_FALSE(done.output_unmarked);
    EXPECT_FALSE(done.output_mixed);
  }
}

TEST(ExecutorPool, ATaskThatPrintsForEverDoesNotStarveOthers) {
  PoolHarness harness(plain());
  const ExecutorNo loud =
      harness.spawn_with("import os\ndef run(args, api):\n    while True: os.write(1, b'x' * 65536)\n");
  const ExecutorNo quiet = harness.spawn_with(kEcho);
  harness.task(loud);
  for (int i = 0; i < 50; ++i) {
    harness.task(quiet, std::to_string(i));
    EXPECT_EQ(view(harness.done(quiet, 2)), std::to_string(i));
  }
  harness.run(command::Kill{loud});
  const event::ExecutorDied died = harness.died(loud);
  EXPECT_EQ(died.output, std::string(core::limits::kOutputKept, 'x'));
}

TEST(ExecutorPool, ADeadExecutorTellsHowItDied) {
  PoolHarness harness(plain());
  const ExecutorNo exits = harness.spawn_with(
      "import os\ndef run(args, api):\n    x = bytearray(40 << 20)\n    sum(range(3000000))\n    api.say('last "
      "words')\n    os._exit(3)\n");
  harness.task(exits);
  const event::ExecutorDied exited = harness.died(exits);
  ASSERT_TRUE(exited.exited);
  EXPECT_TRUE(WIFEXITED(exited.wait_status));
  EXPECT_EQ(WEXITSTATUS(exited.wait_status), 3);
  EXPECT_TRUE(exited.was_ready);
  EXPECT_FALSE(exited.guard_lost);
  EXPECT_EQ(exited.output, "last words");
  EXPECT_EQ(exited.protocol_error, "");
  EXPECT_GT(exited.peak_rss, 40u << 20);
  EXPECT_GT(exited.cpu_us, 5'000u);

  const ExecutorNo crashes = harness.spawn_with("import ctypes\ndef run(args, api): ctypes.string_at(1)");
  harness.task(crashes);
  const event::ExecutorDied crashed = harness.died(crashes);
  EXPECT_TRUE(WIFSIGNALED(crashed.wait_status));
  EXPECT_EQ(WTERMSIG(crashed.wait_status), SIGSEGV);
  EXPECT_THAT(crashed.stack, HasSubstr("Segmentation fault"));
  EXPECT_THAT(crashed.stack, HasSubstr("in run"));
}

TEST(ExecutorPool, ResultsSentBeforeTheDeathAreKept) {
  PoolHarness harness(plain());
  const ExecutorNo no = harness.spawn_with(
      "import os, signal\ndef run(args, api):\n    if api.seq == 33: os.kill(os.getpid(), signal.SIGKILL)\n    return "
      "args\n");
  for (int i = 0; i < 64; ++i) harness.task(no);
  const event::ExecutorDied died = harness.died(no);
  EXPECT_EQ(WTERMSIG(died.wait_status), SIGKILL);
  EXPECT_EQ(harness.count<event::TaskDone>(), 32u);
}

TEST(ExecutorPool, ExitLetsTheExecutorFinishWhatItHas) {
  PoolHarness harness(plain());
  const ExecutorNo no = harness.spawn_with(kEcho);
  harness.task(no, "last");
  harness.run(command::Exit{no});
  const event::ExecutorDied died = harness.died(no);
  EXPECT_TRUE(died.exited);
  EXPECT_EQ(died.wait_status, 0);
  EXPECT_EQ(view(harness.done(no)), "last");
  harness.run(command::Kill{no});  // it is gone: nothing happens
  EXPECT_EQ(harness.recall(no, 1), 0u);
}

TEST(ExecutorPool, SigtermEndsTheTaskAndKillEndsWhoIgnoresIt) {
  PoolHarness harness(plain());
  const TemporaryFile begun, cleaned;
  const std::string source =
      "import time, signal\ndef run(args, api):\n"
      "    if args: signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
      "    open('" +
      begun.path() +
      "', 'a').write('x')\n"
      "    try: time.sleep(60)\n"
      "    finally: open('" +
      cleaned.path() + "', 'w').close()\n";
  const ExecutorNo polite = harness.spawn_with(source);
  harness.task(polite);
  ASSERT_TRUE(harness.until([&] { return begun.text() == "x"; }));
  harness.run(command::DumpStack{polite});
  harness.run(command::Signal{polite, SIGTERM});
  const event::TaskDone done = harness.done(polite);
  EXPECT_EQ(done.outcome.error_type, "SystemExit");
  EXPECT_THAT(done.stack, HasSubstr("in run"));
  EXPECT_TRUE(cleaned.exists());

  const ExecutorNo stubborn = harness.spawn_with(source);
  harness.task(stubborn, "ignore");
  ASSERT_TRUE(harness.until([&] { return begun.text() == "xx"; }));
  harness.run(command::Signal{stubborn, SIGTERM});
  EXPECT_FALSE(
      harness.until([&] { return harness.count<event::TaskDone>() + harness.count<event::ExecutorDied>() > 0; }, 0.2));
  harness.run(command::Kill{stubborn});
  EXPECT_EQ(WTERMSIG(harness.died(stubborn).wait_status), SIGKILL);
}

TEST(ExecutorPool, AStoppedExecutorIsKilledToo) {
  PoolHarness harness(plain());
  const ExecutorNo no =
      harness.spawn_with("import os, signal\ndef run(args, api): os.kill(os.getpid(), signal.SIGSTOP)");
  harness.task(no);
  EXPECT_FALSE(harness.until([&] { return harness.count<event::ExecutorDied>() > 0; }, 0.1));
  harness.run(command::Kill{no});
  EXPECT_EQ(WTERMSIG(harness.died(no).wait_status), SIGKILL);
}

TEST(ExecutorPool, AnExecutorThatClosesItsSocketAndLivesOnIsEnded) {
  PoolHarness harness(plain());
  const ExecutorNo no =
      harness.spawn_with("import time\ndef run(args, api):\n    api.sock.close()\n    time.sleep(60)\n");
  harness.task(no);
  EXPECT_EQ(WTERMSIG(harness.died(no, 3).wait_status), SIGKILL);
}

TEST(ExecutorPool, MeasuresTheMemoryThatATaskTook) {
  PoolHarness harness(plain());
  const ExecutorNo no = harness.spawn_with(
      "kept = []\ndef run(args, api):\n    kept.append(bytes(30 << 20).replace(b'\\0', b'x'))\n    return b''\n");
  EXPECT_LT(harness.measure(no), 8u << 20);
  harness.task(no);
  harness.done(no);
  EXPECT_GT(harness.measure(no), 28u << 20);
}

TEST(ExecutorPool, AZygoteThatRefusesFailsItsSpawnsWithItsReason) {
  HarnessOptions options = plain();
  options.preload = {"refuse"};
  PoolHarness harness(options);
  const ExecutorNo no = harness.spawn();
  EXPECT_EQ(harness.take<event::SpawnFailed>([&](const auto& e) { return e.no == no; }).no, no);
  EXPECT_EQ(harness.take<event::ZygoteFailed>([](const auto&) { return true; }).text, "this interpreter refuses");
}

TEST(ExecutorPool, AnInterpreterThatIsNotThereIsNamed) {
  HarnessOptions options = plain();
  options.python = "/nowhere/python3";
  PoolHarness harness(options);
  const ExecutorNo no = harness.spawn();
  EXPECT_EQ(harness.take<event::SpawnFailed>([&](const auto& e) { return e.no == no; }).no, no);
  EXPECT_THAT(harness.take<event::ZygoteFailed>([](const auto&) { return true; }).text,
              HasSubstr("cannot execute /nowhere/python3: No such file"));
}

TEST(ExecutorPool, ExecutorsThatDieAtOnceAreAllReported) {
  HarnessOptions options = plain();
  options.preload = {"die"};
  PoolHarness harness(options);
  std::vector<ExecutorNo> all;
  for (int i = 0; i < 40; ++i) all.push_back(harness.spawn());
  for (const ExecutorNo no : all) {
    const event::ExecutorDied died = harness.died(no);
    EXPECT_EQ(WEXITSTATUS(died.wait_status), 5);
    EXPECT_FALSE(died.was_ready);
  }
}

TEST(ExecutorPool, AZygoteThatHangsIsGivenUpWithItsExecutor) {
  HarnessOptions options = plain();
  options.preload = {"hang"};
  PoolHarness harness(options);
  const ExecutorNo no = harness.spawn();
  EXPECT_FALSE(harness.until([&] { return !harness.events().empty(); }, 0.2));
  harness.run(command::Kill{no});
  EXPECT_EQ(harness.take<event::SpawnFailed>([&](const auto& e) { return e.no == no; }).no, no);
  EXPECT_THAT(harness.take<event::ZygoteFailed>([](const auto&) { return true; }).text, HasSubstr("signal 9"));
}

TEST(ExecutorPool, PrintsWhatASpawnAndATaskCost) {
  PoolHarness harness(plain());
  harness.spawn_with(kEcho);  // the zygote is warm now
  const Instant before = now();
  ExecutorNo no{};
  constexpr int kSpawns = 10;
  for (int i = 0; i < kSpawns; ++i) no = harness.spawn_with(kEcho);
  const double spawn_us = static_cast<double>((now() - before).count()) / 1e3 / kSpawns;

  timespec cpu_before, cpu_after;
  constexpr int kBatches = 100, kBatch = 64;
  std::uint64_t answered = 0;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu_before);
  for (int batch = 0; batch < kBatches; ++batch) {
    for (int i = 0; i < kBatch; ++i) harness.task(no, "0123456789012345678901234567890123456789");
    ASSERT_TRUE(harness.until([&] { return harness.count<event::TaskDone>() == kBatch; }));
    answered += harness.events().size();
    harness.events().clear();
  }
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu_after);
  const double task_us = (static_cast<double>(cpu_after.tv_sec - cpu_before.tv_sec) * 1e6 +
                          static_cast<double>(cpu_after.tv_nsec - cpu_before.tv_nsec) / 1e3) /
                         (kBatches * kBatch);
  std::printf("{\"spawn_to_ready_us\": %.0f, \"supervisor_cpu_per_task_us\": %.2f}\n", spawn_us, task_us);
  EXPECT_EQ(answered, kBatches * kBatch);
  EXPECT_LT(spawn_us, 100'000);
  EXPECT_LT(task_us, 100);
}

}  // namespace
}  // namespace treadle::worker::test

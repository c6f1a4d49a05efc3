// The supervisor's side together with the Python side that the binary carries: real pickles, real functions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "worker/pool_harness.h"

namespace treadle::worker::test {
namespace {

using ::testing::HasSubstr;
namespace command = core::command;
namespace event = core::event;

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

// What Python prints in hex.
std::string python_bytes(const std::string& expression, const std::string& before = "") {
  const std::string script = "import dill, pickle, sys\n" + before + "\nsys.stdout.write((" + expression + ").hex())";
  std::string quoted;
  for (const char c : script) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  FILE* pipe = ::popen(("/usr/bin/python3 -c '" + quoted + "'").c_str(), "r");
  std::string hex;
  char part[4096];
  while (const std::size_t n = std::fread(part, 1, sizeof part, pipe)) hex.append(part, n);
  EXPECT_EQ(::pclose(pipe), 0) << script;
  return from_hex(hex);
}

// A function as a client sends it: dill of what a script defined, so it names __main__.
core::Payload function_body(const std::string& source) {
  core::Payload body{Buffer::of(python_bytes("dill.dumps(run)", source)), {}};
  body.facts.names_main = true;
  body.facts.names_dill = true;
  body.facts.protocol = 4;
  return body;
}

core::Payload text_argument(const std::string& text) {
  // (("text",), {}) in protocol 4, by hand: a process for each of a thousand would take too long.
  const auto size = static_cast<std::uint32_t>(text.size());
  std::string bytes("\x80\x04X", 3);
  bytes.append(reinterpret_cast<const char*>(&size), sizeof size).append(text).append("\x85}\x86.");
  core::Payload args{Buffer::of(std::move(bytes)), {}};
  args.facts.protocol = 4;
  return args;
}

class RealExecutor : public ::testing::Test {
 protected:
  ExecutorNo spawn(const std::string& source) {
    const ExecutorNo no = harness_.spawn();
    harness_.function(no, 1, function_body(source));
    EXPECT_NE(harness_.ready(no).pid, 0u);
    return no;
  }
  std::uint64_t task(ExecutorNo no, const std::string& text = "", std::uint32_t function = 1) {
    command::SendTask command;
    command.no = no;
    command.function = function;
    command.args = text_argument(text);
    return harness_.task(std::move(command));
  }
  static std::string result(const event::TaskDone& done) {
    EXPECT_TRUE(done.outcome.completed()) << done.outcome.error_type << ": " << done.outcome.error_message;
    return std::string(done.outcome.result.bytes.view());
  }

  PoolHarness harness_{HarnessOptions{}};
};

TEST_F(RealExecutor, RunsAThousandTasksInBatches) {
  const ExecutorNo no = spawn("def run(x): return 'got ' + x");
  std::uint64_t sent = 0, answered = 0;
  while (answered < 1000) {
    for (; sent < 1000 && sent < answered + 64; ++sent) task(no, "task-" + std::to_string(sent) + ".");
    ASSERT_TRUE(harness_.until([&] { return harness_.count<event::TaskDone>() > 0; }));
    for (auto& one : harness_.events()) {
      auto* done = std::get_if<event::TaskDone>(&one);
      if (!done) continue;
      ASSERT_EQ(done->seq, answered + 1);
      ASSERT_THAT(result(*done), HasSubstr("got task-" + std::to_string(answered) + "."));
      EXPECT_EQ(done->made_by, core::MadeBy::Pickle);
      ++answered;
    }
    harness_.events().clear();
  }
}

TEST_F(RealExecutor, AnExceptionIsAFailureWithItsTexts) {
  const ExecutorNo no = spawn("def run(x): return {}[x]");
  task(no, "missing key");
  const event::TaskDone done = harness_.done(no);
  EXPECT_EQ(done.outcome.kind, core::ErrorKind::FunctionFailed);
  EXPECT_EQ(done.outcome.error_type, "KeyError");
  EXPECT_THAT(done.outcome.error_message, HasSubstr("missing key"));
  EXPECT_THAT(done.outcome.traceback, HasSubstr("in run"));
  EXPECT_FALSE(done.outcome.result.bytes.empty());
}

TEST_F(RealExecutor, PrintedTextGoesToItsTask) {
  const ExecutorNo no = spawn(
      "def run(x):\n    import sys\n    if x: print('out', x)\n    if x: print('err', x, file=sys.stderr)\n    return "
      "1");
  for (const char* args : {"a", "", "b", "c", ""}) task(no, args);
  for (const char* args : {"a", "", "b", "c", ""}) {
    const event::TaskDone done = harness_.done(no);
    EXPECT_FALSE(done.output_unmarked);
    if (*args == '\0') {
      EXPECT_EQ(done.outcome.output, "");
    } else {
      EXPECT_THAT(done.outcome.output, HasSubstr(std::string("out ") + args + "\n"));
      EXPECT_THAT(done.outcome.output, HasSubstr(std::string("err ") + args + "\n"));
      EXPECT_EQ(done.outcome.output.size(), 12u);
    }
  }
}

TEST_F(RealExecutor, OutputOfSubprocessesIsMarkedOnRequest) {
  const ExecutorNo no = spawn("def run(x):\n    import os\n    os.system('echo sub ' + x)\n    return 1");
  task(no, "one");
  const event::TaskDone first = harness_.done(no);
  EXPECT_EQ(first.outcome.output, "sub one\n");
  EXPECT_TRUE(first.output_unmarked);
  command::SendTask marked;
  marked.no = no;
  marked.function = 1;
  marked.mark_output = true;
  for (const char* args : {"two", "three"}) {
    marked.args = text_argument(args);
    harness_.task(marked);
  }
  for (const char* args : {"two", "three"}) {
    const event::TaskDone done = harness_.done(no);
    EXPECT_EQ(done.outcome.output, std::string("sub ") + args + "\n");
    EXPECT_FALSE(done.output_unmarked);
  }
}

TEST_F(RealExecutor, EightMegabytesGoThereAndBack) {
  const ExecutorNo no = spawn("def run(x): return x.swapcase()");
  task(no, std::string(8u << 20, 'a') + "End");
  const std::string bytes = result(harness_.done(no));
  EXPECT_THAT(bytes.substr(bytes.size() - 20), HasSubstr("AAeND"));
  EXPECT_EQ(bytes.find('a'), std::string::npos);
  EXPECT_GT(bytes.size(), 8u << 20);
}

TEST_F(RealExecutor, ARecallTakesTheLastOnes) {
  const ExecutorNo no = spawn("def run(x):\n    import time\n    time.sleep(0.3 if x == 'slow' else 0)\n    return x");
  task(no, "slow");
  for (int i = 0; i < 9; ++i) task(no, "quick");
  harness_.until([] { return false; }, 0.1);
  EXPECT_EQ(harness_.recall(no, 7), 7u);
  for (std::uint64_t seq = 1; seq <= 3; ++seq) EXPECT_EQ(harness_.done(no).seq, seq);
  EXPECT_EQ(harness_.take<event::ExecutorIdle>([](const auto& idle) { return idle.seq == 10; }).no, no);
  EXPECT_EQ(task(no, "quick"), 11u);
  EXPECT_EQ(harness_.done(no).seq, 11u);
}

TEST_F(RealExecutor, AFunctionThatItDroppedIsAskedForAgain) {
  const ExecutorNo no = spawn("def run(x): return x");
  const core::Payload body = function_body("def run(x): return x");
  for (std::uint32_t number = 2; number <= 300; ++number) {
    harness_.function(no, number, body);
    task(no, "x", number);
    harness_.done(no);
  }
  const std::uint64_t seq = task(no, "again");
  const auto need = harness_.take<event::NeedFunction>([](const auto&) { return true; });
  EXPECT_EQ(need.seq, seq);
  EXPECT_EQ(need.function, 1u);
  harness_.function(no, 1, body);
  EXPECT_THAT(result(harness_.done(no)), HasSubstr("again"));
}

TEST_F(RealExecutor, SigtermRaisesInsideUserCodeOnly) {
  const ExecutorNo no = spawn("def run(x):\n    import time\n    if x: time.sleep(60)\n    return 1");
  harness_.run(command::Signal{no, SIGTERM});
  harness_.until([] { return false; }, 0.05);
  task(no);
  result(harness_.done(no));
  task(no, "sleep");
  harness_.until([] { return false; }, 0.1);
  harness_.run(command::DumpStack{no});
  harness_.run(command::Signal{no, SIGTERM});
  const event::TaskDone done = harness_.done(no);
  EXPECT_EQ(done.outcome.kind, core::ErrorKind::FunctionFailed);
  EXPECT_EQ(done.outcome.error_type, "SystemExit");
  EXPECT_THAT(done.stack, HasSubstr("in run"));
}

TEST_F(RealExecutor, ACrashTellsSignalStackAndOutput) {
  const ExecutorNo no =
      spawn("def run(x):\n    import ctypes\n    print('before', flush=True)\n    ctypes.string_at(1)");
  task(no);
  const event::ExecutorDied died = harness_.died(no);
  EXPECT_EQ(WTERMSIG(died.wait_status), SIGSEGV);
  EXPECT_THAT(died.stack, HasSubstr("in run"));
  EXPECT_EQ(died.output, "before\n");
  EXPECT_EQ(died.protocol_error, "");
  EXPECT_GT(died.peak_rss, 1u << 20);
}

TEST_F(RealExecutor, ADaemonOfATaskDiesWithItsExecutor) {
  const ExecutorNo no = spawn(
      "def run(x):\n    import os, time\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0:\n"
      "            time.sleep(1000)\n        os._exit(0)\n    os.wait()\n    return 'made'");
  task(no);
  result(harness_.done(no));
  ASSERT_TRUE(harness_.until([&] { return carriers_of(harness_.mark()).size() == 4; }))
      << "guard, zygote, executor, daemon";
  harness_.until([] { return false; }, 0.1);
  EXPECT_EQ(carriers_of(harness_.mark()).size(), 4u) << "a daemon lives as long as its executor";
  harness_.run(command::Kill{no});
  EXPECT_EQ(WTERMSIG(harness_.died(no).wait_status), SIGKILL);
  EXPECT_EQ(carriers_of(harness_.mark()).size(), 2u);
}

TEST_F(RealExecutor, ThatIsToldToExitExits) {
  const ExecutorNo no = spawn("def run(x): return x");
  task(no, "last");
  harness_.run(command::Exit{no});
  EXPECT_EQ(harness_.died(no).wait_status, 0);
  EXPECT_THAT(result(harness_.done(no)), HasSubstr("last"));
}

TEST_F(RealExecutor, PrintsWhatASpawnAndATaskCost) {
  spawn("def run(x): return x");
  const core::Payload body = function_body("def run(x): return x");
  const Instant before = now();
  ExecutorNo no{};
  constexpr int kSpawns = 5;
  for (int i = 0; i < kSpawns; ++i) {
    no = harness_.spawn();
    harness_.ready(no);
  }
  const double spawn_us = static_cast<double>((now() - before).count()) / 1e3 / kSpawns;
  harness_.function(no, 1, body);
  constexpr int kBatches = 60, kBatch = 64;
  timespec cpu_before, cpu_after;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu_before);
  const Instant from = now();
  for (int batch = 0; batch < kBatches; ++batch) {
    for (int i = 0; i < kBatch; ++i) task(no, "0123456789");
    ASSERT_TRUE(harness_.until([&] { return harness_.count<event::TaskDone>() == kBatch; }));
    harness_.events().clear();
  }
  const double wall_us = static_cast<double>((now() - from).count()) / 1e3 / (kBatches * kBatch);
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu_after);
  const double cpu_us = (static_cast<double>(cpu_after.tv_sec - cpu_before.tv_sec) * 1e6 +
                         static_cast<double>(cpu_after.tv_nsec - cpu_before.tv_nsec) / 1e3) /
                        (kBatches * kBatch);
  const Instant lone = now();
  for (int i = 0; i < 200; ++i) {
    task(no, "0123456789");
    harness_.done(no);
  }
  const double lone_us = static_cast<double>((now() - lone).count()) / 1e3 / 200;
  std::printf(
      "{\"spawn_to_ready_us\": %.0f, \"task_wall_us_batch_64\": %.2f, \"supervisor_cpu_us_batch_64\": %.2f, "
      "\"lone_task_us\": %.1f}\n",
      spawn_us, wall_us, cpu_us, lone_us);
  EXPECT_LT(cpu_us, 100);
}

}  // namespace
}  // namespace treadle::worker::test

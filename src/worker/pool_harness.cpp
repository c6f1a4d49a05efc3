#include "worker/pool_harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace treadle::worker::test {

namespace {
constexpr std::int64_t kLookAgainMs = 5;  // many tests wait for something that does not wake the pool
}

Instant now() {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return {std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec};
}

std::string random_text() {
  std::uint64_t bits[2];
  if (::getrandom(bits, sizeof bits, 0) != sizeof bits) std::abort();
  return std::to_string(bits[0]) + "-" + std::to_string(bits[1]);
}

std::vector<pid_t> carriers_of(const std::string& mark) {
  std::vector<pid_t> found;
  DIR* proc = ::opendir("/proc");
  while (const dirent* item = ::readdir(proc)) {
    const pid_t pid = std::atoi(item->d_name);
    if (pid <= 0 || pid == ::getpid()) continue;
    std::ifstream file(std::string("/proc/") + item->d_name + "/environ", std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    if (text.str().find(mark) != std::string::npos) found.push_back(pid);
  }
  ::closedir(proc);
  return found;
}

bool eventually(const std::function<bool()>& done, double seconds) {
  const Instant end = now() + Duration(static_cast<std::int64_t>(seconds * 1e9));
  while (!done()) {
    if (now() > end) return false;
    ::usleep(2000);
  }
  return true;
}

PoolHarness::PoolHarness(HarnessOptions harness) {
  ::setenv("TREADLE_TEST_MARK", mark_.c_str(), 1);
  if (harness.executor.empty()) {
    ::unsetenv("TREADLE_EXECUTOR");
  } else {
    ::setenv("TREADLE_EXECUTOR", harness.executor.c_str(), 1);
  }
  PoolOptions options;
  options.guard = {harness.guard, {}};
  options.interpreters = {{harness.python, harness.preload, {}, 1}};
  options.worker_id = "00000000-0000-4000-8000-000000000000";
  options.max_result = harness.max_result;
  auto started = ExecutorPool::start(std::move(options));
  EXPECT_TRUE(started) << started.error().message;
  pool_ = std::move(*started);
}

// Whatever a test did: nothing of it may be left.
PoolHarness::~PoolHarness() {
  pool_.reset();
  EXPECT_TRUE(eventually([&] { return carriers_of(mark_).empty(); })) << "survivors: " << carriers_of(mark_).size();
}

ExecutorNo PoolHarness::spawn(core::ExecutorKey key) {
  const ExecutorNo no{++last_no_};
  run(core::command::Spawn{no, std::move(key)});
  return no;
}

ExecutorNo PoolHarness::spawn_with(std::string source) {
  const ExecutorNo no = spawn();
  function(no, 1, std::move(source));
  EXPECT_NE(ready(no).pid, 0u);
  return no;
}

void PoolHarness::function(ExecutorNo no, std::uint32_t number, std::string source) {
  core::Payload body{Buffer::of(std::move(source)), {}};
  body.facts.serializer = core::Serializer::Source;
  function(no, number, std::move(body));
}

void PoolHarness::function(ExecutorNo no, std::uint32_t number, core::Payload body) {
  run(core::command::SendFunction{no, number, std::move(body)});
}

std::uint64_t PoolHarness::task(ExecutorNo no, std::string args, std::uint32_t function) {
  core::command::SendTask command;
  command.no = no;
  command.function = function;
  command.args.bytes = Buffer::of(std::move(args));
  return task(std::move(command));
}

std::uint64_t PoolHarness::task(core::command::SendTask command) {
  command.seq = ++last_seq_[command.no];
  run(command);
  return command.seq;
}

std::uint32_t PoolHarness::recall(ExecutorNo no, std::uint32_t count) {
  run(core::command::Recall{no, count});
  return take<core::event::Recalled>([&](const auto& event) { return event.no == no; }).taken;
}

std::uint64_t PoolHarness::measure(ExecutorNo no) {
  run(core::command::Measure{no});
  return take<core::event::Measured>([&](const auto& event) { return event.no == no; }).own_bytes;
}

bool PoolHarness::until(const std::function<bool()>& done, double seconds) {
  const Instant end = now() + Duration(static_cast<std::int64_t>(seconds * 1e9));
  pool_->flush();
  while (!done()) {
    const Instant at = now();
    if (at > end) return false;
    const Instant next = std::min(pool_->next_deadline(), end);
    const auto wait_ms = std::clamp<std::int64_t>((next - at).count() / 1'000'000 + 1, 0, kLookAgainMs);
    pollfd waiting{pool_->wake_fd(), POLLIN, 0};
    ::poll(&waiting, 1, static_cast<int>(wait_ms));
    pool_->turn(now(), events_);
  }
  return true;
}

core::event::ExecutorReady PoolHarness::ready(ExecutorNo no) {
  auto event = take<core::event::ExecutorReady>([&](const auto& e) { return e.no == no; });
  EXPECT_EQ(event.no, no) << "no ExecutorReady";
  return event;
}

// Who died meanwhile, and of what: a missing answer mostly has that reason.
std::string PoolHarness::deaths() const {
  std::string text;
  for (const auto& event : events_) {
    const auto* died = std::get_if<core::event::ExecutorDied>(&event);
    if (!died) continue;
    text += "; executor " + std::to_string(static_cast<std::uint32_t>(died->no)) + " died, wait status " +
            std::to_string(died->wait_status) + ", " + died->gave_up + died->protocol_error +
            (died->guard_lost ? "guard lost" : "");
  }
  return text;
}

core::event::TaskDone PoolHarness::done(ExecutorNo no, double seconds) {
  auto event = take<core::event::TaskDone>([&](const auto& e) { return e.no == no; }, seconds);
  EXPECT_EQ(event.no, no) << "no TaskDone" << deaths();
  return event;
}

core::event::ExecutorDied PoolHarness::died(ExecutorNo no, double seconds) {
  auto event = take<core::event::ExecutorDied>([&](const auto& e) { return e.no == no; }, seconds);
  EXPECT_EQ(event.no, no) << "no ExecutorDied";
  return event;
}

}  // namespace treadle::worker::test

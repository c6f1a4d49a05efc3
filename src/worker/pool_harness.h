// For tests: a pool with a real guard, and the turns of its loop until something has happened.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/executor_port.h"
#include "worker/executor_pool.h"

namespace treadle::worker::test {

using core::ExecutorNo;

Instant now();
std::string random_text();
// Processes that carry this text in the environment they were started with, except ourselves.
std::vector<pid_t> carriers_of(const std::string& mark);
// Polls `done` for up to `seconds`; false if it never was.
bool eventually(const std::function<bool()>& done, double seconds = 5);

struct HarnessOptions {
  std::vector<std::string> preload;
  std::string python = "/usr/bin/python3";
  std::string executor;  // file with the Python side; "" = the embedded one
  std::uint64_t max_result = 64u << 20;
  std::string guard = TREADLE_GUARD_PROGRAM;
};

class PoolHarness {
 public:
  explicit PoolHarness(HarnessOptions options);
  ~PoolHarness();

  ExecutorPool& pool() { return *pool_; }
  const std::string& mark() const { return mark_; }  // in the environment of all that the pool starts

  ExecutorNo spawn(core::ExecutorKey key = {});
  // Spawned, ready, and with `source` as function 1.
  ExecutorNo spawn_with(std::string source);
  void function(ExecutorNo no, std::uint32_t number, std::string source);
  void function(ExecutorNo no, std::uint32_t number, core::Payload body);
  // The next task of this executor; gives its seq.
  std::uint64_t task(ExecutorNo no, std::string args = {}, std::uint32_t function = 1);
  std::uint64_t task(core::command::SendTask command);
  std::uint32_t recall(ExecutorNo no, std::uint32_t count);
  std::uint64_t measure(ExecutorNo no);
  void run(const core::ExecutorCommand& command) { pool_->run(command, events_); }

  // Turns until `done` or `seconds` are over (then false).
  bool until(const std::function<bool()>& done, double seconds = 10);

  // Each waits for its event, takes it out, and fails the test (default value) if it does not come.
  core::event::ExecutorReady ready(ExecutorNo no);
  core::event::TaskDone done(ExecutorNo no, double seconds = 10);
  core::event::ExecutorDied died(ExecutorNo no, double seconds = 10);
  template <class Event>
  Event take(const std::function<bool(const Event&)>& wanted, double seconds = 10);
  // Whether such an event waits to be taken.
  template <class Event>
  std::size_t count() const {
    std::size_t n = 0;
    for (const auto& event : events_) n += std::holds_alternative<Event>(event);
    return n;
  }
  std::vector<core::ExecutorEvent>& events() { return events_; }

 private:
  std::string deaths() const;

  std::string mark_ = random_text();
  std::unique_ptr<ExecutorPool> pool_;
  std::vector<core::ExecutorEvent> events_;
  std::map<ExecutorNo, std::uint64_t> last_seq_;
  std::uint32_t last_no_ = 0;
};

template <class Event>
Event PoolHarness::take(const std::function<bool(const Event&)>& wanted, double seconds) {
  auto found = events_.end();
  until(
      [&] {
        for (auto it = events_.begin(); it != events_.end(); ++it) {
          const Event* event = std::get_if<Event>(&*it);
          if (!event || !wanted(*event)) continue;
          found = it;
          return true;
        }
        found = events_.end();
        return false;
      },
      seconds);
  if (found == events_.end()) return Event{};
  Event event = std::move(std::get<Event>(*found));
  events_.erase(found);
  return event;
}

}  // namespace treadle::worker::test

// Carries out the supervisor core's commands on real processes and hands back what they say. Owns the guard, the
// zygotes, and one channel per executor. One thread; no loop of its own: the host watches `wake_fd()` and calls `turn`.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "core/executor_port.h"
#include "core/limits.h"
#include "worker/environment_cache.h"
#include "worker/executor_channel.h"
#include "worker/guard_process.h"
#include "worker/interpreter.h"
#include "worker/temp_folders.h"

namespace treadle::worker {

struct PoolOptions {
  GuardCommand guard;
  std::vector<ZygoteOptions> interpreters;  // ExecutorKey::interpreter is an index into it; never empty
  std::string worker_id;                    // UUID text
  std::vector<std::string> paths;  // in front of sys.path: --path, the entries of PYTHONPATH, cwd; of zygotes too
  std::string cwd;                 // of executors; "" = ours
  std::string secrets_dir;         // "" = none
  std::string temp_dir;            // for the temporary folders of tasks; "" = $TMPDIR, or /tmp
  std::uint64_t max_result = core::limits::kMaxResult;
  EnvironmentOptions environments;
};

class ExecutorPool {
 public:
  // Starts the guard and a zygote of the first interpreter. Call it on the thread that will host the pool, and keep
  // that thread for as long as the pool lives.
  static Result<std::unique_ptr<ExecutorPool>> start(PoolOptions options);
  // Ends everything below the guard and waits for it (GuardProcess).
  ~ExecutorPool();
  ExecutorPool(const ExecutorPool&) = delete;
  ExecutorPool& operator=(const ExecutorPool&) = delete;

  // Readable when `turn` has something to do. Never read from it.
  int wake_fd() const { return epoll_.get(); }
  // When `turn` must be called though nothing woke the host.
  Instant next_deadline() const;

  // Commands for an executor that is gone are ignored. Frames leave with the next `flush`; answers that the port
  // promises before `run` returns, and failures that are known at once, are appended to `events`.
  void run(const core::ExecutorCommand& command, std::vector<core::ExecutorEvent>& events);
  // Reads what is there: all results first, then at most 1 MiB of output. Then flushes.
  void turn(Instant now, std::vector<core::ExecutorEvent>& events);
  void flush();

  // For `doctor`, logs and tests. 0 or "" while there is none.
  pid_t guard_pid() const { return guard_ ? guard_->pid() : 0; }
  pid_t zygote_pid(std::uint32_t interpreter) const;
  std::string zygote_report(std::uint32_t interpreter) const;  // the JSON of its ready message
  pid_t executor_pid(core::ExecutorNo no) const;

 private:
  // What a watched descriptor is: the upper half of its epoll tag; the lower half is the executor's number.
  enum Tag : std::uint64_t { kGuard = 1, kSocket = 2, kStdout = 3, kStderr = 4 };
  static std::uint64_t tag_of(Tag tag, std::uint32_t no = 0) { return static_cast<std::uint64_t>(tag) << 32 | no; }

  struct ZygoteKey {
    std::uint32_t interpreter = 0;
    std::string environment;  // its requirements; "" = the worker's own
    friend auto operator<=>(const ZygoteKey&, const ZygoteKey&) = default;
  };
  struct Zygote {
    std::uint32_t no = 0;  // 0: none; else unique in the life of the pool
    pid_t pid = 0;         // 0 until it is ready
    std::string report;
    Instant used;          // an executor was forked from it last
    bool stopped = false;  // we have asked it to go
  };
  struct Executor {
    std::unique_ptr<ExecutorChannel> channel;
    ZygoteKey zygote;
    std::string builds;  // it is a builder, of this environment, and runs no tasks
    pid_t pid = 0;       // as the guard says; 0 before
    UniqueFd pidfd;
    Instant asked;  // the turn before its Spawn
    bool killed = false;
    std::uint64_t baseline = 0;         // RssAnon + RssShmem when it became ready
    Instant closed = Instant::never();  // when its end of the socket was seen to be closed
  };
  using Executors = std::unordered_map<std::uint32_t, Executor>;
  using Events = std::vector<core::ExecutorEvent>;

  explicit ExecutorPool(PoolOptions options) : options_(std::move(options)), environments_(options_.environments) {}
  Result<void*> begin();
  Result<void*> start_guard();
  Result<std::uint32_t> zygote_for(const ZygoteKey& key);
  void stop_an_idle_environment();
  std::string settings_of(core::ExecutorNo no, const core::ExecutorKey& key, const Mark& mark,
                          const std::string& build) const;
  Result<Executor*> launch(core::ExecutorNo no, const core::ExecutorKey& key, const ZygoteKey& from,
                           const std::string& build);
  void watch(int fd, std::uint64_t tag, std::uint32_t what);

  void run_one(const core::command::Spawn& command, Events& events);
  void run_one(const core::command::BuildEnvironment& command, Events& events);
  void run_one(const core::command::SendFunction& command, Events& events);
  void run_one(const core::command::SendTask& command, Events& events);
  void run_one(const core::command::Recall& command, Events& events);
  void run_one(const core::command::CancelTask& command, Events& events);
  void run_one(const core::command::Signal& command, Events& events);
  void run_one(const core::command::DumpStack& command, Events& events);
  void run_one(const core::command::Kill& command, Events& events);
  void run_one(const core::command::Exit& command, Events& events);
  void run_one(const core::command::Measure& command, Events& events);
  void run_one(const core::command::ReadOutput& command, Events& events);
  Executor* find(core::ExecutorNo no);

  void read_socket(std::uint32_t no, Instant now, Events& events);
  void read_guard(Events& events);
  void obey_guard(const Packet& packet, Events& events);
  void bury(std::uint32_t no, const Packet& packet, Events& events);
  void lose_guard(Events& events);
  void kill(std::uint32_t no, Executor& executor);
  void end_the_deaf(Instant now);
  void end_slow_builders();
  void spawn_failed(std::uint32_t no, const Executor& executor, std::string why, Events& events);
  void builder_ended(const Executor& executor, const core::event::ExecutorDied& died, Events& events);
  void forget(std::uint32_t no);
  void flush_one(std::uint32_t no, Executor& executor);

  PoolOptions options_;
  std::string source_;  // of the executor
  std::unique_ptr<TempFolders> temp_;
  UniqueFd epoll_;
  std::unique_ptr<GuardProcess> guard_;  // null: it could not be started again; the next Spawn tries
  EnvironmentCache environments_;
  std::uint32_t builders_ = 0;  // that were started
  Instant build_ends_by_ = Instant::never();
  std::string died_of_;  // the last zygote that did
  std::map<ZygoteKey, Zygote> zygotes_;
  std::uint32_t last_zygote_ = 0;
  Executors executors_;  // by number
  Instant last_turn_;
  Instant guard_started_;                     // the turn before it was
  std::vector<pid_t> others_;                 // children of ours that were there before the guard
  std::unordered_set<std::uint32_t> unsent_;  // executors with frames that wait for `flush`
  std::unordered_set<std::uint32_t> full_;    // executors whose socket is full: watched for room
  std::unordered_set<std::uint32_t> closed_;  // executors whose end is closed and which have not been buried
};

}  // namespace treadle::worker

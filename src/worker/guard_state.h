// What the guard knows of its children. Used by guard*.cpp only.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "worker/fds.h"
#include "worker/guard_protocol.h"
#include "worker/process_tree.h"

namespace treadle::worker {

class Guard {
 public:
  explicit Guard(int control) : control_(control) {}
  // Becomes session leader, subreaper and deaf to the terminal. False: this is not a process that treadle started.
  bool prepare();
  void run();

 private:
  struct Zygote {
    pid_t pid = -1;
    UniqueFd socket;
    UniqueFd errors;
    std::string last_errors;    // the end of its stderr
    std::string gave_up;        // its own last words (E)
    std::optional<int> exited;  // wait status; it is forgotten once nothing of it is left
  };
  struct Executor {
    std::uint32_t zygote = 0;
    pid_t pid = -1;  // -1 until its middle parent has reported it
    bool kill = false;
    std::optional<int> exited;  // wait status; told to the supervisor once nothing below it is left
    ExitFacts facts;
  };

  // guard.cpp: the loop
  void wait_for_work();
  void read_control();
  void read_signals();
  void obey(const Packet& packet, std::vector<UniqueFd>& fds);
  void start_zygote(const Packet& packet, const std::vector<UniqueFd>& fds);
  void spawn(const Packet& packet, const std::vector<UniqueFd>& fds);
  void kill_tree(std::uint64_t id);
  void report(std::string packet);
  void flush();
  void leave();

  // guard_children.cpp: news of children, and their end
  void read_zygotes();
  void read_zygote(std::uint32_t no, Zygote& zygote);
  void read_errors(Zygote& zygote);
  void hear(std::uint32_t no, Zygote& zygote, std::string_view message);
  void fail_spawn(std::uint64_t id, std::uint32_t error, std::string_view text);
  void reap(std::unordered_set<pid_t>& reaped);
  void note_exit(pid_t pid, int status, const ExitFacts& facts);
  void sweep();
  bool is_victim(pid_t child) const;
  bool kill_victims(const std::vector<ProcessEntry>& processes, const std::unordered_set<pid_t>& reaped);
  void settle();
  void settle_zygotes();

  int control_;
  pid_t self_ = ::getpid();
  pid_t supervisor_ = -1;
  int niceness_ = 0;  // of our children
  UniqueFd signals_;
  std::map<std::uint32_t, Zygote> zygotes_;
  std::unordered_map<std::uint64_t, Executor> executors_;
  std::unordered_map<pid_t, std::uint64_t> by_pid_;  // every executor that has a pid and was not waited for
  std::deque<std::string> outgoing_;                 // packets that the supervisor's socket had no room for
  bool sweep_due_ = false;
  int sweep_delay_ms_ = 0;  // until the next one, while victims do not die at once
  bool leaving_ = false;
};

}  // namespace treadle::worker

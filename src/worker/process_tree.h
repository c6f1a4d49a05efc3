// Who descends from whom on this machine, read from /proc, and the end of all of them. Follows parents, not process
// groups or sessions, so setsid() does not escape; a double fork escapes to the nearest subreaper, which is therefore
// asked too.
#pragma once

#include <sys/types.h>

#include <functional>
#include <vector>

namespace treadle::worker {

struct ProcessEntry {
  pid_t pid = 0;
  pid_t parent = 0;
  bool zombie = false;
};

// Every process that can be seen now. Not a snapshot: processes come and go while it is made. `seen` is told of each at
// once, for callers who must act before it is gone.
std::vector<ProcessEntry> list_processes(const std::function<void(const ProcessEntry&)>& seen = {});

// All below `root`, nearest first, without `root`.
std::vector<pid_t> descendants(const std::vector<ProcessEntry>& processes, pid_t root);

// How many processes that are not zombies are below `root`.
std::size_t living_below(pid_t root);

std::vector<pid_t> children(const std::vector<ProcessEntry>& processes, pid_t parent);

// Ends `root` and all below it, though we are not its parent (its own parent, the guard, is gone). `root` is stopped
// first, so that it stays the subreaper of what it started until nothing is left below it. Waits at most a second. True
// when all of it was seen to be dead.
bool kill_foreign_tree(pid_t root, int root_pidfd);

// Ends all children of ours that are not in `kept`, and all below them: what a dead guard has left to us, since we are
// the next subreaper. Waits at most a second. True when there is none left.
bool end_orphans(const std::vector<pid_t>& kept);

}  // namespace treadle::worker

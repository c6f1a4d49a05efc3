// A role without a loop: it offers turn() and a wake handle, and the loop that hosts it calls it. Which roles share a
// thread is a choice of `cli` (a hop between threads costs 43 us on the machines that we measured).
#pragma once

#include "base/time.h"

namespace treadle::runtime {

class Shell {
 public:
  virtual ~Shell() = default;
  // Does all that can be done without waiting. True: something happened, so other shells may have work now.
  virtual bool turn(Instant now) = 0;
  // turn() must be called then at the latest.
  virtual Instant next_deadline() const = 0;
  // Readable when turn() should be called; -1: never on its own.
  virtual int wake_fd() const { return -1; }
};

}  // namespace treadle::runtime

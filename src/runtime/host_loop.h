// The one loop of a process: runs what Asio has ready, then gives every shell a turn, so that all that one burst of
// events brought leaves as one commit, one message and one write each.
#pragma once

#include <memory>
#include <vector>

#include "base/callback.h"
#include "runtime/shell.h"

namespace boost::asio {
class io_context;
}

namespace treadle::runtime {

class HostLoop {
 public:
  explicit HostLoop(const Clock& clock);
  ~HostLoop();

  boost::asio::io_context& context();
  // Shells get their turns in the order in which they were added; they outlive the loop.
  void add(Shell& shell);
  // Called on the loop thread for SIGINT and SIGTERM, with how many of them have come.
  void on_stop_signal(Callback<void(int)> handler);
  // Called on the loop thread for each SIGUSR1.
  void on_dump_signal(Callback<void()> handler);
  void run();   // until stop()
  void stop();  // from the loop thread

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace treadle::runtime

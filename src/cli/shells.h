// Small shells that give parts without a loop of their own their place in the round.
#pragma once

#include <utility>

#include "base/callback.h"
#include "gateway/gateway.h"
#include "runtime/shell.h"
#include "store/store.h"

namespace treadle::cli {

class StoreShell final : public runtime::Shell {
 public:
  explicit StoreShell(store::Store& store) : store_(store) {}
  bool turn(Instant now) override { return store_.turn(now); }
  Instant next_deadline() const override { return store_.next_deadline(); }
  int wake_fd() const override { return store_.wake_fd(); }

 private:
  store::Store& store_;
};

// Last of those that work, so that the answers of a turn leave with it.
class GatewayShell final : public runtime::Shell {
 public:
  explicit GatewayShell(gateway::Gateway& gateway) : gateway_(gateway) {}
  bool turn(Instant now) override { return gateway_.turn(now); }
  Instant next_deadline() const override { return Instant::never(); }

 private:
  gateway::Gateway& gateway_;
};

// Only wakes the loop: a link is read by the shell that it serves.
class WakeShell final : public runtime::Shell {
 public:
  explicit WakeShell(int fd) : fd_(fd) {}
  bool turn(Instant) override { return false; }
  Instant next_deadline() const override { return Instant::never(); }
  int wake_fd() const override { return fd_; }

 private:
  int fd_;
};

// Asks, in every round, whether it is time to end.
class StopShell final : public runtime::Shell {
 public:
  StopShell(Callback<void(Instant)> look, const Instant& deadline) : look_(std::move(look)), deadline_(deadline) {}
  bool turn(Instant now) override {
    look_(now);
    return false;
  }
  Instant next_deadline() const override { return deadline_; }

 private:
  Callback<void(Instant)> look_;
  const Instant& deadline_;
};

}  // namespace treadle::cli

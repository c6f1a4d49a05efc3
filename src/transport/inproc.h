// LOCAL: dispatcher and supervisor share a loop, so a message is handed over as it is, without a copy or a wake-up.
#pragma once

#include <utility>
#include <vector>

#include "transport/link.h"

namespace treadle::transport {

class InprocPair {
 public:
  DispatcherLink& dispatcher_end() { return dispatcher_; }
  WorkerLink& worker_end() { return worker_; }

 private:
  class DispatcherEnd final : public DispatcherLink {
   public:
    explicit DispatcherEnd(InprocPair& pair) : pair_(pair) {}
    void send(WorkerId, core::DispatcherMessage message) override { pair_.down_.push_back(std::move(message)); }
    std::vector<core::WorkerMessage> receive(Instant) override { return std::exchange(pair_.up_, {}); }
    std::vector<WorkerId> unroutable() override { return {}; }

   private:
    InprocPair& pair_;
  };
  class WorkerEnd final : public WorkerLink {
   public:
    explicit WorkerEnd(InprocPair& pair) : pair_(pair) {}
    void send(core::WorkerMessage message) override { pair_.up_.push_back(std::move(message)); }
    std::vector<core::DispatcherMessage> receive(Instant) override { return std::exchange(pair_.down_, {}); }

   private:
    InprocPair& pair_;
  };

  std::vector<core::WorkerMessage> up_;
  std::vector<core::DispatcherMessage> down_;
  DispatcherEnd dispatcher_{*this};
  WorkerEnd worker_{*this};
};

}  // namespace treadle::transport

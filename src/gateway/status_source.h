// What /readyz, /version and /metrics show of the process around the gateway; implemented by whoever hosts it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace treadle::gateway {

struct WorkerStatus {
  std::string id;
  std::string name;
  std::string host;
  std::int64_t pid = 0;
  std::uint32_t slots = 0;
  std::uint32_t slots_free = 0;
  std::string python;  // "3.11.2"
  std::string state;   // "ready", "draining", "lost"
};

struct BuildInfo {
  std::string version;  // "0.1.0"
  std::string commit;   // "" = unknown
};

struct Status {
  std::string mode;  // "local", "push", "pull"; "" = this process has no dispatcher
  std::uint32_t slots = 0;
  std::uint32_t slots_free = 0;
  std::string workers_at;  // where workers connect, in push and pull: "tcp://127.0.0.1:7001"
  bool draining = false;
  std::string not_ready;  // "" = ready; else one sentence that says why not
  std::vector<WorkerStatus> workers;
};

// Called on the loop thread, a few times a second at most.
class StatusSource {
 public:
  virtual ~StatusSource() = default;
  virtual Status status() const = 0;
  virtual BuildInfo build() const = 0;
};

}  // namespace treadle::gateway

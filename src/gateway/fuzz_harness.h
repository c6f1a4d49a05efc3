// Drives a whole gateway with bytes from anybody, on one thread; for tests/fuzz/http_fuzz.cpp.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

namespace treadle::gateway {

class FuzzHarness {
 public:
  FuzzHarness();
  ~FuzzHarness();
  // One connection that sends `bytes` in pieces of `cut` and then ends. Stops the process if the gateway answers what
  // is no HTTP, answers 500, or does not close.
  void run(std::string_view bytes, std::size_t cut);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace treadle::gateway

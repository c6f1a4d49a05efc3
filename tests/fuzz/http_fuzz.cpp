// Bytes on the HTTP port, through a real socket: parser, connection, admission, JSON, base64, pickle, answers. The
// first byte says how they are cut into pieces.
#include <cstdint>

#include "gateway/fuzz_harness.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static treadle::gateway::FuzzHarness harness;
  if (size < 2) return 0;
  const std::size_t cut = data[0] < 128 ? size : data[0] - 127u;
  harness.run({reinterpret_cast<const char*>(data) + 1, size - 1}, cut);
  return 0;
}

// The pickle verifier: any bytes, whole and cut into pieces, get the same verdict; bounded memory is libFuzzer's own
// check.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/pickle.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace treadle::core;
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t step = 1 + data[0] % 23;
  const auto whole = verify_pickle(bytes);
  PickleVerifier verifier;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    if (!verifier.feed(bytes.substr(at, step))) break;
  }
  const auto pieces = verifier.finish();
  if (whole.has_value() != pieces.has_value()) std::abort();
  if (!whole && whole.error().message != pieces.error().message) std::abort();
  if (whole && whole->facts != pieces->facts) std::abort();
  return 0;
}

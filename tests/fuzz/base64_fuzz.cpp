// The base64 decoder: whole and in pieces alike; what it decodes is encoded to something that decodes to the same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/base64.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace treadle;
  if (size < 1) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t step = 1 + data[0] % 19;
  const auto whole = base64_decode(text);
  Base64Decoder decoder;
  std::string pieces;
  bool sound = true;
  for (std::size_t at = 0; at < text.size() && sound; at += step) sound = decoder.feed(text.substr(at, step), pieces);
  sound = sound && decoder.finish(pieces);
  if (sound != whole.has_value() || (sound && pieces != *whole)) std::abort();
  if (whole && *base64_decode(base64_encode_lines(*whole)) != *whole) std::abort();
  return 0;
}

#include "gateway/base64_json.h"

#include <algorithm>

#include "base/base64.h"

namespace treadle::gateway {

std::uint64_t base64_json_length(std::uint64_t bytes) {
  return (bytes + 2) / 3 * 4 + (bytes + kBase64Line - 1) / kBase64Line * 2;
}

void append_base64_json(std::string& out, std::string_view bytes) {
  out.reserve(out.size() + base64_json_length(bytes.size()));
  for (; !bytes.empty(); bytes.remove_prefix(std::min(kBase64Line, bytes.size()))) {
    base64_encode(bytes.substr(0, kBase64Line), out);
    out += "\\n";
  }
}

}  // namespace treadle::gateway

#include "gateway/digest.h"

#include "base/sha256.h"

namespace treadle::gateway {

Digest digest_of_call(FunctionId function, const Digest& args, std::string_view settings) {
  return sha256(to_string(function) + to_string(args) + std::string(settings));
}

}  // namespace treadle::gateway

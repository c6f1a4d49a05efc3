#include "gateway/digest.h"

#include <array>
#include <string>

#include <openssl/evp.h>

#include "base/assert.h"

namespace treadle::gateway {

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  TREADLE_ASSERT(context_ != nullptr);
  restart();
}
Sha256::~Sha256() = default;

void Sha256::restart() { TREADLE_ASSERT(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1); }

void Sha256::update(std::string_view bytes) {
  TREADLE_ASSERT(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

Digest Sha256::finish() {
  std::array<unsigned char, 32> bytes{};
  TREADLE_ASSERT(EVP_DigestFinal_ex(context_.get(), bytes.data(), nullptr) == 1);
  Digest digest;
  for (std::size_t i = 0; i < bytes.size(); ++i) digest.words[i / 8] = digest.words[i / 8] << 8 | bytes[i];
  return digest;
}

Digest sha256(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

Digest digest_of_call(FunctionId function, const Digest& args, std::string_view settings) {
  return sha256(to_string(function) + to_string(args) + std::string(settings));
}

}  // namespace treadle::gateway

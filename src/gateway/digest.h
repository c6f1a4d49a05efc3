// SHA-256 (OpenSSL), in pieces.
#pragma once

#include <memory>
#include <string_view>

#include "base/ids.h"

struct evp_md_ctx_st;  // OpenSSL's EVP_MD_CTX

namespace treadle::gateway {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void restart();
  void update(std::string_view bytes);
  Digest finish();  // then restart() before anything else

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

Digest sha256(std::string_view bytes);
// What "the same body" compares under one Idempotency-Key: function, decoded arguments (not their text) and
// what else was asked for.
Digest digest_of_call(FunctionId function, const Digest& args, std::string_view settings = {});

}  // namespace treadle::gateway

// SHA-256 (OpenSSL), in pieces.
#pragma once

#include <memory>
#include <string_view>

#include "base/ids.h"

struct evp_md_ctx_st;  // OpenSSL's EVP_MD_CTX

namespace treadle {

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

}  // namespace treadle

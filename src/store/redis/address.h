// Where a Redis is and how to get in, from the URL that people write.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace treadle::store::redis {

struct Address {
  enum class Kind : std::uint8_t { Tcp, Tls, Unix };
  Kind kind = Kind::Tcp;
  std::string host = "127.0.0.1";
  std::uint16_t port = 6379;
  std::string path;  // of the Unix socket
  int database = 0;
  std::string user, password;
  std::string ca_file;  // of TLS; "" = the system's

  // As people write it, without the password: redis://127.0.0.1:6379/0. For messages and logs.
  std::string shown() const;
};

// redis://[[user]:password@]host[:port][/database], rediss://... (TLS) with ?ca=FILE,
// unix://[[user]:password@]/path/to.sock[?db=N]. User, password and path may be percent-encoded.
// The error never repeats a password.
Result<Address> parse_address(std::string_view url);

}  // namespace treadle::store::redis

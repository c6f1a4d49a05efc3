// Where a Redis is and how to get in, from the URL that people write.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace treadle::store::redis {

struct Address {
  enum class Kind : std::uint8_t { Tcp, Tls, Unix };
  enum class Group : std::uint8_t {
    Servers,   // one, or several that share a store in partitions
    Sentinel,  // host and port are of Sentinels, which know the master
    Cluster,   // of nodes of a Redis Cluster, which know the others
  };
  struct Place {
    std::string host;
    std::uint16_t port = 6379;
    friend bool operator==(const Place&, const Place&) = default;
  };
  Kind kind = Kind::Tcp;
  Group group = Group::Servers;
  std::string host = "127.0.0.1";
  std::uint16_t port = 6379;
  std::vector<Place> others;  // named after the first
  std::string master_name;    // that the Sentinels know it by
  std::string path;           // of the Unix socket
  int database = 0;
  std::string user, password;
  std::string ca_file;  // of TLS; "" = the system's

  // As people write it, without the password: redis://127.0.0.1:6379/0. For messages and logs.
  std::string shown() const;
  // The first and the others.
  std::vector<Place> places() const;
  // One of these servers, got into in the same way.
  Address at(const Place& place) const;
  // The servers that are to be connected to: all of several; behind Sentinels, only what these know.
  std::vector<Address> each() const;
};

// redis://[[user]:password@]host[:port][/database], rediss://... (TLS) with ?ca=FILE,
// unix://[[user]:password@]/path/to.sock[?db=N]; several servers: redis://host:port,host:port/0;
// redis+sentinel://host:port,host:port/master-name/0; redis+cluster://host:port,host:port. User, password and path may
// be percent-encoded. The error never repeats a password.
Result<Address> parse_address(std::string_view url);

}  // namespace treadle::store::redis

// Big payloads: they pass on a connection of their own, made at the first one, so that no small command waits behind
// them; never through a script, which would keep Redis from everybody.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/callback.h"
#include "base/result.h"
#include "core/payload.h"
#include "store/redis/caller.h"
#include "store/redis/client.h"

namespace treadle::store::redis {

class Uploader {
 public:
  struct Item {
    std::string key;     // of the hash, without the prefix
    std::string marker;  // a field that is there when the hash is complete: then nothing is brought
    std::string field;   // that gets the payload's text
    core::Payload payload;
  };
  using Done = Callback<void(Result<void>)>;

  Uploader(boost::asio::io_context& io, Address address, ClientConfig config, const Clock& clock, std::string prefix,
           Caller::Later& later);
  ~Uploader();

  // What nobody completes is gone after an hour. Nothing to do is answered at once.
  void into_hashes(std::vector<Item> items, Done done);
  void into_key(std::string key, const core::Payload& payload, Done done);
  void read_field(std::string key, std::string field, Caller::Then then);
  void read_key(std::string key, Caller::Then then);
  void flush();
  void close();
  std::size_t in_flight() const { return caller_ ? caller_->in_flight() : 0; }

 private:
  Caller& caller();
  void put(Item item, Done done);

  boost::asio::io_context& io_;
  Address address_;
  ClientConfig config_;
  const Clock& clock_;
  std::string prefix_;
  Caller::Later& later_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<Caller> caller_;
};

}  // namespace treadle::store::redis

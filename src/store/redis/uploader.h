// Big payloads: they pass on a connection of their own, made at the first one, so that no small command waits behind
// them; never through a script, which would keep Redis from everybody.
#pragma once

#include <string>
#include <vector>

#include "base/callback.h"
#include "base/result.h"
#include "core/payload.h"
#include "store/redis/caller.h"

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

  Uploader(Route& route, const Clock& clock, std::string prefix, Caller::Later& later);

  // What nobody completes is gone after an hour. Nothing to do is answered at once.
  void into_hashes(std::vector<Item> items, Done done);
  void into_key(std::string key, const core::Payload& payload, Done done);
  void read_field(std::string key, std::string field, Caller::Then then);
  void read_key(std::string key, Caller::Then then);
  void stop() { caller_.stop(); }
  std::size_t in_flight() const { return caller_.in_flight(); }

 private:
  void put(Item item, Done done);

  std::string prefix_;
  Caller caller_;
};

}  // namespace treadle::store::redis

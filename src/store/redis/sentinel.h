// Asks Sentinels who the master is.
#pragma once

#include <memory>

#include "base/callback.h"
#include "base/result.h"
#include "base/time.h"
#include "store/redis/address.h"

namespace boost::asio {
class io_context;
}

namespace treadle::store::redis {

// One round of questions. Calls back once, from a handler, unless it is cancelled before.
class MasterSearch {
 public:
  virtual ~MasterSearch() = default;
  virtual void cancel() = 0;
};

// One Sentinel after the other, beginning with number `first`, until one knows it; each has at most `patience`.
std::shared_ptr<MasterSearch> find_master(boost::asio::io_context& io, const Address& sentinels, std::size_t first,
                                          Duration patience, Callback<void(Result<Address>)> done);

}  // namespace treadle::store::redis

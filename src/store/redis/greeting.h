// The first words on a new connection: protocol, password, database.
#pragma once

#include <memory>

#include "base/callback.h"
#include "base/result.h"
#include "store/redis/address.h"
#include "store/redis/connection.h"

namespace treadle::store::redis {

// HELLO 3, or AUTH on a server that does not know it; then SELECT. `done` runs once; the error is a sentence for the
// operator, with Code::StoreError if Redis said no. The connection is not closed by a failure.
void greet(std::shared_ptr<Connection> connection, const Address& address, bool must_be_master,
           Callback<void(Result<void>)> done);

}  // namespace treadle::store::redis

// What the start must know of a Redis: is it there, is it new enough, what does it keep when it dies.
#pragma once

#include <string>
#include <vector>

#include "base/callback.h"
#include "base/result.h"
#include "base/time.h"
#include "store/redis/client.h"
#include "store/store.h"

namespace treadle::store::redis {

inline constexpr Duration kStartPatience = 5s;  // for a Redis that is just being started, or loads its data

struct Findings {
  std::string version;
  Level level = Level::None;
  std::vector<std::string> warnings;  // a sentence for each setting that loses tasks, with the command that mends it
};

// Asks until it is answered, at most `patience`. The error is what to print before exit 2. `client` outlives the
// answer.
void probe(boost::asio::io_context& io, Client& client, Callback<void(Result<Findings>)> done,
           Duration patience = kStartPatience);

// The sentence for "there is none": docs/http-contract.md, Commands.
Error no_redis(const Address& address);

// Behind probe(): the commands, and what their replies mean.
std::vector<Command> probe_commands();
struct Judgement {
  Findings findings;
  bool loading = false;  // its data is not there yet
};
Result<Judgement> judge(const std::vector<Reply>& replies, const Address& address);

}  // namespace treadle::store::redis

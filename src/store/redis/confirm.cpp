// Waiting for replicas (--redis-wait): what is asserted has reached so many of them. One WAIT for many answers, since
// it stops its connection; and over the very connection that brought these answers, since only that one's WAIT counts
// them.
#include <algorithm>
#include <string>
#include <utility>

#include "store/redis/caller.h"

namespace treadle::store::redis {
namespace {

Error too_few(std::int64_t had, const ReplicaWait& wait) {
  return fail(Code::StoreAway, "Redis has taken it, but only " + std::to_string(had) + " of " +
                                   std::to_string(wait.replicas) + " replicas had it within " +
                                   std::to_string(wait.limit / 1ms) +
                                   " ms (--redis-wait), so a failover could lose it. Send it again with the same "
                                   "Idempotency-Key when the replicas are back.");
}

Error connection_lost() {
  return fail(Code::Unavailable,
              "The connection to Redis was lost before the replicas had it. Send it again with the same "
              "Idempotency-Key.");
}

}  // namespace

void Caller::confirm(Callback<void(Result<void>)> then) {
  if (wait_.replicas == 0) return then(Result<void>{});
  confirm_over(route_.client().connection_number(), std::move(then));
}

void Caller::confirm_over(std::uint64_t connection, Callback<void(Result<void>)> then) {
  confirms_.push_back({connection, std::move(then)});
}

void Caller::flush_confirms() {
  if (confirms_.empty() || confirming_) return;
  confirming_ = true;
  // A write of our own, so that WAIT also covers what an earlier connection wrote.
  std::vector<Command> commands{
      {"HINCRBY", header_.front() + "treadle:meta", "confirmed", "1"},
      {"WAIT", std::to_string(wait_.replicas), std::to_string(std::max<std::int64_t>(wait_.limit / 1ms, 1))}};
  Client& client = route_.client();
  client.send_all(std::move(commands), [this, &client, asked = std::exchange(confirms_, {})](
                                           Result<std::vector<Reply>> replies) mutable {
    const std::uint64_t connection = client.connection_number();
    later_.push_back([this, asked = std::move(asked), connection, replies = std::move(replies)]() mutable {
      confirmed(std::move(asked), connection, replies);
    });
  });
}

void Caller::confirmed(std::vector<Confirm> asked, std::uint64_t connection,
                       const Result<std::vector<Reply>>& replies) {
  confirming_ = false;
  for (Confirm& one : asked) {
    const bool same = replies && one.connection == connection && replies->size() == 2 &&
                      replies->at(0).type != Reply::Type::Error && replies->at(1).type == Reply::Type::Integer;
    if (!same)
      one.then(connection_lost());
    else if (replies->at(1).integer < wait_.replicas)
      one.then(too_few(replies->at(1).integer, wait_));
    else
      one.then(Result<void>{});
  }
}

}  // namespace treadle::store::redis

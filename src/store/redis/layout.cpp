#include "store/redis/layout.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/redis/caller.h"
#include "store/redis/fields.h"
#include "store/redis/loop.h"

namespace treadle::store::redis {
namespace {

constexpr Duration kStep = 10ms;  // of the loop while we run it ourselves
constexpr const char* kMeta = "treadle:meta";

// The replies, none of them an error. May be carried out twice: asked again while the connection is lost and there is
// time.
Result<std::vector<Reply>> ask(boost::asio::io_context& io, Client& client, const std::vector<Command>& commands,
                               Duration& left) {
  std::optional<Result<std::vector<Reply>>> answer;
  do {
    answer.reset();
    client.send_all(commands, [&answer](Result<std::vector<Reply>> replies) { answer = std::move(replies); });
    client.flush();
    for (; !answer && left > Duration{0}; left -= kStep) run_one(io, kStep);
    if (!answer) {
      // The callback refers to this frame, so it has to come before we go: closing answers it.
      client.close();
      return fail(Code::StoreAway, "Redis at " + client.address().shown() + " did not answer in time.");
    }
    if (!*answer) left -= kStep;
  } while (!*answer && left > Duration{0});
  if (!*answer) return fail(Code::StoreAway, answer->error().message);
  for (const Reply& reply : **answer) {
    if (reply.type == Reply::Type::Error) return error_of(std::string(reply.text));
  }
  return std::move(**answer);
}

std::string plural(std::uint64_t n) { return std::to_string(n) + (n == 1 ? " partition" : " partitions"); }

Error differs(const Address& address, std::uint64_t found, unsigned asked) {
  return fail(Code::Invalid, "Redis at " + address.shown() + " holds a store of " + plural(found) +
                                 ", which is fixed at its first use, and this start asks for " + plural(asked) +
                                 ". Leave --partitions out to take what is there, or name another database: "
                                 "--store redis://host:port/N.");
}

// Redis servers that share a store know their places in the row, so that one that is named in another place is found
// out.
Result<void> check_place(const Address& address, const std::string& found, const std::string& place) {
  if (found == place) return {};
  return fail(Code::Invalid, "Redis at " + address.shown() + " is number " + found +
                                 " of the servers of its store and is named as number " + place +
                                 " in --store. Name the same servers in the same order as before.");
}

}  // namespace

Result<unsigned> fix_partitions(boost::asio::io_context& io, Topology& topology, unsigned asked, unsigned otherwise,
                                Duration limit) {
  const std::vector<Master*> masters = topology.layout_masters();
  std::optional<unsigned> fixed;
  for (std::size_t i = 0; i < masters.size(); ++i) {
    Client& client = masters[i]->client();
    const std::string place = std::to_string(i + 1) + "/" + std::to_string(masters.size());
    TRY(const auto before, ask(io, client, {{"HGET", kMeta, "partitions"}}, limit));
    const std::uint64_t there = number_of(before[0]);
    if (there != 0 && !is_partition_count(static_cast<unsigned>(there)))
      return fail(Code::StoreError, "Redis at " + client.address().shown() + " says that it has " + plural(there) +
                                        ", which no treadle writes. Is treadle:meta broken?");
    const unsigned wanted = asked > 0 ? asked : fixed ? *fixed : there > 0 ? static_cast<unsigned>(there) : otherwise;
    std::vector<Command> commands{{"HSETNX", kMeta, "partitions", std::to_string(wanted)},
                                  {"HGET", kMeta, "partitions"}};
    if (masters.size() > 1) {
      commands.push_back({"HSETNX", kMeta, "place", place});
      commands.push_back({"HGET", kMeta, "place"});
    }
    TRY(const auto after, ask(io, client, commands, limit));
    if (number_of(after[1]) != wanted) return differs(client.address(), number_of(after[1]), wanted);
    if (after.size() > 2) {
      if (auto right = check_place(client.address(), std::string(after[3].text), place); !right) return right.error();
    }
    fixed = wanted;
  }
  return *fixed;
}

}  // namespace treadle::store::redis

#include "store/redis/uploader.h"

#include <memory>
#include <optional>
#include <utility>

#include "base/base64.h"

namespace treadle::store::redis {
namespace {

const std::string kAbandonedSeconds = "3600";  // a payload that no script has taken over by then goes again

}  // namespace

Uploader::Uploader(Route& route, const Clock& clock, std::string prefix, Caller::Later& later)
    : prefix_(std::move(prefix)), caller_(route, clock, Caller::Args{prefix_}, {}, later) {}

void Uploader::into_hashes(std::vector<Item> items, Done done) {
  if (items.empty()) return done(Result<void>{});
  struct All {
    std::size_t waiting;
    std::optional<Error> error;
    Done done;
  };
  auto all = std::make_shared<All>(All{items.size(), {}, std::move(done)});
  for (Item& item : items) {
    put(std::move(item), [all](Result<void> brought) {
      if (!brought) all->error = std::move(brought.error());
      if (--all->waiting > 0) return;
      if (all->error) return all->done(std::move(*all->error));
      all->done(Result<void>{});
    });
  }
}

void Uploader::put(Item item, Done done) {
  const std::string key = prefix_ + item.key;
  Command look{"HEXISTS", key, item.marker};  // an hour to live must not be given to what is complete
  caller_.send(
      std::move(look), [this, key, item = std::move(item), done = std::move(done)](Result<Reply> there) mutable {
        if (!there) return done(std::move(there.error()));
        if (there->integer != 0) return done(Result<void>{});
        std::vector<Command> commands{{"MULTI"},
                                      {"HSET", key, item.field, base64_encode_lines(item.payload.bytes.view())},
                                      {"EXPIRE", key, kAbandonedSeconds},
                                      {"EXEC"}};
        caller_.send(std::move(commands), [done = std::move(done)](Result<Reply> reply) mutable {
          if (!reply) return done(std::move(reply.error()));
          done(Result<void>{});
        });
      });
}

void Uploader::into_key(std::string key, const core::Payload& payload, Done done) {
  Command set{"SET", prefix_ + key, base64_encode_lines(payload.bytes.view()), "EX", kAbandonedSeconds};
  caller_.send(std::move(set), [done = std::move(done)](Result<Reply> reply) mutable {
    if (!reply) return done(std::move(reply.error()));
    done(Result<void>{});
  });
}

void Uploader::read_field(std::string key, std::string field, Caller::Then then) {
  caller_.send(Command{"HGET", prefix_ + key, std::move(field)}, std::move(then));
}

void Uploader::read_key(std::string key, Caller::Then then) {
  caller_.send(Command{"GET", prefix_ + key}, std::move(then));
}

}  // namespace treadle::store::redis

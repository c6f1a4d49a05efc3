#include "store/redis/caller.h"

#include <array>
#include <string_view>
#include <utility>

namespace treadle::store::redis {
namespace {

// A lost answer is asked for again at once: the client gives a connection that was just lost a moment to come back, and
// fails at once while Redis is known to be away, so that a submit is not kept waiting.
constexpr int kTries = 3;
constexpr Duration kRepeatWithin = 2s;  // since the call began

bool starts_with_word(std::string_view text, std::string_view word) {
  return text.starts_with(word) && (text.size() == word.size() || text[word.size()] == ' ');
}

// Also inside the answer of EXEC.
const Reply* first_error(const std::vector<Reply>& replies) {
  for (const Reply& reply : replies) {
    if (reply.type == Reply::Type::Error) return &reply;
    if (replies.size() == 1) continue;
    for (const Reply& item : reply.items) {
      if (item.type == Reply::Type::Error) return &item;
    }
  }
  return nullptr;
}

}  // namespace

Error error_of(const std::string& redis_says) {
  constexpr std::array<std::string_view, 5> kAway = {"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN"};
  for (const std::string_view word : kAway) {
    if (starts_with_word(redis_says, word))
      return fail(Code::StoreAway, "Redis cannot serve now (" + redis_says + "). Try again in a moment.");
  }
  if (starts_with_word(redis_says, "OOM")) {
    return fail(Code::StoreFull,
                "Redis is out of memory and takes nothing new; running tasks still finish. Raise its maxmemory, or "
                "submit again when results have gone. It says: " +
                    redis_says);
  }
  if (starts_with_word(redis_says, "MISCONF")) {
    return fail(Code::StoreReadOnly, "Redis cannot write to its disk and refuses changes. It says: " + redis_says);
  }
  return fail(Code::StoreError, "Redis answered with an error: " + redis_says);
}

Caller::Caller(Client& client, const Clock& clock, Args header, Later& later)
    : client_(client), clock_(clock), header_(std::move(header)), later_(later) {}

void Caller::run(Script script, Callback<Args()> build, Then then) {
  auto call = std::make_shared<Call>();
  call->build = [this, script, build = std::move(build)](bool whole_text) mutable {
    const ScriptText& text = text_of(script);
    Args args = build();
    Command command;
    command.reserve(4 + header_.size() + args.size());
    command.push_back(whole_text ? "EVAL" : "EVALSHA");
    command.push_back(whole_text ? text.source : text.sha1);
    command.push_back("1");  // the one key by which a cluster finds the partition
    command.push_back(header_.front() + "task_queue");
    command.insert(command.end(), header_.begin(), header_.end());
    command.insert(command.end(), std::make_move_iterator(args.begin()), std::make_move_iterator(args.end()));
    std::vector<Command> one;
    one.push_back(std::move(command));
    return one;
  };
  call->then = std::move(then);
  start(std::move(call));
}

void Caller::run(Script script, Args args, Then then) {
  run(script, Callback<Args()>([args = std::move(args)] { return args; }), std::move(then));
}

void Caller::send(std::vector<Command> commands, Then then) {
  auto call = std::make_shared<Call>();
  call->build = [commands = std::move(commands)](bool) { return commands; };
  call->then = std::move(then);
  start(std::move(call));
}

void Caller::send(Command command, Then then) {
  std::vector<Command> one;
  one.push_back(std::move(command));
  send(std::move(one), std::move(then));
}

void Caller::start(std::shared_ptr<Call> call) {
  if (call->tries++ == 0) {
    call->begun = clock_.now();
    ++in_flight_;
  }
  std::vector<Command> commands = call->build(call->whole_text);
  if (commands.size() == 1) {
    client_.send(std::move(commands.front()), [this, call](Result<Reply> reply) {
      later_.push_back([this, call, reply = std::move(reply)]() mutable {
        if (!reply) return judge(std::move(call), std::move(reply.error()));
        std::vector<Reply> replies;
        replies.push_back(std::move(*reply));
        judge(std::move(call), std::move(replies));
      });
    });
    return;
  }
  client_.send_all(std::move(commands), [this, call](Result<std::vector<Reply>> replies) {
    later_.push_back(
        [this, call, replies = std::move(replies)]() mutable { judge(std::move(call), std::move(replies)); });
  });
}

void Caller::judge(std::shared_ptr<Call> call, Result<std::vector<Reply>> replies) {
  if (!replies && replies.error().code == Code::Unavailable) {
    if (!stopped_ && call->tries < kTries && clock_.now() - call->begun < kRepeatWithin) {
      ++repeats_;
      call->repeated = true;
      return start(std::move(call));
    }
    replies.error().code = Code::StoreAway;
  }
  if (replies) {
    if (const Reply* error = first_error(*replies)) {
      if (starts_with_word(error->text, "NOSCRIPT") && !call->whole_text) {
        call->whole_text = true;
        return start(std::move(call));
      }
      replies = error_of(std::string(error->text));
    }
  }
  --in_flight_;
  was_repeated_ = call->repeated;
  if (!replies) return call->then(std::move(replies.error()));
  call->then(std::move(replies->back()));
}

}  // namespace treadle::store::redis

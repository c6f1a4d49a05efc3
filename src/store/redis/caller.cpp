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
constexpr int kMoves = 5;               // to other masters, until it is said again later

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

Caller::Caller(Route& route, const Clock& clock, Args header, ReplicaWait wait, Later& later)
    : route_(route), clock_(clock), header_(std::move(header)), wait_(wait), later_(later) {}

namespace {

Callback<std::vector<Command>(bool)> script_builder(Script script, const Caller::Args& header,
                                                    Callback<Caller::Args()> build) {
  return [&header, script, build = std::move(build)](bool whole_text) mutable {
    const ScriptText& text = text_of(script);
    Caller::Args args = build();
    Command command;
    command.reserve(4 + header.size() + args.size());
    command.push_back(whole_text ? "EVAL" : "EVALSHA");
    command.push_back(whole_text ? text.source : text.sha1);
    command.push_back("1");  // the one key by which a cluster finds the partition
    command.push_back(header.front() + "task_queue");
    command.insert(command.end(), header.begin(), header.end());
    command.insert(command.end(), std::make_move_iterator(args.begin()), std::make_move_iterator(args.end()));
    std::vector<Command> one;
    one.push_back(std::move(command));
    return one;
  };
}

}  // namespace

void Caller::begin(Script script, Callback<Args()> build, bool kept, Then then) {
  auto call = std::make_shared<Call>();
  call->build = script_builder(script, header_, std::move(build));
  call->then = std::move(then);
  call->kept = kept;
  start(std::move(call));
}

void Caller::run(Script script, Callback<Args()> build, Then then) {
  begin(script, std::move(build), false, std::move(then));
}

void Caller::run(Script script, Args args, Then then) {
  run(script, Callback<Args()>([args = std::move(args)] { return args; }), std::move(then));
}

void Caller::run_kept(Script script, Callback<Args()> build, Then then) {
  begin(script, std::move(build), wait_.replicas > 0, std::move(then));
}

void Caller::run_kept(Script script, Args args, Then then) {
  run_kept(script, Callback<Args()>([args = std::move(args)] { return args; }), std::move(then));
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

// `instead`: this once it goes there, in the middle of a move of its keys.
void Caller::start(std::shared_ptr<Call> call, Client* instead) {
  if (call->tries++ == 0) {
    call->begun = clock_.now();
    ++in_flight_;
  }
  std::vector<Command> commands = call->build(call->whole_text);
  if (instead) commands.insert(commands.begin(), Command{"ASKING"});
  Client& client = instead ? *instead : route_.client();
  if (commands.size() == 1) {
    client.send(std::move(commands.front()), [this, &client, call](Result<Reply> reply) {
      const std::uint64_t connection = client.connection_number();
      later_.push_back([this, call, connection, reply = std::move(reply)]() mutable {
        if (!reply) return judge(std::move(call), connection, std::move(reply.error()));
        std::vector<Reply> replies;
        replies.push_back(std::move(*reply));
        judge(std::move(call), connection, std::move(replies));
      });
    });
    return;
  }
  client.send_all(std::move(commands), [this, &client, call](Result<std::vector<Reply>> replies) {
    const std::uint64_t connection = client.connection_number();
    later_.push_back([this, call, connection, replies = std::move(replies)]() mutable {
      judge(std::move(call), connection, std::move(replies));
    });
  });
  if (instead) client.flush();
}

bool Caller::try_again(std::shared_ptr<Call>& call) {
  if (stopped_ || call->tries >= kTries + call->moves || clock_.now() - call->begun >= kRepeatWithin) return false;
  ++repeats_;
  call->repeated = true;
  start(std::move(call));
  return true;
}

bool Caller::try_elsewhere(std::shared_ptr<Call>& call, const std::string& redis_says) {
  if (stopped_ || call->moves >= kMoves) return false;
  Client* const client = route_.elsewhere(redis_says);
  if (!client) return false;
  ++call->moves;
  start(std::move(call), redis_says.starts_with("ASK ") ? client : nullptr);
  return true;
}

void Caller::judge(std::shared_ptr<Call> call, std::uint64_t connection, Result<std::vector<Reply>> replies) {
  if (!replies && replies.error().code == Code::Unavailable) {
    route_.in_vain();
    if (try_again(call)) return;
    replies.error().code = Code::StoreAway;
  }
  if (replies) {
    if (const Reply* error = first_error(*replies)) {
      if (starts_with_word(error->text, "NOSCRIPT") && !call->whole_text) {
        call->whole_text = true;
        return start(std::move(call));
      }
      const std::string says(error->text);
      if (try_elsewhere(call, says)) return;
      if (starts_with_word(says, "READONLY")) route_.client().look_for_master();
      replies = error_of(says);
      if (replies.error().code == Code::StoreAway) route_.in_vain();
    }
  }
  if (!replies) return answer(std::move(call), std::move(replies.error()));
  if (!call->kept) return answer(std::move(call), std::move(replies->back()));
  confirm_over(connection, [this, call, reply = std::move(replies->back())](Result<void> kept) mutable {
    if (kept) return answer(std::move(call), std::move(reply));
    // The connection was lost in between, perhaps with its master: what was done must be looked at again.
    if (kept.error().code == Code::Unavailable && try_again(call)) return;
    answer(std::move(call), fail(Code::StoreAway, std::move(kept.error().message)));
  });
}

void Caller::answer(std::shared_ptr<Call> call, Result<Reply> reply) {
  --in_flight_;
  was_repeated_ = call->repeated;
  call->then(std::move(reply));
}

}  // namespace treadle::store::redis

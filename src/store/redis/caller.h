// Runs scripts and commands on one connection: knows their hashes, says them again when Redis forgot them or an answer
// was lost, and turns what Redis calls an error into ours. Answers come from the store's turn, never from a handler of
// the connection.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/callback.h"
#include "base/result.h"
#include "base/time.h"
#include "store/redis/client.h"
#include "store/redis/reply.h"
#include "store/redis/scripts.h"

namespace treadle::store::redis {

// The codes and sentences for "OOM ...", "LOADING ...", "WRONGTYPE ..." and the rest.
Error error_of(const std::string& redis_says);

class Caller {
 public:
  using Args = std::vector<std::string>;
  using Then = Callback<void(Result<Reply>)>;  // never a Reply of Type::Error
  using Later = std::vector<Callback<void()>>;

  // `header`: what every script is given first (prelude.lua). `later` is run by the store's turn.
  Caller(Client& client, const Clock& clock, Args header, Later& later);

  // Every script may be run twice with the same arguments. `build` makes them, again for each try.
  void run(Script script, Callback<Args()> build, Then then);
  void run(Script script, Args args, Then then);
  // One command, or several kept together, that may be said twice as well. Answers with the last reply.
  void send(std::vector<Command> commands, Then then);
  void send(Command command, Then then);

  std::size_t in_flight() const { return in_flight_; }
  // Of the call that is being answered: it was said more than once, so its effect may be that of an earlier time.
  bool was_repeated() const { return was_repeated_; }
  void stop() { stopped_ = true; }                    // nothing is repeated any more
  std::uint64_t repeats() const { return repeats_; }  // calls that were said again since their answer was lost

 private:
  struct Call {
    Callback<std::vector<Command>(bool whole_text)> build;
    Then then;
    Instant begun;
    int tries = 0;
    bool repeated = false;
    bool whole_text = false;  // Redis did not know the script's hash
  };
  void start(std::shared_ptr<Call> call);
  void judge(std::shared_ptr<Call> call, Result<std::vector<Reply>> replies);

  Client& client_;
  const Clock& clock_;
  Args header_;
  Later& later_;
  std::size_t in_flight_ = 0;
  std::uint64_t repeats_ = 0;
  bool was_repeated_ = false;
  bool stopped_ = false;
};

}  // namespace treadle::store::redis

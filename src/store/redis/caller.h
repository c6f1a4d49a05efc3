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
#include "store/redis/route.h"
#include "store/redis/scripts.h"

namespace treadle::store::redis {

// The codes and sentences for "OOM ...", "LOADING ...", "WRONGTYPE ..." and the rest.
Error error_of(const std::string& redis_says);

// So many replicas must have what asserts something before it is asserted; 0: nobody is waited for.
struct ReplicaWait {
  int replicas = 0;
  Duration limit = 100ms;
};

class Caller {
 public:
  using Args = std::vector<std::string>;
  using Then = Callback<void(Result<Reply>)>;  // never a Reply of Type::Error
  using Later = std::vector<Callback<void()>>;

  // `header`: what every script is given first (prelude.lua). `later` is run by the store's turn.
  Caller(Route& route, const Clock& clock, Args header, ReplicaWait wait, Later& later);

  // Every script may be run twice with the same arguments. `build` makes them, again for each try.
  void run(Script script, Callback<Args()> build, Then then);
  void run(Script script, Args args, Then then);
  // One command, or several kept together, that may be said twice as well. Answers with the last reply.
  void send(std::vector<Command> commands, Then then);
  void send(Command command, Then then);
  // As run(), and answered only when the replicas that are waited for have it too.
  void run_kept(Script script, Callback<Args()> build, Then then);
  void run_kept(Script script, Args args, Then then);
  // Answers when what was answered before it is with the replicas; at once if none are waited for.
  void confirm(Callback<void(Result<void>)> then);
  // One WAIT for all that asked since the last: it stops the connection.
  void flush_confirms();

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
    bool kept = false;        // wait for the replicas
    int moves = 0;            // how often it was sent elsewhere
  };
  struct Confirm {
    std::uint64_t connection;  // over which the answer came
    Callback<void(Result<void>)> then;
  };
  void begin(Script script, Callback<Args()> build, bool kept, Then then);
  void start(std::shared_ptr<Call> call, Client* instead = nullptr);
  void judge(std::shared_ptr<Call> call, std::uint64_t connection, Result<std::vector<Reply>> replies);
  bool try_again(std::shared_ptr<Call>& call);
  bool try_elsewhere(std::shared_ptr<Call>& call, const std::string& redis_says);
  void answer(std::shared_ptr<Call> call, Result<Reply> reply);
  void confirm_over(std::uint64_t connection, Callback<void(Result<void>)> then);
  void confirmed(std::vector<Confirm> asked, std::uint64_t connection, const Result<std::vector<Reply>>& replies);

  Route& route_;
  const Clock& clock_;
  Args header_;
  const ReplicaWait wait_;
  Later& later_;
  std::vector<Confirm> confirms_;  // ask with the next flush
  bool confirming_ = false;        // a WAIT is on its way
  std::size_t in_flight_ = 0;
  std::uint64_t repeats_ = 0;
  bool was_repeated_ = false;
  bool stopped_ = false;
};

}  // namespace treadle::store::redis

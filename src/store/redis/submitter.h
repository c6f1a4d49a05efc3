// Gathers the submissions of one turn into few script calls: small calls of many clients share one, a big call of one
// client is cut into several.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "store/redis/caller.h"
#include "store/redis/fields.h"
#include "store/redis/uploader.h"
#include "store/store.h"

namespace treadle::store::redis {

class Submitter {
 public:
  using Answer = Done<Result<std::vector<Result<SubmitAnswer>>>>;
  struct Hooks {
    std::function<void(const Reply& counts)> counted;
    std::function<void(FunctionId)> unknown;  // Redis has no such function
  };

  Submitter(Caller& caller, Uploader& uploader, std::uint64_t max_queued, std::uint64_t max_queued_bytes, Hooks hooks);

  // All or nothing for the limits. Big arguments are brought first.
  void add(std::vector<Submission> batch, Answer done);
  // What was added since the last call leaves.
  void flush();
  bool idle() const { return waiting_.empty(); }

 private:
  struct Call {  // of one client
    std::vector<Submission> batch;
    std::size_t sent = 0;      // submissions that have left or wait for the next flush()
    std::size_t answered = 0;  // of these
    std::uint64_t bytes = 0;
    std::vector<Result<SubmitAnswer>> answers;
    Answer done;
  };
  struct Unit {  // a piece of a call that goes into one script call as a whole
    std::shared_ptr<Call> call;
    std::size_t from, to;
    std::uint64_t weight;  // about what it takes on the wire
  };
  struct Job {  // one script call
    std::vector<Unit> units;
  };

  void line_up(const std::shared_ptr<Call>& call);
  void bring_big(const std::shared_ptr<Call>& call);
  void send(std::shared_ptr<Job> job);
  Args args_of(const Job& job) const;
  void read(const Job& job, const Reply& reply);
  void read_one(Call& call, std::size_t at, const std::string& word);
  void unit_answered(const Unit& unit, const std::string& refusal, const Reply& counts);
  Error refused(const std::string& word, const Reply& counts) const;

  Caller& caller_;
  Uploader& uploader_;
  std::uint64_t max_queued_, max_queued_bytes_;
  Hooks hooks_;
  std::vector<Unit> waiting_;
};

}  // namespace treadle::store::redis

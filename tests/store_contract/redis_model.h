// What the Redis scripts do, as plain data: the same law written a second time, without Redis, Lua or the port. Every
// operation gives the word that the port must answer.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "store/store.h"

namespace treadle::store::contract {

struct ModelTask {
  std::string status = "QUEUED", token, session, error_kind, last_error, idempotency;
  std::uint32_t attempt = 0, losses = 0, kills = 0, retries_used = 0;
  std::uint32_t max_attempts = 0, retries = 0, bytes = 0;
  bool once = false, suspect = false, cancel = false, delayed = false;
  std::string queue, more;
  int priority = 0;
  std::uint64_t seq = 0;  // of those that are ranked

  bool terminal() const { return status == "COMPLETED" || status == "FAILED"; }
  bool waits() const { return status == "QUEUED" && token.empty(); }
};

struct ModelSession {
  bool live = true;
  std::uint64_t beat = 1, call = 0;
  std::vector<std::pair<std::string, std::string>> given;
  bool more = false;
  std::map<std::string, std::string> held;
  std::vector<std::string> revokes;
};

struct ModelLine {
  std::deque<std::string> list;
  std::set<std::pair<std::int64_t, std::string>> high, low;  // (score, id)
};

class RedisModel {
 public:
  explicit RedisModel(std::int64_t max_queued) : max_queued_(max_queued) {}

  struct NewTask {
    std::string id, queue, key, digest;
    int priority = 0;
    bool once = false, delayed = false;
    std::uint32_t max_attempts = 0, retries = 0, bytes = 0;
    std::string more;  // further limits, in the words of to_text(Allowance)
  };
  std::vector<std::string> submit(const std::vector<NewTask>& batch);

  struct Given {
    std::string id, token;
    std::uint32_t number, retries_left;
    bool suspect;
    std::string more;
    friend bool operator==(const Given&, const Given&) = default;
  };
  struct Claim {
    bool no_session = false, more = false;
    std::vector<Given> given;
  };
  Claim claim(const std::string& session, std::uint64_t call, const std::vector<std::string>& tokens,
              const std::vector<std::string>& queues);
  void started(const std::string& id, const std::string& token);
  std::string finish(const std::string& session, const std::string& id, const std::string& token, bool completed);
  std::string requeue(const std::string& session, const std::string& id, const std::string& token,
                      const std::string& why, bool delayed);
  std::string cancel(const std::string& id);

  bool open(const std::string& session);
  struct Renewal {
    bool live = false, missing = false;
    std::map<std::string, std::uint64_t> others;
    std::vector<std::string> revokes;
  };
  Renewal renew(const std::string& session, const std::vector<std::string>& done);
  // "no session": the whole call is refused.
  std::string adopt(const std::string& to, const std::string& id, const std::string& token);
  std::string reassert(const std::string& to, const std::string& id, const std::string& token, std::uint32_t number);
  // `accepted`: when each held task was accepted, which only Redis knows; the oldest goes back to the head.
  bool reap(const std::string& session, std::uint64_t beat, const std::map<std::string, std::uint64_t>& accepted);

  void remove(const std::string& id) { tasks.erase(id); }
  void flush_all();

  std::map<std::string, ModelTask> tasks;
  std::map<std::string, ModelSession> sessions;
  std::set<std::string> known_sessions;  // the set that renewals look through
  std::map<std::string, ModelLine> lines;
  std::set<std::string> delayed;
  std::int64_t queued = 0, queued_bytes = 0, held = 0, running = 0;

 private:
  static constexpr std::uint32_t kMaxLosses = 3, kMaxKills = 2;

  static Given given(const std::string& id, const ModelTask& t);
  ModelTask* find(const std::string& id);
  bool is_live(const std::string& session) const;
  void push(const std::string& id, const ModelTask& t, bool to_head);
  void no_longer_queued(const ModelTask& t);
  std::uint32_t drop_held(const std::string& session, const std::string& id);
  void let_go(const std::string& id, const ModelTask& t);
  void end(ModelTask& t, const std::string& kind, const std::string& token);
  std::string give_back(const std::string& id, ModelTask& t, const std::string& why, const std::string& last_error,
                        bool with_delay);
  std::string hold(const std::string& to, const std::string& id, const std::string& token);
  void take(const std::string& id, const std::string& session, const std::vector<std::string>& tokens, Claim& out);

  std::int64_t max_queued_;
  std::uint64_t seq_ = 0, accepted_ = 0;
  std::map<std::string, std::uint64_t> ages_;                        // order of acceptance; outlives the task's hash
  std::map<std::string, std::pair<std::string, std::string>> keys_;  // idempotency key -> task, digest
  std::int64_t popped_ = 0, popped_bytes_ = 0;                       // by the claim that is going on
};

}  // namespace treadle::store::contract

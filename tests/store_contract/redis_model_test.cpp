// The scripts inside a real Redis and a plain model of them are given the same random operations, repeated calls among
// them, and must agree on every answer and on the keys. TREADLE_MODEL_OPERATIONS and TREADLE_MODEL_SEED change a run.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/rng.h"
#include "engine.h"
#include "redis_model.h"
#include "store/redis/fields.h"

namespace treadle::store::contract {
namespace {

using core::GiveBack;

constexpr std::uint64_t kMaxQueued = 60;
constexpr std::size_t kIdsKept = 80;  // of tasks that operations choose from

std::uint64_t from_env(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

std::string_view word_of(GiveBack why) {
  constexpr std::string_view kWords[] = {"unstarted", "lost", "killed", "suspect", "retry"};
  return kWords[static_cast<std::size_t>(why)];
}

class Pair {
 public:
  explicit Pair(std::uint64_t seed) : rng_(seed) {
    store_.redis_cli({"FLUSHALL"});
    store_.turn_for(5ms);
    function_ = store_.function();
    for (int i = 0; i < 3; ++i) new_session();
  }

  void step() {
    switch (last_ = rng_.below(40)) {
      case 0 ... 8: return submit();
      case 9 ... 18: return claim();
      case 19 ... 21: return started();
      case 22 ... 26: return finish();
      case 27 ... 30: return requeue();
      case 31: return cancel();
      case 32: return renew();
      case 33 ... 34: return adopt();
      case 35 ... 36: return reassert();
      case 37: return rng_.chance(0.2) ? reap() : renew();
      case 38: return rng_.chance(0.3) ? remove() : cancel();
      default: return rng_.chance(0.02) ? flush_all() : claim();
    }
  }

  void compare_keys() {
    ++compared_;
    for (const TaskId id : ids_) compare_task(to_string(id));
    for (const char* queue : {"", "gpu"}) {
      const std::string line = *queue ? "treadle:q:gpu" : "task_queue";
      std::vector<std::string> expected(model_.lines[queue].list.begin(), model_.lines[queue].list.end());
      EXPECT_EQ(texts({"LRANGE", line, "0", "-1"}), expected);
      for (const bool high : {true, false}) {
        std::vector<std::string> ranked;
        for (const auto& [score, id] : high ? model_.lines[queue].high : model_.lines[queue].low) ranked.push_back(id);
        EXPECT_EQ(texts({"ZRANGE", line + (high ? ":high" : ":low"), "0", "-1"}), ranked);
      }
    }
    auto waiting = texts({"ZRANGE", "treadle:delayed", "0", "-1"});
    std::sort(waiting.begin(), waiting.end());
    EXPECT_EQ(waiting, std::vector<std::string>(model_.delayed.begin(), model_.delayed.end()));
    for (const auto& [session, s] : model_.sessions) compare_session(session, s);
    const auto meta = store_.redis_cli({"HMGET", "treadle:meta", "queued", "queued_bytes", "held", "running"});
    const std::int64_t figures[] = {model_.queued, model_.queued_bytes, model_.held, model_.running};
    for (std::size_t i = 0; i < 4; ++i) {
      const std::string& text = meta.items[i].text;
      EXPECT_EQ(text.empty() ? 0 : std::stoll(text), figures[i]) << "figure " << i;
    }
  }

  std::map<std::string, int> answers_;  // how often each was given
  int compared_ = 0;
  std::uint64_t last_ = 0;  // which operation it was

 private:
  // ---- choices ----
  template <class T>
  const T& any(const std::vector<T>& of) {
    return of[rng_.below(of.size())];
  }
  Token token() { return Token{rng_.next() | 1}; }
  void agree(const std::string& real, const std::string& expected, const std::string& what) {
    ASSERT_EQ(real, expected) << what;
    ++answers_[what + " " + real];
  }
  void new_session() {
    const SessionId id(Uuid{rng_.next(), rng_.next()});
    sessions_.push_back(id);
    if (sessions_.size() > 4) sessions_.erase(sessions_.begin());
    calls_[to_string(id)] = 0;
    const bool opened =
        store_.ask<Result<void>>([&](auto done) { store_->open_session(id, "m", std::move(done)); }).has_value();
    agree(opened ? "live" : "reaped", model_.open(to_string(id)) ? "live" : "reaped", "open");
  }
  // An attempt: mostly one that was given, now and then with a token of nobody.
  core::Held attempt() {
    if (attempts_.empty() || rng_.chance(0.05)) return {ids_.empty() ? TaskId(Uuid{1, 1}) : any(ids_), token()};
    core::Held held = any(attempts_);
    if (rng_.chance(0.05)) held.token = token();
    return held;
  }

  // ---- operations ----
  void submit() {
    std::vector<Submission> batch;
    std::vector<RedisModel::NewTask> expected;
    const std::uint64_t n = 1 + rng_.below(4);
    for (std::uint64_t i = 0; i < n; ++i) {
      Submission s = store_.submission(function_, std::string(rng_.below(40), 'a'));
      s.id = TaskId(Uuid{rng_.next(), rng_.next()});
      if (!ids_.empty() && rng_.chance(0.05)) s.id = any(ids_);
      if (rng_.chance(0.3)) s.options.queue = "gpu";
      if (rng_.chance(0.3)) s.options.priority = static_cast<std::int16_t>(static_cast<int>(rng_.below(5)) - 2);
      if (rng_.chance(0.1)) s.options.delivery = core::Delivery::AtMostOnce;
      if (rng_.chance(0.2)) s.options.retries = 2;
      if (rng_.chance(0.2)) s.options.max_attempts = 2;
      if (rng_.chance(0.3))
        s.options.more =
            core::to_text({.cpu_ms = rng_.below(3), .processes = static_cast<std::uint32_t>(rng_.below(3))});
      if (rng_.chance(0.05)) s.delay_ms = 3'600'000;
      if (rng_.chance(0.1)) {
        s.idempotency_scope = "x";
        s.idempotency_key = std::to_string(rng_.below(8));
        s.body_digest.words[0] = rng_.below(2);
      }
      expected.push_back({to_string(s.id), s.options.queue, s.idempotency_key, to_string(s.body_digest),
                          s.options.priority, s.options.delivery == core::Delivery::AtMostOnce, s.delay_ms > 0,
                          s.options.max_attempts, s.options.retries, static_cast<std::uint32_t>(s.args.bytes.size()),
                          s.options.more});
      batch.push_back(std::move(s));
    }
    for (int times = rng_.chance(0.1) ? 2 : 1; times > 0; --times) submit_and_compare(batch, expected);
    for (const Submission& s : batch) ids_.push_back(s.id);
    while (ids_.size() > kIdsKept) forget_oldest();
  }
  void submit_and_compare(const std::vector<Submission>& batch, const std::vector<RedisModel::NewTask>& expected) {
    const auto answers = store_.submit(batch);
    const auto words = model_.submit(expected);
    if (!answers) return agree("full", words.front(), "submit");
    for (std::size_t i = 0; i < answers->size(); ++i) {
      const auto& one = (*answers)[i];
      const std::string word = one ? (one->duplicate ? "dup " : "ok ") + to_string(one->id) : "clash";
      ASSERT_TRUE(words.at(i).starts_with(word)) << words[i] << " but " << word;
      ++answers_["submit " + word.substr(0, 3)];
    }
  }
  // Redis keeps what is not looked at any more, so it is deleted from both.
  void forget_oldest() {
    const TaskId id = ids_.front();
    ids_.erase(ids_.begin());
    if (std::find(ids_.begin(), ids_.end(), id) != ids_.end()) return;
    const auto known = model_.tasks.find(to_string(id));
    if (known != model_.tasks.end() && !known->second.session.empty() && !known->second.terminal()) {
      // A reap goes page by page, and only within one page by age: what is held stays few.
      core::Attempt a;
      a.task = id;
      a.token = redis::token_of(known->second.token);
      const std::string token = known->second.token;
      EXPECT_EQ(store_.finish(any(sessions_), a), FinishAnswer::Applied);
      EXPECT_EQ(model_.finish("", to_string(id), token, true), "applied");
    }
    store_.redis_cli({"DEL", to_string(id)});
    model_.remove(to_string(id));
  }
  void claim() {
    const SessionId session = any(sessions_);
    std::uint64_t& last = calls_[to_string(session)];
    const std::uint64_t chance = rng_.below(20);
    const std::uint64_t call = chance == 0 ? last : chance == 1 && last > 0 ? last - 1 : last + 1;
    ClaimRequest r{session, call, {}, {}, "w"};
    std::vector<std::string> tokens, queues;
    for (std::uint64_t i = rng_.below(5); i > 0; --i) {
      r.tokens.push_back(token());
      tokens.push_back(redis::text_of(r.tokens.back()));
    }
    if (rng_.chance(0.7)) queues.push_back("");
    if (queues.empty() || rng_.chance(0.5)) queues.push_back("gpu");
    r.queues = queues;
    const ClaimAnswer real = store_.claim(r);
    const RedisModel::Claim expected = model_.claim(to_string(session), call, tokens, queues);
    if (!real.no_session) last = std::max(last, call);
    ASSERT_EQ(real.no_session, expected.no_session);
    ASSERT_EQ(real.more, expected.more);
    std::vector<RedisModel::Given> given;
    for (const core::Attempt& a : real.attempts) {
      given.push_back({to_string(a.task), redis::text_of(a.token), a.number, a.retries_left, a.suspect,
                       core::to_text(a.allowance)});
      attempts_.push_back({a.task, a.token});
    }
    while (attempts_.size() > 60) attempts_.erase(attempts_.begin());
    const auto shown = [](const std::vector<RedisModel::Given>& all) {
      std::string text;
      for (const auto& g : all)
        text += g.id + " " + g.token + " " + std::to_string(g.number) + " " + std::to_string(g.retries_left) + " " +
                g.more + "\n";
      return text;
    };
    ASSERT_EQ(shown(given), shown(expected.given));
    ASSERT_EQ(given, expected.given);
    ++answers_[real.no_session ? "claim no session" : call == last && chance == 0 ? "claim again" : "claim"];
    answers_["attempts"] += static_cast<int>(given.size());
  }
  void started() {
    const core::Held a = attempt();
    store_->started({{a.task, a.token, WorkerId(Uuid{1, 1})}});
    model_.started(to_string(a.task), redis::text_of(a.token));
    store_.view(a.task).has_value();  // a report of a start has no answer: this one comes after it
  }
  void finish() {
    const core::Held a = attempt();
    const SessionId session = any(sessions_);
    const bool completed = rng_.chance(0.7);
    core::Attempt attempt;
    attempt.task = a.task;
    attempt.token = a.token;
    for (int times = rng_.chance(0.2) ? 2 : 1; times > 0; --times) {
      const FinishAnswer real =
          store_.finish(session, attempt, "r", completed ? core::ErrorKind::None : core::ErrorKind::FunctionFailed);
      constexpr const char* kWords[] = {"applied", "duplicate", "stale", "missing"};
      agree(kWords[static_cast<int>(real)],
            model_.finish(to_string(session), to_string(a.task), redis::text_of(a.token), completed), "finish");
    }
  }
  void requeue() {
    const core::Held a = attempt();
    const ModelTask* t = model_.tasks.contains(to_string(a.task)) ? &model_.tasks[to_string(a.task)] : nullptr;
    SessionId session = any(sessions_);
    if (t && !t->session.empty() && rng_.chance(0.9)) session = *SessionId::parse(t->session);
    const auto why = static_cast<GiveBack>(rng_.below(5));
    const bool with_delay = rng_.chance(0.1);
    RequeueItem item{a.task, a.token, why, with_delay ? Duration(1h) : Duration(0), "because", {}};
    item.failure.kind = why == GiveBack::Retry ? core::ErrorKind::FunctionFailed : core::ErrorKind::Crashed;
    item.failure.result.bytes = Buffer::of("lost");
    for (int times = rng_.chance(0.2) ? 2 : 1; times > 0; --times) {
      const auto real = store_.ask<Result<std::vector<RequeueAnswer>>>(
          [&](auto done) { store_->requeue(session, {item}, std::move(done)); });
      ASSERT_TRUE(real);
      constexpr const char* kWords[] = {"queued", "failed", "cancelled", "stale", "missing"};
      agree(kWords[static_cast<int>(real->at(0))],
            model_.requeue(to_string(session), to_string(a.task), redis::text_of(a.token), std::string(word_of(why)),
                           with_delay),
            "requeue");
    }
  }
  void cancel() {
    if (ids_.empty()) return;
    const TaskId id = any(ids_);
    constexpr const char* kWords[] = {"cancelled", "requested", "terminal", "missing"};
    agree(kWords[static_cast<int>(store_.cancel(id))], model_.cancel(to_string(id)), "cancel");
  }
  void renew() {
    const SessionId session = any(sessions_);
    std::vector<core::Held> done;
    std::vector<std::string> done_texts;
    if (rng_.chance(0.5)) {
      for (const core::Held& a : revokes_) {
        done.push_back(a);
        done_texts.push_back(to_string(a.task) + " " + redis::text_of(a.token));
      }
    }
    const RenewAnswer real = store_.renew(session, done);
    const RedisModel::Renewal expected = model_.renew(to_string(session), done_texts);
    ASSERT_EQ(real.live, expected.live);
    ASSERT_EQ(real.missing, expected.missing);
    std::map<std::string, std::uint64_t> others;
    for (const auto& other : real.others) others[to_string(other.session)] = other.beat;
    ASSERT_EQ(others, expected.others);
    std::vector<std::string> revokes;
    for (const core::Held& a : real.revokes) revokes.push_back(to_string(a.task) + " " + redis::text_of(a.token));
    ASSERT_EQ(revokes, expected.revokes);
    revokes_ = real.revokes;
    ++answers_[real.live ? "renew live" : real.missing ? "renew missing" : "renew reaped"];
    answers_["revokes"] += static_cast<int>(revokes.size());
    if (real.live) return;
    sessions_.erase(std::find(sessions_.begin(), sessions_.end(), session));
    new_session();
  }
  void adopt() {
    const core::Held a = attempt();
    const SessionId to = any(sessions_);
    const auto real =
        store_.ask<Result<std::vector<AdoptAnswer>>>([&](auto done) { store_->adopt(to, {a}, std::move(done)); });
    agree(!real                                 ? "no session"
          : real->at(0) == AdoptAnswer::Adopted ? "adopted"
                                                : "refused",
          model_.adopt(to_string(to), to_string(a.task), redis::text_of(a.token)), "adopt");
  }
  void reassert() {
    const core::Held a = attempt();
    const SessionId to = any(sessions_);
    const ReassertItem item{a.task, a.token, static_cast<std::uint32_t>(rng_.below(4))};
    const auto real =
        store_.ask<Result<std::vector<AdoptAnswer>>>([&](auto done) { store_->reassert(to, {item}, std::move(done)); });
    agree(!real                                 ? "no session"
          : real->at(0) == AdoptAnswer::Adopted ? "adopted"
                                                : "refused",
          model_.reassert(to_string(to), to_string(a.task), redis::text_of(a.token), item.number), "reassert");
  }
  void reap() {
    const SessionId session = any(sessions_);
    const auto known = model_.sessions.find(to_string(session));
    std::uint64_t beat = known == model_.sessions.end() ? 1 : known->second.beat;
    if (rng_.chance(0.2)) ++beat;
    std::map<std::string, std::uint64_t> accepted;
    if (known != model_.sessions.end()) {
      for (const auto& [id, token] : known->second.held)
        accepted[id] = redis::number_of(store_.redis_cli({"HGET", id, "accepted"}));
    }
    for (int times = rng_.chance(0.3) ? 2 : 1; times > 0; --times) {
      agree(store_.reap(session, beat) ? "ours" : "not ours",
            model_.reap(to_string(session), beat, accepted) ? "ours" : "not ours", "reap");
    }
  }
  void remove() {
    if (ids_.empty()) return;
    const TaskId id = any(ids_);
    const auto known = model_.tasks.find(to_string(id));
    const std::string token = known == model_.tasks.end() ? "" : known->second.token;
    const std::string session = known == model_.tasks.end() ? "" : known->second.session;
    store_.redis_cli({"DEL", to_string(id)});
    model_.remove(to_string(id));
    ++answers_["del"];
    if (session.empty()) return;
    core::Attempt a;  // its worker brings the outcome to the dispatcher that holds it
    a.task = id;
    a.token = redis::token_of(token);
    EXPECT_EQ(store_.finish(*SessionId::parse(session), a), FinishAnswer::Missing);
    EXPECT_EQ(model_.finish(session, to_string(id), token, true), "missing");
    ++answers_["finish missing"];
  }
  void flush_all() {
    compare_keys();
    store_.redis_cli({"FLUSHALL"});
    model_.flush_all();
    ids_.clear();
    function_ = store_.function();
    ++answers_["flushall"];
  }

  // ---- keys ----
  std::vector<std::string> texts(redis::Command command) {
    std::vector<std::string> out;
    for (const auto& item : store_.redis_cli(std::move(command)).items) out.push_back(item.text);
    return out;
  }
  void compare_task(const std::string& id) {
    const auto it = model_.tasks.find(id);
    const auto f = texts({"HMGET", id, "task_status", "token", "session", "attempt", "losses", "kills", "retries_used",
                          "suspect", "cancel_requested", "error_kind", "last_error"});
    if (it == model_.tasks.end()) {
      EXPECT_EQ(f[0], "") << id;
      return;
    }
    const ModelTask& t = it->second;
    const auto number = [](std::uint32_t n) { return n == 0 ? std::string() : std::to_string(n); };
    const auto zero = [](const std::string& text) { return text == "0" ? std::string() : text; };
    EXPECT_EQ(f[0], t.status) << id;
    EXPECT_EQ(f[1], t.token) << id;
    if (!t.terminal()) {
      EXPECT_EQ(f[2], t.session) << id;
    }
    EXPECT_EQ(f[3], number(t.attempt)) << id;
    EXPECT_EQ(zero(f[4]), number(t.losses)) << id;
    EXPECT_EQ(zero(f[5]), number(t.kills)) << id;
    EXPECT_EQ(zero(f[6]), number(t.retries_used)) << id;
    if (!t.terminal()) {
      EXPECT_EQ(f[7], t.suspect ? "1" : "") << id;
    }
    EXPECT_EQ(f[8], t.cancel ? "1" : "") << id;
    EXPECT_EQ(f[9], t.error_kind) << id;
    EXPECT_EQ(f[10].substr(0, 7), t.last_error.substr(0, 7)) << id;
  }
  void compare_session(const std::string& session, const ModelSession& s) {
    const std::string key = "treadle:session:" + session;
    const auto f = texts({"HMGET", key, "state", "beat"});
    EXPECT_EQ(f[0], s.live ? "live" : "reaped") << session;
    EXPECT_EQ(f[1], std::to_string(s.beat)) << session;
    std::map<std::string, std::string> held;
    const auto words = texts({"HGETALL", key + ":held"});
    for (std::size_t i = 0; i + 1 < words.size(); i += 2) held[words[i]] = words[i + 1];
    EXPECT_EQ(held, s.held) << session;
    EXPECT_EQ(texts({"LRANGE", key + ":revoke", "0", "-1"}), s.revokes) << session;
  }

  Engine store_{"redis", [](SqliteConfig& config) { config.store.ledger.max_queued = kMaxQueued; }};
  RedisModel model_{static_cast<std::int64_t>(kMaxQueued)};
  Rng rng_;
  FunctionId function_;
  std::vector<TaskId> ids_;
  std::vector<SessionId> sessions_;
  std::map<std::string, std::uint64_t> calls_;
  std::vector<core::Held> attempts_;
  std::vector<core::Held> revokes_;
};

TEST(RedisModelTest, ScriptsAndModelAgreeOnEveryAnswerAndOnTheKeys) {
  const std::uint64_t operations = from_env("TREADLE_MODEL_OPERATIONS", 20'000);
  const std::uint64_t every = from_env("TREADLE_MODEL_COMPARE_EVERY", 500);
  const std::uint64_t seed = from_env("TREADLE_MODEL_SEED", runtime::os_random());
  std::printf("seed %llu, %llu operations (TREADLE_MODEL_SEED, TREADLE_MODEL_OPERATIONS)\n",
              static_cast<unsigned long long>(seed), static_cast<unsigned long long>(operations));
  Pair pair(seed);
  for (std::uint64_t i = 1; i <= operations; ++i) {
    pair.step();
    if (i % every == 0) pair.compare_keys();
    if (HasFailure()) FAIL() << "operation " << i << " (" << pair.last_ << ") of seed " << seed;
  }
  pair.compare_keys();
  for (const auto& [answer, times] : pair.answers_) std::printf("%8d %s\n", times, answer.c_str());
  for (const char* answer : {"submit ok ",
                             "submit dup",
                             "submit cla",
                             "submit full",
                             "claim",
                             "claim again",
                             "claim no session",
                             "finish applied",
                             "finish duplicate",
                             "finish stale",
                             "finish missing",
                             "requeue queued",
                             "requeue failed",
                             "requeue cancelled",
                             "requeue stale",
                             "cancel cancelled",
                             "cancel requested",
                             "cancel terminal",
                             "adopt adopted",
                             "adopt refused",
                             "reassert adopted",
                             "reassert refused",
                             "reap ours",
                             "renew reaped",
                             "renew missing",
                             "del",
                             "flushall",
                             "revokes"}) {
    EXPECT_GT(pair.answers_[answer], 0) << "never met: " << answer;
  }
}

}  // namespace
}  // namespace treadle::store::contract

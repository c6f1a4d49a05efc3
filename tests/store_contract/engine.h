// One engine under the contract tests, driven as its host would drive it; every call is made to wait for its answer.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "redis/redis_server.h"
#include "runtime/system_clock.h"
#include "store/memory/memory_store.h"
#include "store/redis/partition.h"
#include "store/redis/redis_store.h"
#include "store/sqlite/sqlite_store.h"

namespace treadle::store::contract {

inline core::Payload failure_bytes(core::ErrorKind kind, TaskId, const std::string&, const std::string&) {
  return {Buffer::of("failure " + std::string(core::name_of(kind))), {}};
}

// One for the whole program; every Engine begins with an empty one.
inline redis::testing::RedisServer& shared_redis() {
  static redis::testing::RedisServer server(redis::testing::ServerOptions{.settings = {{"appendonly", "yes"}}});
  return server;
}

class Engine {
 public:
  // `configure` changes what a test needs otherwise; it is called at every open().
  using Configure = std::function<void(SqliteConfig&)>;
  explicit Engine(std::string kind, Configure configure = {})
      : kind_(std::move(kind)), configure_(std::move(configure)) {
    dir_ = std::filesystem::temp_directory_path() / ("treadle-contract-" + std::to_string(runtime::os_random()));
    if (is_redis()) redis_cli({"FLUSHALL"});
    open();
  }
  // A store on this Redis as it is: one of several.
  explicit Engine(redis::Address redis, std::function<void(RedisConfig&)> configure_redis = {})
      : kind_("redis"), redis_(std::move(redis)), configure_redis_(std::move(configure_redis)) {
    open();
  }
  ~Engine() {
    store_.reset();
    if (own_dir_) std::filesystem::remove_all(dir_);
  }

  void open() {
    SqliteConfig config;
    config.dir = dir_;
    config.failure = failure_bytes;
    config.reserve_bytes = 1 << 20;
    if (configure_) configure_(config);
    if (is_redis()) return open_redis_like(config);
    own_dir_ = own_dir_ && config.dir == dir_;  // one that a test brings is the test's
    dir_ = config.dir;
    if (kind_ == "memory") {
      store_ = std::make_unique<MemoryStore>(clock_, failure_bytes, MemoryOptions{false, config.store});
      return;
    }
    config.durability = *parse_durability(kind_);
    auto opened = open_sqlite(std::move(config), clock_);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  bool is_redis() const { return kind_.starts_with("redis"); }
  bool is_partitioned() const { return kind_ == "redis4"; }
  // What is submitted from now on is in one partition: order and limits are a partition's own.
  void keep_together() { together_ = true; }
  // One process owns the data, so its restart is the end of every dispatcher, and what they held is given out at once.
  // Redis is shared: there the sessions of the others go on, and a dead one is reaped.
  bool is_owned_file() const { return kind_ != "memory" && !is_redis(); }
  // Says a command to the Redis of the tests, beside the store.
  redis::Reply redis_cli(redis::Command command) {
    redis::Client client(io_, redis_address(), {});
    std::optional<Result<redis::Reply>> answer;
    client.send(std::move(command), [&](Result<redis::Reply> reply) { answer.emplace(std::move(reply)); });
    client.flush();
    for (const Instant end = now() + 10s; !answer && now() < end;) run_io();
    if (!answer || !*answer) throw std::runtime_error("Redis did not answer the test");
    return std::move(**answer);
  }
  void reopen() {
    store_->close();
    store_.reset();
    open();
  }

  Store& operator*() { return *store_; }
  Store* operator->() { return store_.get(); }
  Instant now() const { return clock_.now(); }
  const std::filesystem::path& dir() const { return dir_; }

  // Calls begin(done) and turns the store until the answer is there.
  template <class T>
  T ask(const std::function<void(Done<T>)>& begin) {
    std::optional<T> answer;
    begin([&answer](T given) { answer.emplace(std::move(given)); });
    turn_until([&] { return answer.has_value(); });
    if (!answer) throw std::runtime_error("the store never answered");
    return std::move(*answer);
  }
  void turn_until(const std::function<bool()>& done, Duration limit = 10s) {
    for (const Instant end = now() + limit; !done() && now() < end;) {
      if (store_->turn(now()) || done()) continue;
      if (is_redis()) {
        run_io();
        continue;
      }
      pollfd wake{store_->wake_fd(), POLLIN, 0};
      ::poll(&wake, store_->wake_fd() >= 0 ? 1 : 0, 2);
    }
  }
  void turn_for(Duration d) {
    turn_until([] { return false; }, d);
  }

  // ---- the operations, with their answers ----
  FunctionId function(core::Delivery delivery = core::Delivery::AtLeastOnce, std::string body = "body") {
    core::Function f;
    f.id = FunctionId(Uuid{3, ++numbers_});
    f.name = "f";
    f.digest.words[0] = std::hash<std::string>{}(body);
    f.body.bytes = Buffer::of(std::move(body));
    f.options.delivery = delivery;
    const auto id = ask<Result<FunctionId>>([&](auto done) { store_->put_function(f, std::move(done)); });
    EXPECT_TRUE(id);
    return *id;
  }
  Submission submission(FunctionId function, std::string args = "args") {
    Submission s;
    s.id = TaskId(Uuid{runtime::os_random(), runtime::os_random()});
    if (together_) redis::set_partition_byte(s.id, 1);
    s.function = function;
    s.args.bytes = Buffer::of(std::move(args));
    return s;
  }
  Result<std::vector<Result<SubmitAnswer>>> submit(std::vector<Submission> batch) {
    return ask<Result<std::vector<Result<SubmitAnswer>>>>(
        [&](auto done) { store_->submit(std::move(batch), std::move(done)); });
  }
  TaskId submit_one(Submission s) {
    std::vector<Submission> batch;
    batch.push_back(std::move(s));
    auto answers = submit(std::move(batch));
    EXPECT_TRUE(answers && (*answers)[0]);
    return (*answers)[0]->id;
  }
  SessionId session() {
    const SessionId id(Uuid{runtime::os_random(), runtime::os_random()});
    EXPECT_TRUE(ask<Result<void>>([&](auto done) { store_->open_session(id, "test", std::move(done)); }));
    return id;
  }
  ClaimRequest request(SessionId session, std::uint64_t call, std::size_t n) {
    ClaimRequest r{session, call, {}, {}, {}};
    for (std::size_t i = 0; i < n; ++i) r.tokens.push_back(Token{runtime::os_random() | 1});
    return r;
  }
  ClaimAnswer claim(const ClaimRequest& r) {
    auto answer = ask<Result<ClaimAnswer>>([&](auto done) { store_->claim(r, std::move(done)); });
    EXPECT_TRUE(answer);
    return std::move(*answer);
  }
  core::Attempt claim_one(SessionId session, std::uint64_t call = 1) {
    auto answer = claim(request(session, call, 1));
    EXPECT_EQ(answer.attempts.size(), 1u);
    return answer.attempts.at(0);
  }
  FinishAnswer finish(SessionId session, const core::Attempt& a, std::string result = "result",
                      core::ErrorKind kind = core::ErrorKind::None) {
    FinishItem item{a.task, a.token, {}};
    item.outcome.kind = kind;
    item.outcome.result.bytes = Buffer::of(std::move(result));
    auto answer =
        ask<Result<std::vector<FinishAnswer>>>([&](auto done) { store_->finish(session, {item}, std::move(done)); });
    EXPECT_TRUE(answer);
    return answer->at(0);
  }
  RequeueAnswer requeue(SessionId session, const core::Attempt& a, core::GiveBack why, Duration delay = Duration{0}) {
    RequeueItem item{a.task, a.token, why, delay, "because", {}};
    item.failure.kind = why == core::GiveBack::Killed ? core::ErrorKind::PoisonTask : core::ErrorKind::WorkerLost;
    item.failure.result.bytes = Buffer::of("lost");
    auto answer =
        ask<Result<std::vector<RequeueAnswer>>>([&](auto done) { store_->requeue(session, {item}, std::move(done)); });
    EXPECT_TRUE(answer);
    return answer->at(0);
  }
  Result<TaskView> view(TaskId id) {
    return ask<std::vector<Result<TaskView>>>([&](auto done) { store_->get({id}, true, std::move(done)); }).at(0);
  }
  CancelAnswer cancel(TaskId id) {
    auto answer = ask<Result<CancelAnswer>>([&](auto done) { store_->cancel(id, "asked", std::move(done)); });
    EXPECT_TRUE(answer);
    return *answer;
  }
  RenewAnswer renew(SessionId id, std::vector<core::Held> done_revokes = {}) {
    auto answer =
        ask<Result<RenewAnswer>>([&](auto done) { store_->renew(id, std::move(done_revokes), std::move(done)); });
    EXPECT_TRUE(answer);
    return std::move(*answer);
  }
  bool reap(SessionId other, std::uint64_t beat) {
    return *ask<Result<bool>>([&](auto done) { store_->reap(other, beat, std::move(done)); });
  }
  AdoptAnswer reassert(SessionId to, ReassertItem item) {
    return ask<Result<std::vector<AdoptAnswer>>>([&](auto done) { store_->reassert(to, {item}, std::move(done)); })
        ->at(0);
  }
  Result<TaskStory> story(TaskId id) {
    return ask<Result<TaskStory>>([&](auto done) { store_->story(id, std::move(done)); });
  }
  void start(const core::Attempt& a) {
    store_->started({{a.task, a.token, WorkerId(Uuid{1, 1})}});
    store_->turn(now());
  }
  AdoptAnswer adopt(SessionId to, core::Held attempt) {
    return ask<Result<std::vector<AdoptAnswer>>>([&](auto done) { store_->adopt(to, {attempt}, std::move(done)); })
        ->at(0);
  }

  redis::Address redis_address() const { return redis_ ? *redis_ : shared_redis().unix_socket(); }

 private:
  void open_redis_like(const SqliteConfig& config) {
    RedisConfig redis;
    redis.address = redis_address();
    redis.failure = failure_bytes;
    redis.max_queued = config.store.ledger.max_queued;
    redis.max_queued_bytes = config.store.ledger.max_queued_bytes;
    redis.max_waiters = config.store.max_waiters;
    if (is_partitioned()) {
      redis.partitions = kPartitions;
      redis.max_queued *= kPartitions;
      redis.max_queued_bytes *= kPartitions;
    }
    if (configure_redis_) configure_redis_(redis);
    auto opened = open_redis(io_, std::move(redis), clock_);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  void run_io() {
    io_.restart();
    io_.run_one_for(std::chrono::milliseconds(2));
  }

  static constexpr unsigned kPartitions = 4;
  std::string kind_;
  bool together_ = false;
  Configure configure_;
  std::optional<redis::Address> redis_;
  std::function<void(RedisConfig&)> configure_redis_;
  std::filesystem::path dir_;
  bool own_dir_ = true;
  runtime::SystemClock clock_;
  boost::asio::io_context io_{1};
  std::unique_ptr<Store> store_;
  std::uint64_t numbers_ = 0;
};

}  // namespace treadle::store::contract

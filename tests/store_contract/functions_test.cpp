// Functions by name, and what becomes of one that is deleted, on every engine alike.
#include "engine.h"

namespace treadle::store::contract {
namespace {

using Page = Result<std::vector<FunctionSummary>>;

class Functions : public ::testing::TestWithParam<const char*> {
 protected:
  FunctionId put(std::uint64_t number, std::string name, std::string body = "body") {
    core::Function f;
    f.id = FunctionId(Uuid{9, number});
    f.name = std::move(name);
    f.digest.words[0] = std::hash<std::string>{}(body);
    f.body.bytes = Buffer::of(std::move(body));
    const auto id = store_.ask<Result<FunctionId>>([&](auto done) { store_->put_function(f, std::move(done)); });
    EXPECT_TRUE(id);
    return *id;
  }
  std::vector<FunctionSummary> list(FunctionFilter filter) {
    auto page = store_.ask<Page>([&](auto done) { store_->list_functions(std::move(filter), std::move(done)); });
    EXPECT_TRUE(page) << page.error().message;
    return page ? std::move(*page) : std::vector<FunctionSummary>();
  }
  std::vector<FunctionId> ids(FunctionFilter filter) {
    std::vector<FunctionId> found;
    for (const FunctionSummary& one : list(std::move(filter))) found.push_back(one.id);
    return found;
  }
  bool remove(FunctionId id) {
    const auto answer = store_.ask<Result<bool>>([&](auto done) { store_->delete_function(id, std::move(done)); });
    EXPECT_TRUE(answer);
    return answer && *answer;
  }
  Result<core::Function> get(FunctionId id) {
    return store_.ask<Result<core::Function>>([&](auto done) { store_->get_function(id, std::move(done)); });
  }
  Code refusal(FunctionId id) {
    std::vector<Submission> batch;
    batch.push_back(store_.submission(id));
    const auto answers = store_.submit(std::move(batch));
    EXPECT_TRUE(answers);
    EXPECT_FALSE((*answers)[0]);
    return (*answers)[0] ? Code::Internal : (*answers)[0].error().code;
  }

  Engine store_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Engines, Functions, ::testing::Values("memory", "strict", "redis", "redis4"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(Functions, OfANameComeNewestFirstInPages) {
  std::vector<FunctionId> all;
  for (std::uint64_t n = 1; n <= 5; ++n) {
    all.push_back(put(n, "f"));
    put(100 + n, n % 2 == 0 ? "g" : "f ");
  }
  std::vector<FunctionId> newest(all.rbegin(), all.rend());
  EXPECT_EQ(ids({"f", "", 100}), newest);
  EXPECT_EQ(ids({"nobody", "", 100}), std::vector<FunctionId>());
  EXPECT_EQ(ids({"", "", 100}).size(), 10u);
  std::vector<FunctionId> paged;
  FunctionFilter filter{"f", "", 2};
  for (int pages = 0; pages < 4; ++pages) {
    const auto page = list(filter);
    if (page.empty()) break;
    for (const FunctionSummary& one : page) {
      EXPECT_EQ(one.name, "f");
      EXPECT_EQ(one.body_bytes, 4u);
      paged.push_back(one.id);
    }
    filter.cursor = page.back().cursor;
  }
  EXPECT_EQ(paged, newest);
  const auto bad = store_.ask<Page>([&](auto done) { store_->list_functions({"f", "x", 2}, std::move(done)); });
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Code::Invalid);
}

TEST_P(Functions, ADeletedOneIsUnknownAndItsNameMeansTheOneBefore) {
  const FunctionId first = put(1, "f"), second = put(2, "f"), third = put(3, "f");
  ASSERT_TRUE(get(third));
  store_.submit_one(store_.submission(third));
  EXPECT_TRUE(remove(third));
  EXPECT_EQ(ids({"f", "", 10}), (std::vector<FunctionId>{second, first}));
  EXPECT_EQ(ids({"", "", 10}), (std::vector<FunctionId>{first, second}));
  EXPECT_EQ(get(third).error().code, Code::NotFound);
  EXPECT_EQ(refusal(third), Code::NotFound);
  EXPECT_FALSE(remove(third)) << "twice";
  EXPECT_FALSE(remove(FunctionId(Uuid{1, 1})));
  EXPECT_TRUE(remove(first));
  EXPECT_EQ(ids({"f", "", 10}), (std::vector<FunctionId>{second}));
  ASSERT_TRUE(get(second)) << "its body is shared with those that are deleted";
  EXPECT_EQ(get(second)->body.bytes.view(), "body");
  if (!store_.is_owned_file()) return;
  store_.reopen();
  EXPECT_EQ(get(third).error().code, Code::NotFound);
  EXPECT_EQ(refusal(third), Code::NotFound);
  EXPECT_EQ(ids({"f", "", 10}), (std::vector<FunctionId>{second}));
}

TEST_P(Functions, TasksThatWereAcceptedBeforeItWasDeletedStillRun) {
  const std::string body(300 << 10, 'b');  // in a file, or under a key, of its own
  const FunctionId f = put(1, "f", body);
  const TaskId task = store_.submit_one(store_.submission(f));
  ASSERT_TRUE(remove(f));
  if (store_.is_owned_file()) store_.reopen();
  const SessionId session = store_.session();
  const core::Attempt attempt = store_.claim_one(session);
  EXPECT_EQ(attempt.task, task);
  const auto kept =
      store_.ask<Result<core::Payload>>([&](auto done) { store_->get_body(attempt.body_digest, std::move(done)); });
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_TRUE(kept->bytes.view() == body);
  EXPECT_EQ(store_.finish(session, attempt), FinishAnswer::Applied);
  EXPECT_EQ(store_.view(task)->state, core::TaskState::Completed);
  EXPECT_EQ(store_.view(task)->function, f);
}

// One gateway's caches know nothing of what another deletes.
TEST(FunctionsOnRedis, ThatAnotherGatewayDeletedAreUnknownToAll) {
  Engine here("redis");
  const FunctionId f = here.function();
  const auto get = [&] {
    return here.ask<Result<core::Function>>([&](auto done) { here->get_function(f, std::move(done)); });
  };
  ASSERT_TRUE(get());
  Engine there(here.redis_address());
  const auto gone = there.ask<Result<bool>>([&](auto done) { there->delete_function(f, std::move(done)); });
  ASSERT_TRUE(gone && *gone);
  EXPECT_EQ(get().error().code, Code::NotFound);
  EXPECT_EQ(here.redis_cli({"HEXISTS", to_string(f), "deleted"}).integer, 1);
  EXPECT_EQ(here.redis_cli({"ZCARD", "treadle:name:f"}).integer, 0);
  EXPECT_EQ(here.redis_cli({"ZCARD", "treadle:functions"}).integer, 0);
}

TEST(FunctionsOnRedis, BodiesOfDeletedOnesGoUnlessSomethingNeedsThem) {
  Engine store("redis");
  const auto put = [&](const char* body) { return store.function(core::Delivery::AtLeastOnce, body); };
  const FunctionId older = put("same"), newer = put("same"), waits = put("needed"), idle = put("unneeded");
  const auto has_body = [&](FunctionId id) {
    return store.redis_cli({"HEXISTS", to_string(id), "function_body"}).integer == 1;
  };
  store.submit_one(store.submission(waits));
  for (const FunctionId id : {newer, waits, idle})
    EXPECT_TRUE(store.ask<Result<bool>>([&](auto done) { store->delete_function(id, std::move(done)); }));
  store.turn_until([&] { return !has_body(newer) && !has_body(idle); });
  EXPECT_FALSE(has_body(newer) || has_body(idle));
  EXPECT_TRUE(has_body(waits));
  Digest digest;
  digest.words[0] = std::hash<std::string>{}("same");
  Engine there(store.redis_address());  // nothing of it is in its caches
  const auto found = there.ask<Result<core::Payload>>([&](auto done) { there->get_body(digest, std::move(done)); });
  ASSERT_TRUE(found) << found.error().message << ": an older function has it too";
  EXPECT_EQ(found->bytes.view(), "same");
  EXPECT_TRUE(has_body(older));
  const SessionId session = store.session();
  store.finish(session, store.claim_one(session));
  store.turn_until([&] { return !has_body(waits); });
  EXPECT_FALSE(has_body(waits)) << "its last task has ended";
}

}  // namespace
}  // namespace treadle::store::contract

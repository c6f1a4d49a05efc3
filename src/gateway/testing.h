// For the tests of this folder: a store in memory, a running gateway on a free port, and a blocking client.
#pragma once

#include <condition_variable>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "gateway/gateway.h"

namespace treadle::gateway::testing {

class TestClock final : public Clock {
 public:
  Instant now() const override;
  WallMs wall() const override;
};

// Answers at once, from maps; tests script what goes wrong. Loop thread only.
class FakeStore final : public store::Store {
 public:
  std::map<FunctionId, core::Function> functions;
  std::vector<FunctionId> registered;  // in order
  std::map<TaskId, store::TaskView> tasks;
  std::map<TaskId, store::TaskStory> stories;  // what else there is to tell
  std::vector<store::ListFilter> lists;        // that were asked for
  std::map<std::string, std::pair<Digest, TaskId>> keys;
  std::vector<store::Submission> submissions;  // their arguments are kept for inspection
  std::optional<Error> broken;                 // answers everything with this
  bool hold = false;                           // get() is answered by release() only
  std::vector<Callback<void()>> held;
  std::vector<std::pair<TaskId, store::Done<Result<store::TaskView>>>> waits;
  store::Counters figures;
  std::vector<store::WorkerReport> reports;
  std::map<TaskId, store::LiveView> shown;
  std::vector<TaskId> followed;  // as often as it was asked for
  std::vector<TaskId> ended;     // in the order of their ends
  std::vector<store::GroupFilter> pages;
  Callback<void()> end_hint;
  std::vector<store::QueueReport> queue_reports;
  int gets = 0;
  bool keep_submissions = true;

  void finish(TaskId id, std::string result);  // COMPLETED; wakes waits
  void release();

  void put_function(core::Function function, store::Done<Result<FunctionId>> done) override;
  void get_function(FunctionId id, store::Done<Result<core::Function>> done) override;
  void submit(std::vector<store::Submission> batch,
              store::Done<Result<std::vector<Result<store::SubmitAnswer>>>> done) override;
  void get(std::vector<TaskId> ids, bool with_results, store::Done<std::vector<Result<store::TaskView>>> done) override;
  void wait(TaskId id, Instant deadline, store::Done<Result<store::TaskView>> done) override;
  void list_functions(store::FunctionFilter filter,
                      store::Done<Result<std::vector<store::FunctionSummary>>> done) override;
  void delete_function(FunctionId id, store::Done<Result<bool>> done) override;
  void story(TaskId id, store::Done<Result<store::TaskStory>> done) override;
  void list(store::ListFilter filter, store::Done<Result<store::TaskPage>> done) override;
  // Queued: Cancelled; claimed or running: Requested.
  void cancel(TaskId id, std::string reason, store::Done<Result<store::CancelAnswer>> done) override;
  // Their groups are those of `submissions`; the numbers of ends are those of `ended`.
  void group_ends(store::GroupFilter filter, store::Done<Result<store::GroupPage>> done) override;
  void on_end(Callback<void()> hint) override { end_hint = std::move(hint); }
  void submission(TaskId id, store::Done<Result<store::Submission>> done) override;
  void queues(store::Done<Result<std::vector<store::QueueReport>>> done) override;
  void pause_queue(std::string queue, bool paused, store::Done<Result<void>> done) override;
  store::Counters counters() const override { return figures; }
  store::Level level() const override { return store::Level::Power; }
  std::string describe() const override { return "fake store"; }

  // Nobody in this folder asks these.
  void get_body(Digest, store::Done<Result<core::Payload>>) override {}
  void claim(store::ClaimRequest, store::Done<Result<store::ClaimAnswer>>) override {}
  void started(std::vector<store::StartedItem>) override {}
  void report_live(std::vector<core::LiveItem>) override {}
  void live(TaskId id, bool follow, store::Done<Result<store::LiveView>> done) override;
  void on_follow(Callback<void(std::vector<TaskId>)>) override {}
  void finish(SessionId, std::vector<store::FinishItem>,
              store::Done<Result<std::vector<store::FinishAnswer>>>) override {}
  void requeue(SessionId, std::vector<store::RequeueItem>,
               store::Done<Result<std::vector<store::RequeueAnswer>>>) override {}
  void on_work(Callback<void()>) override {}
  void on_revoke(Callback<void(std::vector<store::AdoptItem>)>) override {}
  void open_session(SessionId, std::string, store::Done<Result<void>>) override {}
  void renew(SessionId, std::vector<store::AdoptItem>, store::Done<Result<store::RenewAnswer>>) override {}
  void adopt(SessionId, std::vector<store::AdoptItem>, store::Done<Result<std::vector<store::AdoptAnswer>>>) override {}
  void reassert(SessionId, std::vector<store::ReassertItem>,
                store::Done<Result<std::vector<store::AdoptAnswer>>>) override {}
  void reap(SessionId, std::uint64_t, store::Done<Result<bool>>) override {}
  void report_workers(SessionId, std::vector<store::WorkerReport> workers) override { reports = std::move(workers); }
  void workers(store::Done<Result<std::vector<store::WorkerReport>>> done) override {
    if (broken) return done(*broken);
    done(reports);
  }
  int wake_fd() const override { return -1; }
  bool turn(Instant) override { return false; }
  Instant next_deadline() const override { return Instant::never(); }
  void close() override {}

 private:
  Result<store::TaskView> view(TaskId id, bool with_result) const;
};

class FakeStatus final : public StatusSource {
 public:
  Status now;
  Status status() const override { return now; }
  BuildInfo build() const override { return {"0.1.0", "abc123"}; }
};

// A gateway that runs on a thread of its own until the end of the test.
class Running {
 public:
  explicit Running(GatewayConfig config = {});
  ~Running();

  std::uint16_t port() const { return port_; }
  // Runs `work` on the loop thread and waits for it.
  void on_loop(std::function<void()> work);
  // Returns when the loop has read all that was sent to it before: each round trip passes the reactor once.
  void settle();
  std::string host() const { return "127.0.0.1:" + std::to_string(port_); }

  TestClock clock;
  FakeStore store;
  FakeStatus status;
  IdSource ids{clock};
  boost::asio::io_context io{1};
  std::unique_ptr<Gateway> gateway;

 private:
  void loop();
  std::uint16_t port_ = 0;
  bool stop_ = false;
  std::thread thread_;
};

struct Answer {
  int status = 0;
  std::string head;
  std::string body;
  std::string header(std::string_view name) const;  // "" = absent
};

// One TCP connection. Reading fails the test (throws) after ten seconds of silence.
class Client {
 public:
  explicit Client(std::uint16_t port);
  ~Client();
  Client(const Client&) = delete;

  void send(std::string_view bytes);
  bool try_send(std::string_view bytes);  // false: the server closed
  void end_sending();
  Answer read(bool head_only = false);
  std::string read_chunk();   // of a body without a length, whose head read() gave; "" = its end
  std::string read_to_end();  // until the server closes
  bool closed();              // the server closes without a further byte

  Answer get(const std::string& path, const std::string& headers = "");
  Answer remove(const std::string& path);  // DELETE
  Answer post(const std::string& path, const std::string& body, const std::string& headers = "");

 private:
  bool fill();
  int fd_ = -1;
  std::string host_;
  std::string buffer_;
};

std::string post_text(const std::string& path, const std::string& body, const std::string& headers = "");
inline const std::string kAdd = "gASVFQAAAAAAAACMCV9vcGVyYXRvcpSMA2FkZJSTlC4=\\n";  // operator.add, as JSON text
inline const std::string kArgs = "gASVCwAAAAAAAABLA0sEhpR9lIaULg==\\n";             // ((3, 4), {})
inline const std::string kSeven = std::string("\x80\x04K\x07.", 5);                 // 7
std::string function_body(const std::string& payload = kAdd, const std::string& name = "add");
std::string call_body(const std::string& function_id, const std::string& payload = kArgs);
// Value of a string member of a flat JSON object.
std::string member(const std::string& json, const std::string& name);

}  // namespace treadle::gateway::testing

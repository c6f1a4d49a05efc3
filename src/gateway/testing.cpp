#include "gateway/testing.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <stdexcept>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

namespace treadle::gateway::testing {

Instant TestClock::now() const {
  return {std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()).count()};
}

WallMs TestClock::wall() const {
  return {std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
              .count()};
}

// ---- store ----

void FakeStore::put_function(core::Function function, store::Done<Result<FunctionId>> done) {
  if (broken) return done(*broken);
  const FunctionId id = function.id;
  registered.push_back(id);
  functions[id] = std::move(function);
  done(id);
}

void FakeStore::get_function(FunctionId id, store::Done<Result<core::Function>> done) {
  if (broken) return done(*broken);
  const auto at = functions.find(id);
  if (at == functions.end()) return done(fail(Code::NotFound, "no function"));
  done(at->second);
}

void FakeStore::submit(std::vector<store::Submission> batch,
                       store::Done<Result<std::vector<Result<store::SubmitAnswer>>>> done) {
  if (broken) return done(*broken);
  std::vector<Result<store::SubmitAnswer>> answers;
  for (auto& item : batch) {
    const auto key = keys.find(item.idempotency_key);
    if (!functions.contains(item.function)) {
      answers.push_back(fail(Code::NotFound, "no function"));
    } else if (!item.idempotency_key.empty() && key != keys.end()) {
      if (key->second.first == item.body_digest)
        answers.push_back(store::SubmitAnswer{key->second.second, true});
      else
        answers.push_back(fail(Code::Conflict, "Idempotency-Key was used with another body."));
    } else {
      if (!item.idempotency_key.empty()) keys[item.idempotency_key] = {item.body_digest, item.id};
      tasks[item.id].id = item.id;
      tasks[item.id].function = item.function;
      stories[item.id].options = item.options;
      answers.push_back(store::SubmitAnswer{item.id, false});
      if (keep_submissions) submissions.push_back(std::move(item));
    }
  }
  done(std::move(answers));
}

Result<store::TaskView> FakeStore::view(TaskId id, bool with_result) const {
  if (broken) return *broken;
  const auto at = tasks.find(id);
  if (at == tasks.end()) return fail(Code::NotFound, "no task");
  store::TaskView out = at->second;
  if (!with_result) out.result = {};
  return out;
}

void FakeStore::get(std::vector<TaskId> ids, bool with_results,
                    store::Done<std::vector<Result<store::TaskView>>> done) {
  ++gets;
  std::vector<Result<store::TaskView>> views;
  for (const TaskId id : ids) views.push_back(view(id, with_results));
  if (!hold) return done(std::move(views));
  held.emplace_back([views = std::move(views), done = std::move(done)]() mutable { done(std::move(views)); });
}

void FakeStore::story(TaskId id, store::Done<Result<store::TaskStory>> done) {
  auto now = view(id, false);
  if (!now) return done(now.error());
  const auto told = stories.find(id);
  store::TaskStory story = told == stories.end() ? store::TaskStory{} : told->second;
  story.view = std::move(*now);
  story.result_bytes = tasks[id].result.bytes.size();
  done(std::move(story));
}

void FakeStore::live(TaskId id, bool follow, store::Done<Result<store::LiveView>> done) {
  if (broken) return done(*broken);
  if (follow) followed.push_back(id);
  const auto at = shown.find(id);
  done(at == shown.end() ? store::LiveView{} : at->second);
}

void FakeStore::list(store::ListFilter filter, store::Done<Result<store::TaskPage>> done) {
  if (broken) return done(*broken);
  if (keep_submissions) lists.push_back(filter);
  store::TaskPage page;
  for (auto at = tasks.rbegin(); at != tasks.rend() && page.tasks.size() < filter.limit; ++at)
    page.tasks.push_back(at->second);
  if (page.tasks.size() == filter.limit) page.next_cursor = "7";
  done(std::move(page));
}

void FakeStore::cancel(TaskId id, std::string reason, store::Done<Result<store::CancelAnswer>> done) {
  if (broken) return done(*broken);
  const auto at = tasks.find(id);
  if (at == tasks.end()) return done(store::CancelAnswer::Missing);
  if (core::is_terminal(at->second.state)) return done(store::CancelAnswer::Terminal);
  stories[id].cancel_requested = at->second.state != core::TaskState::Queued;
  if (stories[id].cancel_requested) return done(store::CancelAnswer::Requested);
  at->second.state = core::TaskState::Failed;
  at->second.error_kind = core::ErrorKind::Cancelled;
  stories[id].error_message = std::move(reason);
  done(store::CancelAnswer::Cancelled);
}

void FakeStore::list_functions(store::FunctionFilter filter,
                               store::Done<Result<std::vector<store::FunctionSummary>>> done) {
  if (broken) return done(*broken);
  std::vector<store::FunctionSummary> page;
  for (const FunctionId id : registered) {
    if (filter.name.empty() && page.size() == filter.limit) break;
    if (!functions.contains(id)) continue;
    const core::Function& one = functions.at(id);
    if (!filter.name.empty() && one.name != filter.name) continue;
    page.push_back({id, one.name, one.digest, one.body.bytes.size(), WallMs{1'000}, "c" + std::to_string(page.size())});
  }
  if (!filter.name.empty()) std::reverse(page.begin(), page.end());
  page.resize(std::min<std::size_t>(page.size(), filter.limit));
  done(std::move(page));
}

void FakeStore::delete_function(FunctionId id, store::Done<Result<bool>> done) {
  if (broken) return done(*broken);
  done(functions.erase(id) > 0);
}

void FakeStore::release() {
  hold = false;
  for (auto& one : std::exchange(held, {})) one();
}

void FakeStore::wait(TaskId id, Instant, store::Done<Result<store::TaskView>> done) {
  auto now = view(id, false);
  if (!now || core::is_terminal(now->state)) return done(std::move(now));
  waits.emplace_back(id, std::move(done));
}

void FakeStore::finish(TaskId id, std::string result) {
  tasks[id].id = id;
  tasks[id].state = core::TaskState::Completed;
  tasks[id].result.bytes = Buffer::of(std::move(result));
  ended.push_back(id);
  if (end_hint) end_hint();
  for (auto& [task, done] : std::exchange(waits, {})) {
    if (task == id)
      done(view(task, false));
    else
      waits.emplace_back(task, std::move(done));
  }
}

void FakeStore::group_ends(store::GroupFilter filter, store::Done<Result<store::GroupPage>> done) {
  if (broken) return done(*broken);
  pages.push_back(filter);
  store::GroupPage page;
  std::map<TaskId, bool> members;
  for (const store::Submission& one : submissions)
    if (one.group == filter.group) members[one.id] = core::is_terminal(tasks[one.id].state);
  page.known = !members.empty();
  for (const auto& [id, has_ended] : members) page.open |= !has_ended;
  std::size_t at = filter.cursor.empty() ? 0 : std::stoul(filter.cursor);
  std::uint64_t bytes = 0;
  for (; at < ended.size() && page.ends.size() < filter.limit && bytes < filter.max_bytes; ++at) {
    if (!members.contains(ended[at])) continue;
    store::GroupEnd end;
    end.view = tasks[ended[at]];
    end.result_bytes = end.view.result.bytes.size();
    if (end.result_bytes > core::limits::kInline) end.view.result = {};
    bytes += end.view.result.bytes.size();
    end.cursor = std::to_string(at + 1);
    page.ends.push_back(std::move(end));
  }
  page.cursor = std::to_string(at);
  page.more = at < ended.size();
  done(std::move(page));
}

void FakeStore::submission(TaskId id, store::Done<Result<store::Submission>> done) {
  const auto now = view(id, false);
  if (!now) return done(now.error());
  if (now->state != core::TaskState::Failed) return done(store::not_failed(id, now->state));
  store::Submission call;
  for (const store::Submission& one : submissions) {
    if (one.id != id) continue;
    call.function = one.function;
    call.args = one.args;
    call.options = one.options;
    call.group = one.group;
  }
  done(std::move(call));
}

void FakeStore::queues(store::Done<Result<std::vector<store::QueueReport>>> done) {
  if (broken) return done(*broken);
  done(queue_reports);
}

void FakeStore::pause_queue(std::string queue, bool paused, store::Done<Result<void>> done) {
  if (broken) return done(*broken);
  for (store::QueueReport& one : queue_reports)
    if (one.name == queue) one.paused = paused;
  done({});
}

// ---- gateway ----

Running::Running(GatewayConfig config) {
  config.port = 0;
  status.now = {.mode = "local", .slots = 4, .slots_free = 3};
  gateway = std::make_unique<Gateway>(io, store, std::move(config), status, ids, clock);
  if (auto listening = gateway->listen(); !listening) throw std::runtime_error(listening.error().message);
  port_ = gateway->port();
  thread_ = std::thread([this] { loop(); });
}

void Running::loop() {
  const auto work = boost::asio::make_work_guard(io);
  while (!stop_) {
    io.run_one();
    for (int i = 0; i < 64 && io.poll_one() > 0; ++i) {
    }
    gateway->turn(clock.now());
  }
}

Running::~Running() {
  on_loop([this] { stop_ = true; });
  thread_.join();
}

void Running::on_loop(std::function<void()> work) {
  std::promise<void> done;
  boost::asio::post(io, [&] {
    work();
    done.set_value();
  });
  done.get_future().get();
}

void Running::settle() {
  for (int i = 0; i < 4; ++i) on_loop([] {});
}

// ---- client ----

std::string Answer::header(std::string_view name) const {
  for (std::size_t at = head.find("\r\n"); at != std::string::npos; at = head.find("\r\n", at + 2)) {
    const std::string line = head.substr(at + 2, head.find("\r\n", at + 2) - at - 2);
    if (line.size() > name.size() && line[name.size()] == ':' && line.compare(0, name.size(), name) == 0)
      return line.substr(name.size() + 2);
  }
  return "";
}

Client::Client(std::uint16_t port) : host_("127.0.0.1:" + std::to_string(port)) {
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{10, 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) throw std::runtime_error("cannot connect");
}

Client::~Client() { close(fd_); }

bool Client::try_send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void Client::send(std::string_view bytes) {
  if (!try_send(bytes)) throw std::runtime_error("the server closed while we sent");
}

void Client::end_sending() { shutdown(fd_, SHUT_WR); }

// False at the end of the stream.
bool Client::fill() {
  char piece[64 << 10];
  const ssize_t got = recv(fd_, piece, sizeof piece, 0);
  if (got < 0) throw std::runtime_error(errno == EAGAIN ? "no answer within ten seconds" : "the connection was reset");
  buffer_.append(piece, static_cast<std::size_t>(got));
  return got > 0;
}

std::string Client::read_chunk() {
  std::size_t end = 0;
  while ((end = buffer_.find("\r\n")) == std::string::npos)
    if (!fill()) throw std::runtime_error("closed before a chunk");
  const std::size_t size = std::stoul(buffer_.substr(0, end), nullptr, 16);
  while (buffer_.size() < end + 2 + size + 2)
    if (!fill()) throw std::runtime_error("closed within a chunk");
  std::string chunk = buffer_.substr(end + 2, size);
  buffer_.erase(0, end + 2 + size + 2);
  return chunk;
}

Answer Client::read(bool head_only) {
  std::size_t end = 0;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos)
    if (!fill()) throw std::runtime_error("closed before an answer");
  Answer answer;
  answer.head = buffer_.substr(0, end + 2);
  answer.status = std::stoi(answer.head.substr(9, 3));
  buffer_.erase(0, end + 4);
  const std::string length = answer.header("Content-Length");
  if (head_only || length.empty()) return answer;
  const std::size_t size = std::stoull(length);
  while (buffer_.size() < size)
    if (!fill()) throw std::runtime_error("closed within an answer");
  answer.body = buffer_.substr(0, size);
  buffer_.erase(0, size);
  return answer;
}

std::string Client::read_to_end() {
  while (fill()) {
  }
  return std::exchange(buffer_, {});
}

bool Client::closed() { return buffer_.empty() && !fill(); }

Answer Client::get(const std::string& path, const std::string& headers) {
  send("GET " + path + " HTTP/1.1\r\nHost: " + host_ + "\r\n" + headers + "\r\n");
  return read();
}

Answer Client::remove(const std::string& path) {
  send("DELETE " + path + " HTTP/1.1\r\nHost: " + host_ + "\r\n\r\n");
  return read();
}

Answer Client::post(const std::string& path, const std::string& body, const std::string& headers) {
  send(post_text(path, body, headers));
  return read();
}

std::string post_text(const std::string& path, const std::string& body, const std::string& headers) {
  return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         headers + "\r\n" + body;
}

std::string function_body(const std::string& payload, const std::string& name) {
  return R"({"name": ")" + name + R"(", "payload": ")" + payload + R"("})";
}

std::string call_body(const std::string& function_id, const std::string& payload) {
  return R"({"function_id": ")" + function_id + R"(", "payload": ")" + payload + R"("})";
}

std::string member(const std::string& json, const std::string& name) {
  const std::string mark = "\"" + name + "\":\"";
  const auto at = json.find(mark);
  if (at == std::string::npos) return "";
  return json.substr(at + mark.size(), json.find('"', at + mark.size()) - at - mark.size());
}

}  // namespace treadle::gateway::testing

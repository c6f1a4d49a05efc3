// Waiting across gateways, and the hints of other processes. A channel is a bell that may be missed: what is waited for
// is read when the bell rings, once a second, and after every reconnect.
#include <utility>

#include "store/redis/engine.h"

namespace treadle::store::redis {
namespace {

constexpr Duration kBackstop = 1s;         // between two reads of all that is waited for
constexpr std::size_t kMaxForeign = 1024;  // named ids that wait to be looked at; what is dropped was a hint
constexpr const char* kDone = "treadle:done";
constexpr const char* kControl = "treadle:ctl";
constexpr const char* kFollow = "treadle:follow";
constexpr const char* kTasks = "tasks";
constexpr std::size_t kVersionAt = 14;  // of the digit of a UUID's text that tells its version; our gateways make 7

std::string_view next_word(std::string_view& text) {
  const std::size_t space = text.find(' ');
  const std::string_view word = text.substr(0, space);
  text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
  return word;
}

}  // namespace

// ---- what is heard ----

void Engine::hear(std::string_view channel, std::string_view message) {
  if (channel == kDone) {
    end_heard_ = true;
    while (!message.empty()) {
      const auto id = TaskId::parse(next_word(message));
      if (id && waiters_.contains(*id)) ended_hints_.insert(*id);
    }
  } else if (channel == kTasks) {
    if (!is_ours(TaskId::parse(message))) return;
    work_heard_ = true;
    const bool ours = message.size() > kVersionAt && message[kVersionAt] == '7';
    if (!ours && foreign_.size() < kMaxForeign) foreign_.emplace_back(message);
  } else if (channel == kFollow) {
    const auto task = TaskId::parse(message);
    if (task && is_ours(task) && follow_hints_.size() < core::limits::kMaxFollowed) follow_hints_.push_back(*task);
  } else if (channel == kControl) {
    const auto session = SessionId::parse(next_word(message));
    const auto task = TaskId::parse(next_word(message));
    if (session && task && is_ours(task) && sessions_.contains(*session))
      revoke_hints_.push_back({*task, token_of(message)});
  }
}

// Channels are one for all partitions, and in a cluster for all servers.
bool Engine::is_ours(const std::optional<TaskId>& id) const {
  return partition_.of == 1 || (id && partition_of(*id, partition_.of) == partition_.number);
}

void Engine::on_work(Callback<void()> hint) {
  work_hint_ = std::move(hint);
  home_.subscribe(kTasks, [this](Result<void>) { work_heard_ = true; });
}

void Engine::on_revoke(Callback<void(std::vector<AdoptItem>)> hint) {
  revoke_hint_ = std::move(hint);
  home_.subscribe(kControl, [](Result<void>) {});  // refused or late: renewals bring the same
}

void Engine::on_follow(Callback<void(std::vector<TaskId>)> hint) {
  follow_hint_ = std::move(hint);
  home_.subscribe(kFollow, [](Result<void>) {});  // refused or late: output comes when the task has ended
}

void Engine::on_end(Callback<void()> hint) {
  end_hint_ = std::move(hint);
  if (end_hint_) return listen_for_ends();
  if (waiters_.size() == 0 && backstop_at_ == Instant::never()) stop_listening();
}

bool Engine::serve_hints(Instant now) {
  bool ran = false;
  if (std::exchange(end_heard_, false) && end_hint_) {
    end_hint_();
    ran = true;
  }
  if (hungry_ && (work_heard_ || now >= work_due_)) {
    hungry_ = false;
    work_due_ = Instant::never();
    if (work_hint_) {
      work_hint_();
      ran = true;
    }
  }
  if (!revoke_hints_.empty()) {
    auto attempts = std::exchange(revoke_hints_, {});
    if (revoke_hint_) {
      revoke_hint_(std::move(attempts));
      ran = true;
    }
  }
  if (!follow_hints_.empty() && follow_hint_) {
    follow_hint_(std::exchange(follow_hints_, {}));
    ran = true;
  }
  if (!foreign_.empty()) enter_foreign();
  return ran;
}

// What a foreign gateway only announced is entered once; what it also put into the queue may be named there twice.
void Engine::enter_foreign() {
  std::vector<std::string> ids = std::exchange(foreign_, {});
  for (std::size_t from = 0; from < ids.size(); from += core::limits::kBatch) {
    const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(from);
    const auto end = ids.begin() + static_cast<std::ptrdiff_t>(std::min(from + core::limits::kBatch, ids.size()));
    caller_.run(Script::Enter, Args(std::make_move_iterator(begin), std::make_move_iterator(end)),
                [this](Result<Reply> entered) {
                  if (entered && number_of(*entered) > 0) work_heard_ = true;
                });
  }
}

// ---- waiting ----

Error Engine::too_many_waiters(std::size_t limit) {
  return fail(Code::Full,
              std::to_string(limit) +
                  " requests wait for results already, which is the limit. Ask again later, or without wait.");
}

void Engine::wait(TaskId id, Instant deadline, Done<Result<TaskView>> done) {
  if (auto error = closed()) return done(std::move(*error));
  if (waiters_.size() >= config_.max_waiters) {
    return done(too_many_waiters(config_.max_waiters));
  }
  if (deadline <= clock_.now()) return read_view(id, true, std::move(done));
  waiters_.add(id, deadline, std::move(done));
  if (backstop_at_ == Instant::never()) backstop_at_ = clock_.now() + kBackstop;
  if (done_confirmed_) return look_at(id);
  listen_for_ends();  // all are looked at when it is confirmed
}

void Engine::listen_for_ends() {
  if (done_heard_) return;
  done_heard_ = true;
  home_.subscribe(kDone, [this](Result<void> confirmed) {
    done_confirmed_ = done_heard_ && confirmed.has_value();
    end_heard_ = true;
    later_.push_back([this] { look_at_all(); });
  });
}

void Engine::stop_listening() {
  if (!done_heard_) return;
  done_heard_ = done_confirmed_ = false;
  home_.unsubscribe(kDone);
}

void Engine::look_at(TaskId id) {
  read_view(id, true, [this, id](Result<TaskView> view) {
    const bool gone = !view && view.error().code == Code::NotFound;
    if (!gone && (!view || !core::is_terminal(view->state))) return;  // at its deadline it gets what there is then
    for (auto& answer : waiters_.take(id)) answer(view);
  });
}

void Engine::look_at_all() {
  for (const TaskId id : waiters_.tasks()) look_at(id);
}

bool Engine::serve_waiters(Instant now) {
  bool ran = false;
  for (const TaskId id : std::exchange(ended_hints_, {})) {
    if (waiters_.contains(id)) look_at(id);
  }
  for (auto& [id, answer] : waiters_.take_late(now)) {
    read_view(id, true, std::move(answer));
    ran = true;
  }
  if (now < backstop_at_) return ran;
  if (waiters_.size() > 0) {
    backstop_at_ = now + kBackstop;
    look_at_all();
  } else {
    backstop_at_ = Instant::never();
    if (!end_hint_) stop_listening();
  }
  return ran;
}

}  // namespace treadle::store::redis

#include "gateway/follow.h"

#include <algorithm>
#include <utility>

#include "core/limits.h"

namespace treadle::gateway {
namespace {

namespace limits = core::limits;

constexpr std::size_t kTail = 256;  // bytes by which the end of an output is known again

// Bytes at the end of `shown` with which `kept` begins: only the newest of an output is kept.
std::size_t overlap(std::string_view shown, std::string_view kept) {
  std::size_t size = std::min(shown.size(), kept.size());
  while (size > 0 && shown.substr(shown.size() - size) != kept.substr(0, size)) --size;
  return size;
}

}  // namespace

bool Follow::read(std::string& out, std::size_t most) {
  std::size_t some = std::min(most, pending_.size());
  out.append(pending_, 0, some);
  pending_.erase(0, some);
  return !ended_ || !pending_.empty();
}

bool Follow::look(Instant now) {
  const auto client = client_.lock();
  if (!client || client->gone() || ended_) return false;
  if (asking_ || now < ask_at_ || pending_.size() >= limits::kLiveText) return true;
  asking_ = true;
  store_.get({task_}, false, [self = shared_from_this()](std::vector<Result<store::TaskView>> views) {
    self->take_state(std::move(views.front()));
  });
  return true;
}

// The state is read first: what a task showed before it ended is then read after its end.
void Follow::take_state(Result<store::TaskView> view) {
  if (stopped_) return;
  if (!view && view.error().code == Code::NotFound) return end();  // deleted
  const bool over = view && core::is_terminal(view->state);
  const Instant now = clock_.now();
  const bool follow = !over && now >= follow_at_;
  if (follow) follow_at_ = now + limits::kFollowAgain;
  store_.live(task_, follow, [self = shared_from_this(), over](Result<store::LiveView> live) {
    if (self->stopped_) return;
    if (live) self->take_live(*live);
    if (!over) {
      self->asking_ = false;
      self->ask_at_ = self->clock_.now() + limits::kLiveEach / 2;
      return self->wake();
    }
    self->store_.story(self->task_, [self](Result<store::TaskStory> story) {
      if (self->stopped_) return;
      if (story) self->take_end(*story);
      self->end();
    });
  });
}

void Follow::take_live(const store::LiveView& view) {
  if (view.attempt < attempt_ || view.attempt == 0) return;
  if (view.attempt > attempt_) {
    if (at_ > 0) add("\n[treadle: attempt " + std::to_string(view.attempt) + "]\n");
    attempt_ = view.attempt;
    at_ = 0;
    tail_.clear();
  }
  if (view.text.empty() || view.from + view.text.size() <= at_) return;
  if (view.from > at_) add("\n[treadle: " + std::to_string(view.from - at_) + " bytes are left out]\n");
  const std::uint64_t begin = std::max(view.from, at_);
  const std::string_view fresh = std::string_view(view.text).substr(static_cast<std::size_t>(begin - view.from));
  at_ = view.from + view.text.size();
  add(fresh);
  tail_.append(fresh.substr(fresh.size() - std::min(fresh.size(), kTail)));
  if (tail_.size() > kTail) tail_.erase(0, tail_.size() - kTail);
}

// What is kept of its output ends with what the stream has shown, unless something was lost on its way or the task was
// too short to be followed.
void Follow::take_end(const store::TaskStory& story) {
  if (story.view.attempt != attempt_) {
    if (at_ > 0) add("\n[treadle: attempt " + std::to_string(story.view.attempt) + "]\n");
    return add(story.output);
  }
  const std::string_view kept = story.output;
  if (const std::size_t known = kept.rfind(tail_); known != std::string_view::npos)
    return add(kept.substr(tail_.empty() ? 0 : known + tail_.size()));
  const std::size_t known = overlap(tail_, kept);
  if (known == 0) add("\n[treadle: some output is left out]\n");
  add(kept.substr(known));
}

void Follow::add(std::string_view text) { pending_.append(text); }

void Follow::end() {
  ended_ = stopped_ = true;
  wake();
}

void Follow::stop() {
  if (ended_) return;
  add("\n[treadle: the service stops; follow the task again]\n");
  end();
}

void Follow::wake() {
  const auto client = client_.lock();
  if (client && (ended_ || !pending_.empty())) client->more_to_send();
}

Result<void> Follows::add(const std::shared_ptr<Follow>& follow) {
  std::erase_if(all_, [](const auto& one) { return one.expired(); });
  if (all_.size() >= limits::kMaxFollows)
    return fail(Code::Full, "Over " + std::to_string(limits::kMaxFollows) +
                                " requests follow tasks already. Ask again later, or without follow.");
  all_.push_back(follow);
  return {};
}

void Follows::look(Instant now) {
  std::erase_if(all_, [now](const std::weak_ptr<Follow>& one) {
    const auto follow = one.lock();
    return !follow || !follow->look(now);
  });
}

void Follows::stop_all() {
  for (const auto& one : std::exchange(all_, {})) {
    if (const auto follow = one.lock()) follow->stop();
  }
}

}  // namespace treadle::gateway

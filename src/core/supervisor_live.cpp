// What running tasks show of themselves: how far they say that they are, and their output while somebody follows it.
// All of it may be lost, and none of it may cost a task that nobody looks at anything.
#include <algorithm>

#include "core/supervisor.h"

namespace treadle::core {
namespace {

Live& live_of(Work& work) {
  if (!work.live) work.live = std::make_unique<Live>();
  return *work.live;
}

// Room for more: the newest output counts.
void make_room(Live& live, std::size_t coming) {
  const std::size_t all = live.text.size() + coming;
  if (all <= limits::kLiveText) return;
  std::size_t cut = std::min(live.text.size(), all - limits::kLiveText);
  while (cut < live.text.size() && (static_cast<unsigned char>(live.text[cut]) & 0xC0) == 0x80) ++cut;
  live.from += cut;
  live.text.erase(0, cut);
}

}  // namespace

void Supervisor::show(Work& work) {
  if (!std::exchange(work.live->unsent, true)) showing_.push_back(work.attempt.token);
}

void Supervisor::on(event::TaskProgress& e) {
  Executor* executor = find(e.no);
  if (!executor) return;
  for (const Executor::Piped& piped : executor->pipe) {
    if (piped.seq != e.seq) continue;
    Live& live = live_of(*piped.work);
    live.progress = std::move(e.progress);
    live.progress_unsent = true;
    return show(*piped.work);
  }
}

void Supervisor::take_follow(const Held& attempt) {
  Work* work = works_.find(attempt.token);
  if (!work || work->place == Place::Ended) return;
  if (followed_.size() >= limits::kMaxFollowed && !(work->live && work->live->followed)) return;
  Live& live = live_of(*work);
  live.follow_until = now_ + limits::kFollowFor;
  if (std::exchange(live.followed, true)) return;
  followed_.push_back(attempt.token);
  follow_at_ = now_;
}

void Supervisor::look_at_followed() {
  if (follow_at_ > now_) return;
  std::erase_if(followed_, [&](Token token) {
    Work* work = works_.find(token);
    if (!work || work->place == Place::Ended) return true;
    return !(work->live->followed = work->live->follow_until > now_);
  });
  follow_at_ = followed_.empty() ? Instant::never() : now_ + limits::kLiveEach;
  for (const Token token : followed_) {
    const Work& work = *works_.find(token);
    if (work.place != Place::Piped) continue;
    const Executor& executor = *work.executor;
    const auto at = std::find_if(executor.pipe.begin(), executor.pipe.end(),
                                 [&](const Executor::Piped& piped) { return piped.work == &work; });
    const bool runs = executor.side_by_side() || (at == executor.pipe.begin() && executor.begun != Instant::never());
    if (runs) command(command::ReadOutput{executor.no, at->seq, work.live->read});
  }
}

void Supervisor::on(event::OutputRead& e) {
  Executor* executor = find(e.no);
  if (!executor) return;
  for (const Executor::Piped& piped : executor->pipe)
    if (piped.seq == e.seq) return take_output(*piped.work, std::move(e.part));
}

void Supervisor::take_output(Work& work, OutputPart part) {
  if (!work.live || part.end <= work.live->read) return;
  Live& live = *work.live;
  live.read = part.end;
  if (part.text.empty()) return;
  make_room(live, part.text.size());
  const bool gap = part.from > live.from + live.text.size();
  if (live.text.empty() || gap) {
    live.from = part.from;
    live.text.clear();
  }
  live.text += part.text;
  show(work);
}

// Also of attempts that end with this message: what they show last goes before their end.
void Supervisor::fill_live(WorkerMessage& message) {
  std::size_t bytes = 0, filled = 0;
  for (const Token token : showing_) {
    Work* work = works_.find(token);
    if (work && bytes + work->live->text.size() > limits::kLiveMessage) break;
    ++filled;
    if (!work) continue;
    Live& live = *work->live;
    bytes += live.text.size();
    LiveReport& report = message.live.emplace_back();
    report.attempt = work->held();
    report.has_progress = std::exchange(live.progress_unsent, false);
    if (report.has_progress) report.progress = live.progress;
    report.from = live.from;
    live.from += live.text.size();
    report.text = std::exchange(live.text, {});
    live.unsent = false;
  }
  if (filled > 0) show_at_ = now_ + limits::kLiveEach;
  showing_.erase(showing_.begin(), showing_.begin() + static_cast<std::ptrdiff_t>(filled));
}

}  // namespace treadle::core

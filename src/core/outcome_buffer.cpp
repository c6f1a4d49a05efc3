#include "core/outcome_buffer.h"

namespace treadle::core {
namespace {

constexpr std::size_t kMessageItems = 256;
constexpr std::uint64_t kMessageBytes = 4ull << 20;

std::uint64_t size_of(const Outcome& o) {
  return o.result.bytes.size() + o.error_type.size() + o.error_message.size() + o.traceback.size() + o.output.size();
}

}  // namespace

void OutcomeBuffer::add(Work& work) {
  work.bytes = size_of(work.outcome) + work.last_error.size();
  ++items_;
  bytes_ += work.bytes;
  say(work);
}

void OutcomeBuffer::say(Work& work) {
  if (work.unsent) return;
  work.unsent = true;
  unsent_.push_back(work.attempt.token);
}

void OutcomeBuffer::settle(Work& work) {
  --items_;
  bytes_ -= work.bytes;
  works_.remove(work);
}

void OutcomeBuffer::fill(Instant now, WorkerMessage& message) {
  forget_settled();
  std::uint64_t bytes = 0;
  for (std::size_t items = 0; !unsent_.empty() && items < kMessageItems && bytes < kMessageBytes; unsent_.pop_front()) {
    Work* work = works_.find(unsent_.front());
    if (!work) continue;  // settled while it waited to be said again
    work->unsent = false;
    ++items;
    bytes += work->bytes;
    said_.push_back({work->attempt.token, now});
    if (work->given_back) {
      message.given_back.push_back({work->held(), work->why, work->last_error, work->outcome});
    } else {
      message.outcomes.push_back({work->held(), work->outcome});
    }
  }
}

void OutcomeBuffer::forget_settled() {
  while (!said_.empty() && !works_.find(said_.front().token)) said_.pop_front();
}

void OutcomeBuffer::say_all_again() {
  said_.clear();
  works_.each([this](Work& work) {
    if (work.place == Place::Ended) say(work);
  });
}

void OutcomeBuffer::say_overdue_again(Instant now) {
  for (; repeat_at() <= now; said_.pop_front()) {
    if (Work* work = works_.find(said_.front().token)) say(*work);
  }
}

}  // namespace treadle::core

#include "store/live_table.h"

#include <utility>

namespace treadle::store {
namespace {

constexpr std::uint64_t kEntry = 256;  // bytes of one beside its texts

// The newest limits::kLiveText bytes, from the beginning of a character on.
void keep_newest(LiveView& view) {
  if (view.text.size() <= core::limits::kLiveText) return;
  std::size_t cut = view.text.size() - core::limits::kLiveText;
  while (cut < view.text.size() && (static_cast<unsigned char>(view.text[cut]) & 0xC0) == 0x80) ++cut;
  view.from += cut;
  view.text.erase(0, cut);
}

void add_output(LiveView& view, const core::LiveReport& report) {
  if (report.text.empty()) return;
  const std::uint64_t end = view.from + view.text.size();
  if (report.from + report.text.size() <= end) return;  // it came twice
  if (view.text.empty() || report.from != end) {
    view.from = report.from;
    view.text.clear();
  }
  view.text += report.text;
  keep_newest(view);
}

}  // namespace

const LiveView& LiveTable::add(const core::LiveItem& item, WallMs now) {
  const TaskId task = item.report.attempt.task;
  last_ = find(task);
  if (item.number < last_.attempt) return last_;
  if (item.number > last_.attempt) last_ = {};
  last_.attempt = item.number;
  if (item.report.has_progress) {
    last_.progress = item.report.progress;
    last_.at = now;
  }
  add_output(last_, item.report);
  tasks_.put(task, last_, kEntry + last_.text.size() + last_.progress.note.size());
  return last_;
}

LiveView LiveTable::find(TaskId task) {
  const LiveView* found = tasks_.find(task);
  return found ? *found : LiveView{};
}

}  // namespace treadle::store

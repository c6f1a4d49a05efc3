#include "gateway/waiting_words.h"

#include <algorithm>

#include "gateway/time_text.h"

namespace treadle::gateway {
namespace {

bool is_default(std::string_view queue) { return queue.empty() || queue == "default"; }

bool serves(const store::WorkerReport& worker, const std::string& queue) {
  const auto& queues = worker.info.queues;
  if (is_default(queue) && queues.empty()) return true;
  return std::any_of(queues.begin(), queues.end(),
                     [&](const std::string& one) { return one == queue || (is_default(one) && is_default(queue)); });
}

}  // namespace

std::string waiting_words(const store::TaskStory& story, const std::vector<store::WorkerReport>& workers, WallMs now) {
  if (story.view.state != core::TaskState::Queued) return {};
  if (story.not_before > now) return "It was asked to wait until " + rfc3339(story.not_before) + ".";
  const std::string& queue = story.options.queue;
  const std::string labels = core::scheduling_of(story.options.more).labels;
  std::size_t ready = 0, serving = 0;
  for (const store::WorkerReport& worker : workers) {
    if (worker.state != "ready") continue;
    ++ready;
    if (!serves(worker, queue)) continue;
    ++serving;
    if (core::has_labels(worker.info.labels, labels)) return {};
  }
  if (ready == 0) return "There is no ready worker. Start one; the task stays queued until then.";
  const std::string name = is_default(queue) ? "default" : queue;
  if (serving == 0) return "No ready worker serves the queue " + name + ". Start one that does: --queue " + name + ".";
  std::string flags = labels;
  for (std::size_t at = 0; (at = flags.find(' ', at)) != std::string::npos; at += 9) flags.replace(at, 1, " --label ");
  return "None of the " + std::to_string(serving) + " ready workers of the queue " + name +
         " has all of its labels. Start one that has: --label " + flags + ".";
}

}  // namespace treadle::gateway

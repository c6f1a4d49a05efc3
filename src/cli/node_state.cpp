// SIGUSR1: what this process has on its hands, on one screen, as lines of "state.part name=value ...".
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "cli/node.h"
#include "core/limits.h"

namespace treadle::cli {
namespace {

constexpr std::size_t kWorkersShown = 16;
constexpr std::size_t kTasksShown = 4;  // of each worker

class Line {
 public:
  explicit Line(const std::string& part) : text_("state." + part) {}
  Line& add(const char* name, const std::string& value) {
    const bool quoted = value.empty() || value.find(' ') != std::string::npos;
    text_ += std::string(" ") + name + "=" + (quoted ? "\"" + value + "\"" : value);
    return *this;
  }
  Line& add(const char* name, const char* value) { return add(name, std::string(value)); }
  Line& add(const char* name, bool value) { return add(name, value ? "yes" : "no"); }
  template <class Number>
  Line& add(const char* name, Number value) {
    return add(name, std::to_string(value));
  }
  std::string text() const { return text_ + "\n"; }

 private:
  std::string text_;
};

std::string store_lines(const store::Store& store) {
  const store::Counters c = store.counters();
  return Line("store").add("what", store.describe()).add("waiters", c.waiters).text() +
         Line("queue")
             .add("queued", c.queued)
             .add("queued_bytes", c.queued_bytes)
             .add("delayed", c.delayed)
             .add("claimed", c.claimed)
             .add("running", c.running)
             .text() +
         Line("totals")
             .add("submitted", c.submitted)
             .add("completed", c.completed)
             .add("failed", c.failed)
             .add("requeued", c.requeued)
             .add("adopted", c.adopted)
             .add("reaped", c.reaped)
             .add("stale", c.stale)
             .add("duplicate", c.duplicate)
             .text();
}

std::string worker_line(const core::WorkerView& view, Instant now) {
  Line line("worker");
  line.add("id", to_string(view.worker)).add("host", view.info.host).add("pid", view.info.pid);
  line.add("slots", view.info.slots).add("free", view.free_slots).add("attempts", view.load);
  line.add("running", view.running).add("draining", view.draining);
  if (!view.info.in_process) line.add("silent_ms", (now - view.last_heartbeat) / 1ms);
  std::string tasks;
  for (std::size_t i = 0; i < std::min(view.current_tasks.size(), kTasksShown); ++i)
    tasks += (i > 0 ? "," : "") + to_string(view.current_tasks[i]);
  if (!tasks.empty()) line.add("tasks", tasks + (view.current_tasks.size() > kTasksShown ? ",..." : ""));
  return line.text();
}

std::string dispatcher_lines(const core::Dispatcher& core, Instant now) {
  const core::DispatcherFigures f = core.figures();
  std::string text = Line("dispatcher")
                         .add("session", to_string(core.session()))
                         .add("live", f.session_live)
                         .add("other_sessions", f.other_sessions)
                         .add("draining", f.draining)
                         .add("workers", f.workers)
                         .add("lost_workers", f.lost_workers)
                         .add("slots", core.slots())
                         .add("free_slots", core.free_slots())
                         .text() +
                     Line("attempts")
                         .add("held", f.held)
                         .add("unplaced", f.unplaced)
                         .add("ending", f.ending)
                         .add("credit", f.credit)
                         .add("claiming", f.claiming)
                         .add("parked_requests", f.parked)
                         .add("bodies_wanted", f.bodies_wanted)
                         .text();
  const auto workers = core.workers();
  for (std::size_t i = 0; i < std::min(workers.size(), kWorkersShown); ++i) text += worker_line(workers[i], now);
  if (workers.size() > kWorkersShown)
    text += Line("workers_not_shown").add("count", workers.size() - kWorkersShown).text();
  return text;
}

std::string wire_line(const transport::WireCounters& c) {
  return Line("wire")
      .add("received", c.received)
      .add("sent", c.sent)
      .add("malformed", c.malformed)
      .add("unroutable", c.unroutable)
      .add("blob_parts", c.blob_parts)
      .add("probes", c.probes)
      .text();
}

std::string supervisor_line(const core::SupervisorView& view, const std::string& dispatcher) {
  return Line("supervisor")
      .add("dispatcher", dispatcher.empty() ? "in this process" : dispatcher)
      .add("registered", view.registered)
      .add("slots", view.slots)
      .add("slots_used", view.slots_used)
      .add("waiting", view.waiting)
      .add("piped", view.piped)
      .add("held", view.held)
      .add("unsettled", view.unsettled)
      .add("executors", view.executors)
      .add("idle_executors", view.idle)
      .text();
}

std::string limits_line() {
  namespace l = core::limits;
  return Line("limits")
      .add("queued", l::kMaxQueued)
      .add("queued_bytes", l::kMaxQueuedBytes)
      .add("waiters", l::kMaxWaiters)
      .add("batch", l::kBatch)
      .add("max_losses", l::kMaxAttempts)
      .add("max_kills", l::kMaxKills)
      .add("worker_lease_ms", l::kWorkerLease / 1ms)
      .add("session_ttl_ms", l::kSessionTtl / 1ms)
      .text();
}

}  // namespace

void Node::print_state() const {
  std::string text = Line("process").add("role", options_.verb).add("pid", getpid()).add("stopping", stopping_).text();
  if (store_) text += store_lines(*store_);
  if (dispatch_) text += dispatcher_lines(dispatch_->core(), clock_.now());
  if (dispatcher_link_) text += wire_line(dispatcher_link_->counters());
  if (worker_) text += supervisor_line(worker_->core().view(), options_.dispatcher_endpoint);
  if (fleet_) text += Line("fleet").add("workers", fleet_->workers().size()).text();
  text += limits_line();
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace treadle::cli

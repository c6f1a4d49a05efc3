// GET /v1/stats: what the store counts, and the workers as their dispatchers last reported them.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "gateway/handlers.h"
#include "gateway/json_writer.h"
#include "gateway/queue_age.h"
#include "gateway/service.h"

namespace treadle::gateway {
namespace {

struct Fleet {
  std::uint64_t slots = 0, free = 0, ready = 0, draining = 0, lost = 0;
};

Fleet count(const std::vector<store::WorkerReport>& workers) {
  Fleet fleet;
  for (const store::WorkerReport& worker : workers) {
    if (worker.state == "lost") {
      ++fleet.lost;
      continue;
    }
    ++(worker.state == "draining" ? fleet.draining : fleet.ready);
    fleet.slots += worker.info.slots;
    fleet.free += worker.free_slots;
  }
  return fleet;
}

WallMs oldest(const std::vector<store::QueueReport>& queues) {
  WallMs since;
  for (const store::QueueReport& queue : queues)
    if (queue.oldest.ms != 0 && (since.ms == 0 || queue.oldest.ms < since.ms)) since = queue.oldest;
  return since;
}

std::string stats_text(const store::Counters& figures, const Fleet& fleet, WallMs since, WallMs now) {
  JsonWriter json;
  json.begin_object().key("tasks").begin_object();
  json.member("queued", figures.queued).member("claimed", figures.claimed).member("running", figures.running);
  json.member("delayed", figures.delayed).end_object().key("ever").begin_object();
  json.member("submitted", figures.submitted).member("completed", figures.completed);
  json.member("failed", figures.failed).member("requeued", figures.requeued).end_object();
  json.key("queue").begin_object().member("length", figures.queued - std::min(figures.delayed, figures.queued));
  json.member("bytes", figures.queued_bytes);
  write_age(json, "oldest_seconds", since, now);
  json.end_object();
  json.key("slots").begin_object().member("total", fleet.slots).member("free", fleet.free).end_object();
  json.key("workers").begin_object().member("ready", fleet.ready).member("draining", fleet.draining);
  json.member("lost", fleet.lost).end_object();
  return json.member("requests_waiting", figures.waiters).end_object().take();
}

}  // namespace

void v1_stats(Service& service, const Request&, Responder out) {
  service.store.workers([self = service.shared_from_this(),
                         out = std::move(out)](Result<std::vector<store::WorkerReport>> workers) mutable {
    if (!workers) return out.fail(workers.error());
    self->store.queues(
        [self, fleet = count(*workers), out = std::move(out)](Result<std::vector<store::QueueReport>> queues) mutable {
          if (!queues) return out.fail(queues.error());
          out.send(200, stats_text(self->store.counters(), fleet, oldest(*queues), self->clock.wall()));
        });
  });
}

}  // namespace treadle::gateway

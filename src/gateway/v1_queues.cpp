// GET /v1/queues, and to stop and go on with one of them.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/limits.h"
#include "gateway/errors.h"
#include "gateway/handlers.h"
#include "gateway/json_writer.h"
#include "gateway/option_fields.h"
#include "gateway/queue_age.h"
#include "gateway/service.h"

namespace treadle::gateway {
namespace {

void write_queue(JsonWriter& to, const store::QueueReport& queue, WallMs now) {
  to.begin_object().member("name", queue.name).member("queued", queue.queued).member("running", queue.running);
  write_age(to, "oldest_seconds", queue.oldest, now);
  to.member("paused", queue.paused).end_object();
}

void set_paused(Service& service, const Request& request, Responder out, bool paused) {
  const std::string queue(request.params[0]);
  if (!is_queue_name(queue)) {
    return out.fail(fail(Code::Invalid, "A queue's name has 1 to " + std::to_string(core::limits::kMaxQueueName) +
                                            " letters, digits, '.', '_' and '-'; GET /v1/queues names those that "
                                            "there are."));
  }
  service.store.pause_queue(queue, paused, [queue, paused, out = std::move(out)](Result<void> done) mutable {
    if (!done) return out.fail(done.error());
    JsonWriter json;
    json.begin_object().member("name", queue).member("paused", paused).end_object();
    out.send(200, json.take());
  });
}

}  // namespace

void write_age(JsonWriter& to, std::string_view name, WallMs since, WallMs now) {
  to.key(name);
  if (since.ms == 0)
    to.null();
  else
    to.value(static_cast<double>(std::max<std::int64_t>(now.ms - since.ms, 0)) / 1000);
}

void v1_queues(Service& service, const Request&, Responder out) {
  service.store.queues([self = service.shared_from_this(),
                        out = std::move(out)](Result<std::vector<store::QueueReport>> queues) mutable {
    if (!queues) return out.fail(queues.error());
    JsonWriter json;
    json.begin_object().key("queues").begin_array();
    for (const store::QueueReport& queue : *queues) write_queue(json, queue, self->clock.wall());
    out.send(200, json.end_array().end_object().take());
  });
}

void v1_pause_queue(Service& service, const Request& request, Responder out) {
  set_paused(service, request, std::move(out), true);
}
void v1_resume_queue(Service& service, const Request& request, Responder out) {
  set_paused(service, request, std::move(out), false);
}

}  // namespace treadle::gateway

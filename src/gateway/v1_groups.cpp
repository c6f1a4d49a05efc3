// GET /v1/groups/{group}/results: what a group's tasks ended in, as a stream.
#include <memory>
#include <string>
#include <utility>

#include "core/limits.h"
#include "gateway/errors.h"
#include "gateway/handlers.h"
#include "gateway/query.h"
#include "gateway/service.h"

namespace treadle::gateway {

void v1_group_results(Service& service, const Request& request, Responder out) {
  QueryReader query(request.query);
  const auto stream = std::make_shared<GroupStream>();
  stream->group = request.params[0];
  stream->follow = query.flag("follow");
  stream->events = accepts(request.accept, "text/event-stream");
  const auto cursor = query.text("cursor");
  stream->resumed = cursor.has_value() || !request.last_event_id.empty();
  // A browser that reconnects asks with the address that it began with.
  stream->cursor = stream->events && !request.last_event_id.empty() ? request.last_event_id : cursor.value_or("");
  if (stream->group.size() > core::limits::kMaxGroupName)
    query.fail_with(
        fail(Code::Invalid, "A group's name has at most " + std::to_string(core::limits::kMaxGroupName) + " bytes."));
  if (auto sound = query.finish(); !sound) return out.fail(sound.error());
  if (service.draining) return out.fail(no_new_work());
  stream->out = std::move(out);
  service.streams.begin(stream);
}

}  // namespace treadle::gateway

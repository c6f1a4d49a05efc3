// A task as /v1 shows it.
#pragma once

#include "base/time.h"
#include "gateway/json_writer.h"
#include "store/store.h"

namespace treadle::gateway {

// The members of the task's object, into an object that is open. `now` ends the durations of a task that goes on.
void write_story(JsonWriter& to, const store::TaskStory& story, const store::LiveView& live, WallMs now);
// What it wrote, and whether that is all.
void write_logs(JsonWriter& to, const store::TaskStory& story);
// A row of a list: id, function, status, error kind, attempts.
void write_row(JsonWriter& to, const store::TaskView& view);

}  // namespace treadle::gateway

#include "gateway/story_json.h"

#include <algorithm>
#include <string>

#include "core/death_words.h"
#include "gateway/option_fields.h"
#include "gateway/time_text.h"

namespace treadle::gateway {
namespace {

using core::ErrorKind;

void text_or_null(JsonWriter& to, std::string_view name, std::string_view text) {
  to.key(name);
  if (text.empty())
    to.null();
  else
    to.value(text);
}

// The instants of the last attempt. Its start is reported late, or not at all if it was short; but its worker measured
// how long it ran.
struct Timeline {
  WallMs accepted, claimed, started, finished;

  explicit Timeline(const store::TaskStory& story)
      : accepted(story.accepted), claimed(story.claimed), started(story.started), finished(story.finished) {
    const core::Measures& m = story.measures;
    if (finished.ms == 0 || m.finished_ns <= m.started_ns || m.started_ns == 0) return;
    started.ms = std::max(claimed.ms, finished.ms - (m.finished_ns - m.started_ns) / 1'000'000);
  }
};

void write_timeline(JsonWriter& to, const Timeline& times, const store::TaskStory& story) {
  const auto one = [&](std::string_view name, WallMs time) {
    text_or_null(to, name, time.ms == 0 ? "" : rfc3339(time));
  };
  to.key("timeline").begin_object();
  one("accepted", times.accepted);
  one("not_before", story.not_before);
  one("expires", story.expires);
  one("claimed", times.claimed);
  one("started", times.started);
  one("finished", times.finished);
  to.end_object();
}

// waiting + starting + running = total, whatever is missing and whichever way the wall clock stepped.
void write_durations(JsonWriter& to, const Timeline& times, WallMs now) {
  const std::int64_t end = std::max(times.accepted.ms, times.finished.ms != 0 ? times.finished.ms : now.ms);
  const auto within = [&](WallMs time, std::int64_t least) {
    return time.ms == 0 ? end : std::clamp(time.ms, least, end);
  };
  const std::int64_t claimed = within(times.claimed, times.accepted.ms);
  const std::int64_t started = within(times.started, claimed);
  to.key("durations").begin_object();
  to.member("waiting", seconds_of(claimed - times.accepted.ms)).member("starting", seconds_of(started - claimed));
  to.member("running", seconds_of(end - started)).member("total", seconds_of(end - times.accepted.ms));
  to.end_object();
}

void write_error(JsonWriter& to, const store::TaskStory& story) {
  to.key("error");
  if (story.view.error_kind == ErrorKind::None) {
    to.null();
    return;
  }
  to.begin_object().member("kind", core::name_of(story.view.error_kind));
  to.member("type", story.error_type).member("message", story.error_message);
  text_or_null(to, "traceback", story.traceback);
  to.member("ended_by", core::ended_by(story.view.error_kind, story.measures));
  to.end_object();
}

// What the running attempt said of itself last.
void write_progress(JsonWriter& to, const store::LiveView& live) {
  to.key("progress");
  if (live.at.ms == 0) {
    to.null();
    return;
  }
  to.begin_object().key("fraction");
  if (live.progress.ppm < 0)
    to.null();
  else
    to.value(static_cast<double>(live.progress.ppm) / 1e6);
  to.member("note", live.progress.note).member("at", rfc3339(live.at));
  to.end_object();
}

void write_measures(JsonWriter& to, const core::Measures& m) {
  to.key("measures").begin_object();
  if (m.started_ns != 0 && m.finished_ns >= m.started_ns)
    to.member("run_seconds", static_cast<double>(m.finished_ns - m.started_ns) / 1e9);
  if (m.cpu_us != 0) to.member("cpu_seconds", static_cast<double>(m.cpu_us) / 1e6);
  if (m.peak_rss != 0) to.member("peak_rss_bytes", m.peak_rss);
  if (m.exit_code != 0) to.member("exit_code", m.exit_code);
  if (m.signal != 0) to.member("signal", m.signal).member("signal_name", core::signal_name(m.signal));
  to.end_object();
}

}  // namespace

void write_row(JsonWriter& to, const store::TaskView& view) {
  to.member("task_id", to_string(view.id)).member("function_id", to_string(view.function));
  to.member("status", core::public_name(view.state)).member("attempts", view.attempt);
}

void write_logs(JsonWriter& to, const store::TaskStory& story) {
  to.member("task_id", to_string(story.view.id)).member("status", core::public_name(story.view.state));
  to.member("attempts", story.view.attempt).member("output", story.output);
  to.member("final", core::is_terminal(story.view.state));
}

void write_story(JsonWriter& to, const store::TaskStory& story, const store::LiveView& live, WallMs now) {
  write_row(to, story.view);
  to.member("losses", story.losses).member("kills", story.kills);
  text_or_null(to, "worker", story.worker);
  to.member("cancel_requested", story.cancel_requested);
  text_or_null(to, "last_error", story.last_error);
  write_error(to, story);
  to.member("output", story.output);
  write_progress(to, live);
  to.member("now", rfc3339(now));
  const Timeline times(story);
  write_timeline(to, times, story);
  write_durations(to, times, now);
  write_measures(to, story.measures);
  to.key("options");
  write_options(to, story.options);
  text_or_null(to, "group", story.group);
  to.member("result_bytes", story.result_bytes);
}

}  // namespace treadle::gateway

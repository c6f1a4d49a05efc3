#include "gateway/group_streams.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/base64.h"
#include "core/limits.h"
#include "gateway/json_writer.h"
#include "gateway/service.h"

namespace treadle::gateway {
namespace {

namespace limits = core::limits;

constexpr Duration kGather = 5ms;     // after a page with ends: the next ones come together
constexpr Duration kLongest = 200ms;  // between two pages of a group in which nothing ends, however much else does
constexpr Duration kBackstop = 1s;    // hints may be lost
constexpr std::string_view kStopping = "The service stops; go on with the cursor when it is back.";
constexpr std::string_view kNdjson = "application/x-ndjson";
constexpr std::string_view kEventStream = "text/event-stream";

void write_end(JsonWriter& to, const store::GroupEnd& end) {
  to.begin_object().member("task_id", to_string(end.view.id)).member("status", core::public_name(end.view.state));
  to.key("error");
  if (end.view.error_kind == core::ErrorKind::None) {
    to.null();
  } else {
    to.begin_object().member("kind", core::name_of(end.view.error_kind)).member("type", end.error_type);
    to.member("message", end.error_message).end_object();
  }
  to.member("result_bytes", end.result_bytes).key("result");
  if (end.result_bytes > limits::kInline) {
    to.null().member("result_url", "/v1/tasks/" + to_string(end.view.id) + "/result");
  } else {
    std::string text = "\"";
    base64_encode(end.view.result.bytes.view(), text);
    to.raw(text += '"');
  }
  to.member("cursor", end.cursor).end_object();
}

void append_event(std::string& out, bool events, std::string_view name, std::string_view id, std::string_view json) {
  if (!events) {
    out += json;
    out += '\n';
    return;
  }
  out += "id: ";
  out += id;
  out += "\nevent: ";
  out += name;
  out += "\ndata: ";
  out += json;
  out += "\n\n";
}

std::string text_of(const GroupStream& stream, const store::GroupPage& page) {
  std::string text;
  for (const store::GroupEnd& end : page.ends) {
    JsonWriter json;
    write_end(json, end);
    append_event(text, stream.events, "task", end.cursor, json.take());
  }
  return text;
}

}  // namespace

bool GroupStream::read(std::string& out, std::size_t most) {
  const std::size_t some = std::min(most, text.size());
  out.append(text, 0, some);
  text.erase(0, some);
  return !over || !text.empty();
}

void GroupStream::put(std::string_view some) {
  text += some;
  if (const auto to = client.lock()) to->more_to_send();
}

bool GroupStream::gone() const {
  const auto to = client.lock();
  return !to || to->gone();
}

void GroupStreams::begin(const Ref& stream) {
  forget_ended();
  if (all_.size() >= limits::kMaxStreams) {
    return stream->out.fail(fail(Code::Full, std::to_string(limits::kMaxStreams) +
                                                 " streams of results are open already, which is the limit. Ask again "
                                                 "later, or wait for the tasks with POST /v1/tasks:wait."));
  }
  if (!std::exchange(listening_, true)) {
    service_.store.on_end([this] {
      for (const auto& one : all_)
        if (const Ref held = one.lock()) held->heard = true;
    });
  }
  stream->client = stream->out.weak_sink();
  all_.push_back(stream);
  read(stream);
}

void GroupStreams::forget_ended() {
  std::erase_if(all_, [](const auto& one) {
    const Ref stream = one.lock();
    return !stream || stream->over || stream->gone();
  });
  if (all_.empty() && std::exchange(listening_, false)) service_.store.on_end({});
}

// When the next page is asked for; never: something else must come first.
Instant GroupStreams::due(const GroupStream& stream) const {
  if (stream.reading || !stream.text.empty()) return Instant::never();
  if (stream.more) return Instant{};
  return stream.read_at + (stream.heard ? stream.gap : kBackstop);
}

bool GroupStreams::turn(Instant now) {
  forget_ended();
  std::vector<Ref> ready;
  for (const auto& one : all_)
    if (Ref stream = one.lock(); due(*stream) <= now) ready.push_back(std::move(stream));
  for (const Ref& stream : ready) read(stream);
  return !ready.empty();
}

Instant GroupStreams::next_due() const {
  Instant next = Instant::never();
  for (const auto& one : all_)
    if (const Ref stream = one.lock(); stream && !stream->over) next = std::min(next, due(*stream));
  return next;
}

void GroupStreams::read(const Ref& stream) {
  stream->reading = true;
  stream->heard = stream->more = false;
  store::GroupFilter filter;
  filter.group = stream->group;
  filter.cursor = stream->cursor;
  filter.limit = limits::kStreamRows;
  filter.max_bytes = limits::kStreamBytes;
  service_.store.group_ends(std::move(filter),
                            [self = service_.shared_from_this(), stream](Result<store::GroupPage> page) {
                              self->streams.take(stream, std::move(page));
                            });
}

// The head of the answer. False: there is none, and the request is answered.
bool GroupStreams::open(const Ref& stream, const store::GroupPage& page) {
  if (!page.known && !stream->follow) {
    stream->out.fail(fail(Code::NotFound, "There are no tasks of a group \"" + stream->group +
                                              "\" (or not any more). Add follow=1 to wait for the first."));
    return false;
  }
  const bool over = !page.open && !page.more && page.ends.empty() && !stream->follow;
  Response response;
  if (over && stream->resumed && stream->events) {  // tells a browser's EventSource to ask no more
    response.status = 204;
    stream->out.send(std::move(response));
    return false;
  }
  response.content_type = stream->events ? kEventStream : kNdjson;
  response.headers = "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n";
  response.stream = stream;
  stream->out.send(std::move(response));
  return true;
}

void GroupStreams::take(const Ref& stream, Result<store::GroupPage> page) {
  if (stream->over) return;  // abandoned
  const Instant now = service_.clock.now();
  stream->reading = false;
  stream->read_at = now;
  if (!page) {
    if (!stream->out) return finish(stream, "failed", page.error().message);
    return stream->out.fail(page.error());
  }
  if (stream->out) {
    stream->put_at = now;
    if (!open(stream, *page)) return;
  }
  if (!page->cursor.empty()) stream->cursor = page->cursor;
  stream->more = page->more;
  stream->gap = page->ends.empty() ? std::clamp(stream->gap * 2, kGather, kLongest) : kGather;
  if (!page->ends.empty() || now - stream->put_at >= limits::kStreamPing) {
    stream->put(page->ends.empty() ? (stream->events ? ":\n\n" : "\n") : text_of(*stream, *page));
    stream->put_at = now;
  }
  if (!page->open && !page->more && !stream->follow) return finish(stream, "finished", "");
  if (service_.draining) finish(stream, "stopping", kStopping);
}

void GroupStreams::finish(const Ref& stream, std::string_view how, std::string_view detail) {
  JsonWriter json;
  json.begin_object().member("end", how);
  if (!detail.empty()) json.member("detail", detail);
  json.member("cursor", stream->cursor).end_object();
  std::string text;
  append_event(text, stream->events, "end", stream->cursor, json.take());
  stream->over = true;
  stream->put(text);
}

void GroupStreams::release_all() {
  forget_ended();
  for (const auto& one : all_)
    if (const Ref stream = one.lock(); stream && !stream->reading) finish(stream, "stopping", kStopping);
}

void GroupStreams::abandon() {
  for (const auto& one : std::exchange(all_, {}))
    if (const Ref stream = one.lock()) stream->over = true;
  if (std::exchange(listening_, false)) service_.store.on_end({});
}

}  // namespace treadle::gateway

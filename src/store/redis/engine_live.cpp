// What running tasks show of themselves, for gateways in other processes: one key for each, as JSON that people can
// read in Redis, which is forgotten soon. Nothing here is repeated or waited for.
#include <utility>

#include <boost/json.hpp>

#include "store/redis/engine.h"

namespace treadle::store::redis {
namespace {

namespace json = boost::json;

constexpr const char* kKeptMs = "60000";  // after the last word
constexpr const char* kFollow = "treadle:follow";

std::string text_of(const LiveView& view) {
  return json::serialize(json::object{{"attempt", view.attempt},
                                      {"ppm", view.progress.ppm},
                                      {"note", view.progress.note},
                                      {"at", view.at.ms},
                                      {"from", view.from},
                                      {"text", view.text}});
}

std::int64_t number_at(const json::object& from, const char* name, std::int64_t otherwise) {
  const json::value* value = from.if_contains(name);
  return value && value->is_int64() ? value->get_int64() : otherwise;
}

std::string text_at(const json::object& from, const char* name) {
  const json::value* value = from.if_contains(name);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

// Anybody may have written it: what is no view is none.
LiveView view_of(std::string_view text) {
  boost::system::error_code error;
  const json::value value = json::parse(json::string_view(text.data(), text.size()), error);
  LiveView view;
  if (error || !value.is_object()) return view;
  const json::object& from = value.get_object();
  view.attempt = static_cast<std::uint32_t>(number_at(from, "attempt", 0));
  view.progress.ppm = static_cast<std::int32_t>(number_at(from, "ppm", -1));
  view.progress.note = text_at(from, "note");
  view.at = WallMs{number_at(from, "at", 0)};
  view.from = static_cast<std::uint64_t>(number_at(from, "from", 0));
  view.text = text_at(from, "text");
  return view;
}

}  // namespace

void Engine::report_live(std::vector<core::LiveItem> items) {
  if (closed_) return;
  const WallMs wall = clock_.wall();
  for (const core::LiveItem& item : items) {
    const LiveView& view = live_.add(item, wall);
    const std::string name = "treadle:live:" + to_string(item.report.attempt.task);
    caller_.send(Command{"SET", key(name), text_of(view), "PX", kKeptMs}, [](Result<Reply>) {});
  }
}

void Engine::live(TaskId id, bool follow, Done<Result<LiveView>> done) {
  if (auto error = closed()) return done(std::move(*error));
  if (follow) caller_.send(Command{"PUBLISH", kFollow, to_string(id)}, [](Result<Reply>) {});
  caller_.send(Command{"GET", key("treadle:live:" + to_string(id))},
               [done = std::move(done)](Result<Reply> reply) mutable {
                 if (!reply) return done(std::move(reply.error()));
                 done(view_of(reply->text));
               });
}

}  // namespace treadle::store::redis

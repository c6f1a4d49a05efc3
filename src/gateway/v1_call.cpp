#include "gateway/v1_call.h"

#include <algorithm>
#include <utility>

#include <boost/json/string.hpp>
#include <boost/json/value.hpp>

#include "core/limits.h"
#include "gateway/digest.h"
#include "gateway/fields.h"
#include "gateway/json_pickle.h"
#include "gateway/payload_reader.h"
#include "gateway/time_text.h"

namespace treadle::gateway {
namespace {

namespace json = boost::json;
namespace limits = core::limits;

Result<core::Payload> decode(std::string_view text, std::uint64_t max_payload) {
  PayloadReader reader;
  reader.start(max_payload, text.size(), /*digest=*/false);
  reader.decode(text);
  return reader.finish(/*function=*/false);
}

Error in_front(const std::string& where, Error error) {
  error.message = where + error.message;
  return error;
}

// The arguments: a pickle in base64, or JSON.
Result<core::Payload> read_arguments(const CallSource& source, FieldReader& fields) {
  const json::value* text = fields.any("payload");
  const json::array* args = fields.array("args");
  const json::object* kwargs = fields.object("kwargs");
  const bool given = text != nullptr || (source.decoded != nullptr && source.decoded->has_payload);
  if (given && (args != nullptr || kwargs != nullptr)) {
    return fail(Code::Invalid,
                source.where + "payload excludes args and kwargs: send the pickled arguments or JSON ones, not both.");
  }
  if (source.decoded != nullptr && source.decoded->has_payload) return std::move(source.decoded->payload);
  if (text == nullptr) return pickle_arguments(args, kwargs);
  const json::string* base64 = text->if_string();
  if (base64 == nullptr) {
    fields.wrong("payload", "a string");
    return core::Payload{};  // finish() tells
  }
  auto payload = decode({base64->data(), base64->size()}, source.max_payload);
  if (!payload) return in_front(source.where, std::move(payload.error()));
  return payload;
}

FunctionId read_function_id(FieldReader& fields) {
  const auto id = fields.text("function_id", limits::kMaxFunctionName);
  fields.need("function_id", id.has_value());
  const auto function = id ? FunctionId::parse(*id) : std::nullopt;
  if (id && !function)
    fields.wrong("function_id", "a UUID like 71ed469b-bc52-45d5-89ae-b21aa40760c9, as POST /v1/functions answered it");
  return function.value_or(FunctionId());  // finish() tells
}

// Seconds from its acceptance on, or an instant.
void read_deadline(FieldReader& fields, Call& call) {
  const auto within = fields.milliseconds("expires_in", limits::kMaxExpiresInS, /*zero=*/false);
  call.submission.deadline_ms = within.value_or(0);
  const auto instant = fields.instant("deadline");
  if (!instant) return;
  if (within) return fields.fail_with(fail(Code::Invalid, "deadline excludes expires_in: send the one or the other."));
  call.deadline = std::max(*instant, WallMs{1});  // 0 is none
}

void read_waiting(FieldReader& fields, store::Submission& task) {
  task.delay_ms = fields.milliseconds("delay", limits::kMaxDelayS, /*zero=*/true).value_or(0);
  task.queue_ttl_ms = fields.milliseconds("queue_ttl", limits::kMaxQueueTtlS, /*zero=*/false).value_or(0);
  if (const auto group = fields.text("group", limits::kMaxGroupName)) task.group = *group;
}

}  // namespace

Result<Call> read_call(const CallSource& source) {
  FieldReader fields(source.fields, source.where);
  Call call;
  if (!source.named) call.submission.function = read_function_id(fields);
  TRY(call.submission.args, read_arguments(source, fields));
  read_waiting(fields, call.submission);
  read_deadline(fields, call);
  call.submission.idempotency_key = source.key;
  if (source.own_key) {
    if (const auto key = fields.text("idempotency_key", limits::kMaxIdempotencyKey))
      call.submission.idempotency_key = *key;
  }
  if (const json::object* options = fields.object("options")) {
    auto changes = read_options(*options, source.where + "options.");
    if (!changes)
      fields.fail_with(std::move(changes.error()));
    else
      call.changes = std::move(*changes);
  }
  if (auto sound = fields.finish(); !sound) return std::move(sound.error());
  if (call.submission.idempotency_key.empty()) return call;
  const bool known = source.decoded != nullptr && source.decoded->has_payload;
  call.args_digest = known ? source.decoded->digest : sha256(call.submission.args.bytes.view());
  return call;
}

void complete(Call& call, const core::Options& of_function, WallMs now) {
  store::Submission& task = call.submission;
  const std::int64_t expires_in_ms = task.deadline_ms;
  // One that is over already: the task is accepted, and ends Expired.
  if (call.deadline.ms != 0) task.deadline_ms = call.deadline > now ? call.deadline.ms - now.ms : -1;
  task.options = of_function;
  apply(call.changes, task.options);
  name_limit(task.function, task.options);
  if (task.idempotency_key.empty()) return;
  JsonWriter settings;
  settings.begin_array();
  write_options(settings, task.options);
  settings.value(task.delay_ms).value(task.queue_ttl_ms).value(task.group);
  // Only if it is there: keys that an earlier version took go on to mean the same calls.
  if (expires_in_ms > 0 || call.deadline.ms != 0) settings.value(expires_in_ms).value(call.deadline.ms);
  settings.end_array();
  task.body_digest = digest_of_call(task.function, call.args_digest, settings.take());
}

}  // namespace treadle::gateway

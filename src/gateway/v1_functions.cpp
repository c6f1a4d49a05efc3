// /v1/functions: register, list, show.
#include <string>
#include <utility>

#include "base/sha256.h"
#include "core/limits.h"
#include "gateway/errors.h"
#include "gateway/fields.h"
#include "gateway/form.h"
#include "gateway/handlers.h"
#include "gateway/option_fields.h"
#include "gateway/query.h"
#include "gateway/service.h"
#include "gateway/time_text.h"

namespace treadle::gateway {
namespace {

// {"function_id": ..., "name": ..., "digest": ..., "payload_bytes": ..., "options": {...}}
std::string function_text(const core::Function& function) {
  JsonWriter json;
  json.begin_object().member("function_id", to_string(function.id)).member("name", function.name);
  json.member("digest", to_string(function.digest)).member("payload_bytes", function.body.bytes.size());
  json.key("options");
  write_options(json, function.options);
  json.end_object();
  return json.take();
}

// Text of a module, that any Python of a worker compiles.
void take_source(std::string_view source, core::Function& function) {
  function.body.bytes = Buffer::of(std::string(source));
  function.body.facts.serializer = core::Serializer::Source;
  function.digest = sha256(source);
}

Result<core::Function> read_function(Form form) {
  FieldReader fields(*form.fields, "");
  core::Function function;
  const auto name = fields.text("name", core::limits::kMaxFunctionName);
  fields.need("name", name.has_value());
  const auto source = fields.text("source", core::limits::kMaxFields);
  fields.any("payload");
  fields.need("payload", form.has_payload || source);
  if (form.has_payload && source)
    fields.wrong("source", "absent where there is a \"payload\": a function is one or the other");
  if (const auto* options = fields.object("options")) {
    auto changes = read_options(*options, "options.");
    if (!changes)
      fields.fail_with(std::move(changes.error()));
    else
      apply(*changes, function.options);
  }
  if (auto sound = fields.finish(); !sound) return std::move(sound.error());
  function.name = *name;
  function.digest = form.digest;
  function.body = std::move(form.payload);
  if (source) take_source(*source, function);
  return function;
}

}  // namespace

void v1_register(Service& service, const Request& request, Responder out) {
  if (service.draining) return out.fail(no_new_work());
  auto form = request.form->finish();
  if (!form) return out.fail(form.error());
  auto function = read_function(std::move(*form));
  if (!function) return out.fail(function.error());
  function->id = service.ids.function_id();
  Response response = json_response(201, function_text(*function));
  response.headers = "Location: /v1/functions/" + to_string(function->id) + "\r\n";
  core::Options options = function->options;
  service.store.put_function(std::move(*function),
                             [self = service.shared_from_this(), options = std::move(options),
                              response = std::move(response), out = std::move(out)](Result<FunctionId> id) mutable {
                               if (!id) return out.fail(id.error());
                               self->functions.put(*id, std::move(options));
                               out.send(std::move(response));
                             });
}

void v1_function(Service& service, const Request& request, Responder out) {
  const auto id = FunctionId::parse(request.params[0]);
  if (!id) return out.fail(not_an_id("function_id", "POST /v1/functions"));
  service.store.get_function(*id, [id = *id, out = std::move(out)](Result<core::Function> found) mutable {
    if (found) return out.send(200, function_text(*found));
    if (found.error().code != Code::NotFound) return out.fail(found.error());
    out.fail(
        fail(Code::NotFound, "There is no function " + to_string(id) + ". GET /v1/functions lists what there is."));
  });
}

void v1_functions(Service& service, const Request& request, Responder out) {
  QueryReader query(request.query);
  const auto limit = static_cast<std::uint32_t>(query.integer("limit", 1, core::limits::kMaxPage).value_or(kPage));
  std::string cursor = query.text("cursor").value_or("");
  if (auto sound = query.finish(); !sound) return out.fail(sound.error());
  service.store.list_functions(
      std::move(cursor), limit,
      [limit, out = std::move(out)](Result<std::vector<store::FunctionSummary>> page) mutable {
        if (!page) return out.fail(page.error());
        JsonWriter json;
        json.begin_object().key("functions").begin_array();
        for (const store::FunctionSummary& one : *page) {
          json.begin_object().member("function_id", to_string(one.id)).member("name", one.name);
          json.member("digest", to_string(one.digest)).member("payload_bytes", one.body_bytes);
          json.member("created", rfc3339(one.created)).end_object();
        }
        json.end_array().key("next_cursor");
        if (page->size() == limit)
          json.value(page->back().cursor);
        else
          json.null();
        out.send(200, json.end_object().take());
      });
}

}  // namespace treadle::gateway

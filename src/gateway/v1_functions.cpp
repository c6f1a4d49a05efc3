// /v1/functions: register, list, show, delete.
#include <string>
#include <utility>

#include "base/sha256.h"
#include "core/limits.h"
#include "gateway/errors.h"
#include "gateway/fields.h"
#include "gateway/form.h"
#include "gateway/function_names.h"
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

Error no_function(FunctionId id) {
  return fail(Code::NotFound, "There is no function " + to_string(id) + ". GET /v1/functions lists what there is.");
}

store::FunctionFilter read_page(QueryReader& query) {
  store::FunctionFilter filter;
  filter.limit = static_cast<std::uint32_t>(query.integer("limit", 1, core::limits::kMaxPage).value_or(kPage));
  filter.cursor = query.text("cursor").value_or("");
  return filter;
}

void send_page(Service& service, store::FunctionFilter filter, bool must_exist, Responder out) {
  service.store.list_functions(
      filter, [filter, must_exist, out = std::move(out)](Result<std::vector<store::FunctionSummary>> page) mutable {
        if (!page) return out.fail(page.error());
        if (must_exist && page->empty()) return out.fail(no_function_named(filter.name));
        JsonWriter json;
        json.begin_object().key("functions").begin_array();
        for (const store::FunctionSummary& one : *page) {
          json.begin_object().member("function_id", to_string(one.id)).member("name", one.name);
          json.member("digest", to_string(one.digest)).member("payload_bytes", one.body_bytes);
          json.member("created", rfc3339(one.created)).end_object();
        }
        json.end_array().key("next_cursor");
        if (page->size() == filter.limit)
          json.value(page->back().cursor);
        else
          json.null();
        out.send(200, json.end_object().take());
      });
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
    out.fail(found.error().code == Code::NotFound ? no_function(id) : found.error());
  });
}

void v1_delete_function(Service& service, const Request& request, Responder out) {
  const auto id = FunctionId::parse(request.params[0]);
  if (!id) return out.fail(not_an_id("function_id", "POST /v1/functions"));
  service.store.delete_function(
      *id, [self = service.shared_from_this(), id = *id, out = std::move(out)](Result<bool> deleted) mutable {
        self->functions.drop(id);
        if (!deleted) return out.fail(deleted.error());
        if (!*deleted) return out.fail(no_function(id));
        Response response;
        response.status = 204;
        out.send(std::move(response));
      });
}

void v1_functions(Service& service, const Request& request, Responder out) {
  QueryReader query(request.query);
  store::FunctionFilter filter = read_page(query);
  if (const auto name = query.text("name")) {
    if (name->empty()) query.fail_with(fail(Code::Invalid, "name is empty; leave it out to list all functions."));
    filter.name = *name;
  }
  if (auto sound = query.finish(); !sound) return out.fail(sound.error());
  send_page(service, std::move(filter), /*must_exist=*/false, std::move(out));
}

void v1_function_versions(Service& service, const Request& request, Responder out) {
  QueryReader query(request.query);
  store::FunctionFilter filter = read_page(query);
  filter.name = request.params[0];
  if (auto sound = query.finish(); !sound) return out.fail(sound.error());
  const bool first = filter.cursor.empty();
  send_page(service, std::move(filter), /*must_exist=*/first, std::move(out));
}

}  // namespace treadle::gateway

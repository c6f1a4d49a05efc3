// What the service says of itself: pages, docs, health, version, metrics.
#include <string>
#include <utility>

#include "base/json_text.h"
#include "gateway/assets.h"
#include "gateway/errors.h"
#include "gateway/handlers.h"
#include "gateway/service.h"

namespace treadle::gateway {
namespace {

// Nothing from elsewhere, no inline script; Swagger UI sets styles inline.
constexpr std::string_view kPageHeaders =
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n";

class JsonObject {
 public:
  JsonObject& text(std::string_view key, std::string_view value) {
    name(key);
    append_json_string(out_, value);
    return *this;
  }
  JsonObject& number(std::string_view key, std::uint64_t value) {
    name(key);
    out_ += std::to_string(value);
    return *this;
  }
  std::string take() { return std::move(out_) + "}"; }

 private:
  void name(std::string_view key) {
    out_ += out_.size() == 1 ? "" : ",";
    append_json_string(out_, key);
    out_ += ':';
  }
  std::string out_ = "{";
};

Response page(std::string_view content_type, std::string text) {
  Response response;
  response.content_type = content_type;
  response.headers = kPageHeaders;
  response.body = std::move(text);
  return response;
}

Response asset_response(const Asset& asset, const Request& request) {
  const bool zipped = accepts(request.accept_encoding, "gzip");
  const std::string tag = asset.etag(zipped);
  Response response;
  response.content_type = asset.content_type;
  response.headers =
      std::string(kPageHeaders) + "Cache-Control: no-cache\r\nVary: Accept-Encoding\r\nETag: " + tag + "\r\n";
  if (request.if_none_match.find(tag) != std::string::npos) {
    response.status = 304;
    return response;
  }
  if (!zipped) {
    response.body = asset.unzip();
    return response;
  }
  response.headers += "Content-Encoding: gzip\r\n";
  response.blob_form = Response::Blob::Raw;
  response.blob = Buffer::from(nullptr, asset.gzip);  // in the program itself: nobody needs to own it
  return response;
}

}  // namespace

void home(Service&, const Request& request, Responder out) {
  if (accepts(request.accept, "text/html")) {
    Response response = asset_response(*find_asset("home.html"), request);
    response.headers += "Vary: Accept\r\n";
    return out.send(std::move(response));
  }
  Response response = json_response(
      200, R"({"message":"MPCSFaaS: this is Treadle, Python functions as a service. Its API is described at /docs."})");
  response.headers = "Vary: Accept\r\n";
  out.send(std::move(response));
}

void docs(Service& service, const Request& request, Responder out) {
  if (!has_swagger_ui()) return out.send(page("text/html; charset=utf-8", service.plain_docs));
  out.send(asset_response(*find_asset("docs.html"), request));
}

void asset(Service&, const Request& request, Responder out) {
  const Asset* found = find_asset(request.params[0]);
  if (found == nullptr) return out.fail(fail(Code::NotFound, "There is no such file in this program."));
  out.send(asset_response(*found, request));
}

void openapi(Service& service, const Request&, Responder out) { out.send(200, service.openapi); }

void livez(Service&, const Request&, Responder out) { out.send(200, R"({"status":"alive"})"); }

void readyz(Service& service, const Request&, Responder out) {
  const Status status = service.status.status();
  const bool draining = status.draining || service.draining;
  const std::string why = draining ? "The service is shutting down." : status.not_ready;
  JsonObject body;
  body.text("status", why.empty() ? "ready" : draining ? "draining" : "not ready");
  if (!why.empty()) body.text("detail", why);
  body.text("mode", status.mode)
      .text("store", service.store.describe())
      .text("durability", store::name_of(service.store.level()))
      .number("slots", status.slots)
      .number("slots_free", status.slots_free)
      .number("workers", status.workers.size());
  if (!status.workers_at.empty()) body.text("workers_at", status.workers_at);
  Response response = json_response(why.empty() ? 200 : 503, body.take());
  if (!why.empty()) response.headers = "Retry-After: 1\r\n";
  out.send(std::move(response));
}

void version(Service& service, const Request&, Responder out) {
  const BuildInfo build = service.status.build();
  JsonObject body;
  body.text("name", "treadle")
      .text("version", build.version)
      .text("commit", build.commit)
      .text("mode", service.status.status().mode)
      .text("store", service.store.describe())
      .text("durability", store::name_of(service.store.level()))
      .text("docs", has_swagger_ui() ? "swagger-ui" : "plain");
  out.send(200, body.take());
}

void metrics(Service& service, const Request&, Responder out) {
  Metrics::Now now;
  now.store = service.store.counters();
  now.status = service.status.status();
  now.build = service.status.build();
  now.connections = service.connections;
  now.uptime = service.clock.now() - service.started;
  Response response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = service.metrics.text(now);
  out.send(std::move(response));
}

}  // namespace treadle::gateway

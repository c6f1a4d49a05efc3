#include "gateway/admission.h"

#include <algorithm>
#include <span>
#include <string>

#include "gateway/query.h"

namespace treadle::gateway {
namespace {

// What a client sent is quoted in answers, but never at length.
std::string quoted(std::string_view text) {
  constexpr std::size_t kMax = 200;
  return '"' + std::string(text.substr(0, kMax)) + (text.size() > kMax ? "...\"" : "\"");
}

bool encoded(std::string_view content_encoding) { return !content_encoding.empty() && content_encoding != "identity"; }

Response preflight(const Request& request, std::string allowed) {
  Response response;
  response.status = 204;
  response.headers = "Allow: " + allowed + "\r\n";
  if (!request.origin.empty() && !request.cors_method.empty()) {
    response.headers += "Access-Control-Allow-Methods: " + allowed + "\r\n";
    response.headers +=
        "Access-Control-Allow-Headers: Content-Type, Idempotency-Key, If-None-Match, Prefer\r\n"
        "Access-Control-Max-Age: 600\r\n";
  }
  return response;
}

}  // namespace

Response too_large(const GatewayConfig& config) {
  return error_response(413, "The body is larger than the " + std::to_string(config.max_body()) +
                                 " bytes that a payload of " + std::to_string(config.max_payload) +
                                 " bytes can need. Send less, keep the data where the function can read it, or start "
                                 "treadle with a greater --max-payload.");
}

std::optional<Response> Gatekeeper::refuse_sender(const Request& request, Admission& admission) const {
  if (request.hosts > 1 || (request.hosts == 0 && !request.http10))
    return error_response(400, "A request needs exactly one Host header.");
  if (request.hosts == 1 && !policy_.host_allowed(request.host))
    return error_response(421, "The host " + quoted(request.host) +
                                   " is not served here. If it is a name of this machine, start treadle with "
                                   "--allow-host NAME.");
  const auto origin = policy_.judge_origin(request.origin, request.host);
  if (origin == HostPolicy::Origin::Foreign)
    return error_response(403, "Pages of the web origin " + quoted(request.origin) +
                                   " may not use this service. To let them, start treadle with --allow-origin URL.");
  admission.cors = origin == HostPolicy::Origin::Allowed;
  return std::nullopt;
}

std::optional<Response> Gatekeeper::refuse_body(const Request& request, const BodyHint& body,
                                                const Route* route) const {
  if (body.length > config_.max_body()) return too_large(config_);
  const FormSpec* form = route == nullptr ? nullptr : route->form;
  if (form != nullptr && form->max_body > 0 && body.length > form->max_body)
    return error_response(body_too_large(*form));
  if (request.transfer_encoding && !body.chunked) {
    Response response = error_response(501, "Of the transfer encodings only \"chunked\" is understood.");
    response.close = true;  // where its body ends is unknown
    return response;
  }
  if (encoded(request.content_encoding))
    return error_response(415, "A body with Content-Encoding " + quoted(request.content_encoding) +
                                   " is not understood. Send it as it is.");
  constexpr std::size_t kMaxKey = 255;
  if (request.idempotency_key.size() > kMaxKey)
    return error_response(400, "Idempotency-Key has " + std::to_string(request.idempotency_key.size()) +
                                   " bytes; at most 255 are allowed.");
  return std::nullopt;
}

std::optional<Response> Gatekeeper::refuse_query(const Request& request, const Route& route) const {
  if (!is_v1(request.path)) return std::nullopt;  // the seed's routes let pass what they do not know
  const auto end = std::find(route.query.begin(), route.query.end(), std::string_view{});
  auto unknown = unknown_parameter(request.query, std::span(route.query.begin(), end));
  if (!unknown) return std::nullopt;
  return error_response(*unknown);
}

Response Gatekeeper::unrouted(const Request& request) const {
  std::string allowed = router_.allowed(request.path);
  if (request.path == "*") allowed = "GET, HEAD, POST, OPTIONS";
  if (allowed.empty())
    return error_response(404, "There is nothing at " + quoted(request.path) + ". GET /docs lists what there is.");
  if (request.method == Method::Options) return preflight(request, std::move(allowed));
  Response response = error_response(405, "This path answers " + allowed + " only.");
  response.headers = "Allow: " + allowed + "\r\n";
  return response;
}

Admission Gatekeeper::admit(Request& request, const BodyHint& body) const {
  Admission admission;
  if (!split_target(request)) {
    admission.refusal = error_response(400, "The request target " + quoted(request.target) + " is malformed.");
    return admission;
  }
  admission.route = router_.find(request.method, request.path, request.params);
  admission.refusal = refuse_sender(request, admission);
  if (!admission.refusal) admission.refusal = refuse_body(request, body, admission.route);
  if (!admission.refusal && admission.route == nullptr) admission.refusal = unrouted(request);
  if (!admission.refusal) admission.refusal = refuse_query(request, *admission.route);
  return admission;
}

}  // namespace treadle::gateway

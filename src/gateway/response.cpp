#include "gateway/response.h"

#include "gateway/base64_json.h"
#include "gateway/errors.h"

namespace treadle::gateway {
namespace {

std::string retry_after(const ErrorRow& row) { return "Retry-After: " + std::to_string(row.retry_after) + "\r\n"; }

}  // namespace

std::uint64_t Response::content_length() const {
  const std::uint64_t text = body.size() + suffix.size();
  switch (blob_form) {
    case Blob::None: return text;
    case Blob::Raw: return text + blob.size();
    case Blob::Base64Json: return text + base64_json_length(blob.size());
  }
  return text;
}

Response json_response(int status, std::string body) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

Response error_response(int status, std::string_view detail) {
  Response response = json_response(status, error_body(detail));
  response.error = true;
  return response;
}

Response error_response(const Error& error) {
  const ErrorRow& row = error_row(error.code);
  Response response = error_response(row.status, error.message.empty() ? row.when : error.message);
  response.code = error.code;
  if (row.retry_after > 0 && (row.status == 429 || row.status == 503)) response.headers = retry_after(row);
  return response;
}

Response as_problem(Response response) {
  if (!response.error) return response;
  std::string code;
  if (response.code) {
    const ErrorRow& row = error_row(*response.code);
    response.status = row.status_v1;
    if (row.retry_after > 0 && response.headers.find("Retry-After:") == std::string::npos)
      response.headers += retry_after(row);
    code = row.name;
  } else {
    code = problem_code(response.status);
  }
  response.body = problem_body(response.status, code, response.body);
  response.content_type = kProblemJson;
  return response;
}

Responder& Responder::operator=(Responder&& other) {
  Responder old(std::move(*this));  // answered by its destructor if it was not
  sink_ = std::move(other.sink_);
  number_ = other.number_;
  return *this;
}

Responder::~Responder() {
  if (sink_) send(error_response(500, "The request was dropped inside the service; this is a fault of Treadle."));
}

void Responder::send(Response response) {
  if (const auto sink = std::move(sink_)) sink->answer(number_, std::move(response));
}

}  // namespace treadle::gateway

#include "gateway/errors.h"

#include <array>

#include "base/assert.h"
#include "base/json_text.h"

namespace treadle::gateway {
namespace {

constexpr std::array<ErrorRow, 12> kTable{{
    {Code::Invalid, 400, 0, "The request is malformed; `detail` names the field and says what it should be."},
    {Code::NotFound, 404, 0, "There is no such function or task."},
    {Code::Conflict, 409, 0, "The Idempotency-Key was used with another body."},
    {Code::TooLarge, 413, 0, "The request is over a size limit; `detail` names the limit and its flag."},
    {Code::Full, 429, 1, "A limit of the service is reached (waiting tasks, waiting requests). Try again later."},
    {Code::StoreError, 500, 0, "The store answered with an error."},
    {Code::StoreAway, 502, 0, "The store cannot be reached."},
    {Code::StoreFull, 500, 0, "The store is out of memory and takes nothing new; running tasks still finish."},
    {Code::StoreReadOnly, 500, 0, "The store refuses changes for now."},
    {Code::DiskFull, 507, 0, "The store has no space left; running tasks still finish."},
    {Code::Unavailable, 503, 1, "The service is shutting down or overloaded. Try again."},
    {Code::Internal, 500, 0, "A fault of the service itself."},
}};

}  // namespace

const ErrorRow& error_row(Code code) {
  for (const auto& row : kTable)
    if (row.code == code) return row;
  assert_failed("error_row", __FILE__, __LINE__, "a code is missing in the table");
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 507: return "Insufficient Storage";
  }
  assert_failed("reason_phrase", __FILE__, __LINE__, "a status without a phrase");
}

std::string error_body(std::string_view detail) {
  std::string body = "{\"detail\":";
  append_json_string(body, detail);
  body += '}';
  return body;
}

}  // namespace treadle::gateway
